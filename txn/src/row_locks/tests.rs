//! Lines, upgrades and cycles of row locks.

use super::*;
use base::{IndexId, NodeId, Slot, SystemClock, TableId, Timestamp};
use engine::key::KeyBuilder;
use futures::FutureExt;

const SHARD: ShardId = ShardId(1);

fn owner(count: u64) -> LockOwner {
    LockOwner::new(NodeId(1), count)
}

/// The first request of an owner.
fn asker(count: u64, weight: u64) -> Asker {
    Asker { owner: owner(count), request: 1, weight }
}

fn key(name: &'static str) -> Bytes {
    Bytes::from_static(name.as_bytes())
}

/// Asks and expects the lock at once.
fn hold(locks: &Arc<RowLocks>, count: u64, name: &'static str, mode: LockMode) {
    let asked = locks.ask(SHARD, asker(count, 1), &key(name), mode, true).expect("room");
    assert!(matches!(asked, Asked::Granted), "{count} gets {name}");
}

/// Asks and expects to stand in line.
fn wait(
    locks: &Arc<RowLocks>,
    count: u64,
    weight: u64,
    name: &'static str,
    mode: LockMode,
) -> Wait {
    wait_as(locks, asker(count, weight), name, mode)
}

/// The same for any request.
fn wait_as(locks: &Arc<RowLocks>, asker: Asker, name: &'static str, mode: LockMode) -> Wait {
    match locks.ask(SHARD, asker, &key(name), mode, true).expect("room") {
        Asked::Waits(wait) => wait,
        other => panic!("{asker:?} does not wait for {name}: {other:?}"),
    }
}

fn outcome(wait: &Wait) -> Option<WaitOutcome> {
    wait.ended().now_or_never()
}

use LockMode::{Exclusive, Shared};

#[test]
fn a_line_is_served_in_order_and_shared_locks_together() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Exclusive);
    let second = wait(&locks, 2, 1, "a", Shared);
    let third = wait(&locks, 3, 1, "a", Shared);
    let fourth = wait(&locks, 4, 1, "a", Exclusive);
    let fifth = wait(&locks, 5, 1, "a", Shared);
    locks.release(SHARD, owner(1));
    assert_eq!(outcome(&second), Some(WaitOutcome::Granted));
    assert_eq!(outcome(&third), Some(WaitOutcome::Granted));
    assert_eq!(outcome(&fourth), None);
    assert_eq!(outcome(&fifth), None, "nobody passes one who waits for an exclusive lock");
    locks.release_all(owner(2));
    locks.release_all(owner(3));
    assert_eq!(outcome(&fourth), Some(WaitOutcome::Granted));
    locks.release_all(owner(4));
    assert_eq!(outcome(&fifth), Some(WaitOutcome::Granted));
    locks.release_all(owner(5));
    assert!(locks.is_empty());
}

#[test]
fn an_upgrade_goes_first_and_waits_only_for_other_holders() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Shared);
    hold(&locks, 2, "a", Shared);
    let third = wait(&locks, 3, 1, "a", Exclusive);
    let upgrade = wait(&locks, 1, 1, "a", Exclusive);
    locks.release_all(owner(2));
    assert_eq!(outcome(&upgrade), Some(WaitOutcome::Granted));
    assert_eq!(outcome(&third), None);
}

#[test]
fn two_upgrades_of_one_row_are_a_deadlock() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Shared);
    hold(&locks, 2, "a", Shared);
    let first = wait(&locks, 1, 1, "a", Exclusive);
    let second = wait(&locks, 2, 1, "a", Exclusive);
    assert_eq!(outcome(&second), Some(WaitOutcome::Deadlock));
    assert_eq!(outcome(&first), None);
    locks.release_all(owner(2));
    assert_eq!(outcome(&first), Some(WaitOutcome::Granted));
}

#[test]
fn of_a_cycle_the_lightest_gives_way_and_the_youngest_of_equals() {
    let locks = RowLocks::new(SystemClock::shared());
    for (count, name) in [(1, "a"), (2, "b"), (3, "c")] {
        hold(&locks, count, name, Exclusive);
    }
    let first = wait(&locks, 1, 2, "b", Exclusive);
    let second = wait(&locks, 2, 1, "c", Exclusive);
    let third = wait(&locks, 3, 2, "a", Exclusive);
    assert_eq!(outcome(&second), Some(WaitOutcome::Deadlock));
    assert_eq!((outcome(&first), outcome(&third)), (None, None));
    locks.release_all(owner(2));
    assert_eq!(outcome(&first), Some(WaitOutcome::Granted));

    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 2, "a", Exclusive);
    hold(&locks, 1, "b", Exclusive);
    let young = wait(&locks, 2, 1, "b", Exclusive);
    let _old = wait(&locks, 1, 1, "a", Exclusive);
    assert_eq!(outcome(&young), Some(WaitOutcome::Deadlock));
}

#[test]
fn whoever_gives_up_waiting_leaves_the_line() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Shared);
    let second = wait(&locks, 2, 1, "a", Exclusive);
    let third = wait(&locks, 3, 1, "a", Shared);
    drop(second);
    assert_eq!(outcome(&third), Some(WaitOutcome::Granted), "it shares with the first");
    assert!(!locks.owners().contains(&owner(2)));
}

#[test]
fn a_reset_ends_locks_and_waits_of_its_shard_alone() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Exclusive);
    let second = wait(&locks, 2, 1, "a", Exclusive);
    let other = locks.ask(ShardId(2), asker(1, 1), &key("z"), Exclusive, true).expect("room");
    assert!(matches!(other, Asked::Granted));
    locks.reset(SHARD);
    assert_eq!(outcome(&second), Some(WaitOutcome::Gone));
    assert_eq!(locks.len(), 1);
    assert!(!locks.is_blocked(b"a", None, Exclusive));
    assert!(locks.is_blocked(b"z", None, Shared));
    assert!(!locks.is_blocked(b"z", Some(owner(1)), Exclusive));
}

#[test]
fn cycles_over_several_nodes_lose_one_member_each() {
    let waiting = |count, weight, blockers: &[u64]| LockWaiting {
        owner: owner(count),
        weight,
        blockers: blockers.iter().map(|count| owner(*count)).collect(),
    };
    let waits = [
        waiting(1, 5, &[2]),
        waiting(2, 5, &[1]),
        waiting(3, 1, &[4]),
        waiting(4, 2, &[3]),
        waiting(5, 0, &[1]),
    ];
    assert_eq!(find_victims(&waits), BTreeSet::from([owner(2), owner(3)]));
    assert!(find_victims(&waits[..1]).is_empty());
}

/// The key of a row of a table.
fn row(table: u32, id: i64) -> Bytes {
    let mut key = KeyBuilder::new(TableId(table), IndexId::PRIMARY);
    key.put_i64(id);
    key.finish(Slot(0))
}

fn ask(locks: &Arc<RowLocks>, count: u64, key: &Bytes, mode: LockMode) -> Asked {
    locks.ask(SHARD, asker(count, 1), key, mode, true).expect("room")
}

#[test]
fn a_report_tells_what_is_waited_for_first_and_leaves_out_the_systems_own() {
    let locks = RowLocks::new(SystemClock::shared());
    let user = TableId::FIRST_USER.0;
    let (first, second, own) = (row(user, 1), row(user, 2), row(107, 1));
    for key in [&first, &second, &own] {
        assert!(matches!(ask(&locks, 1, key, Exclusive), Asked::Granted));
    }
    let _second = ask(&locks, 2, &second, Shared);
    let _third = ask(&locks, 3, &second, Exclusive);
    let _fourth = ask(&locks, 4, &own, Exclusive);
    let report = locks.report(100, 10_000);
    let held: Vec<&Bytes> = report.held.iter().map(|lock| &lock.key).collect();
    assert_eq!(held, [&second, &first]);
    let blockers: Vec<_> = report.waits.iter().map(|w| (w.owner, w.blockers.clone())).collect();
    let holder = (owner(1), Exclusive);
    let expected = [(owner(2), vec![holder]), (owner(3), vec![holder, (owner(2), Shared)])];
    assert_eq!(blockers, expected);
    assert!(!report.cut);
    assert_eq!(report.deadlock, None);
    let short = locks.report(2, 10_000);
    assert_eq!((short.held.len(), short.waits.len(), short.cut), (2, 1, true));
    assert!(locks.report(100, first.len()).cut, "bytes are limited too");
}

#[test]
fn the_last_deadlock_is_remembered_with_its_waits() {
    let locks = RowLocks::new(SystemClock::shared());
    let user = TableId::FIRST_USER.0;
    let (a, b) = (row(user, 1), row(user, 2));
    assert!(matches!(ask(&locks, 1, &a, Exclusive), Asked::Granted));
    assert!(matches!(ask(&locks, 2, &b, Exclusive), Asked::Granted));
    let first = ask(&locks, 1, &b, Exclusive);
    let second = ask(&locks, 2, &a, Exclusive);
    let Asked::Waits(second) = second else { panic!("the second one has waited") };
    assert_eq!(outcome(&second), Some(WaitOutcome::Deadlock));
    let deadlock = locks.report(9, 10_000).deadlock.expect("there was one");
    assert_eq!(deadlock.victim, owner(2));
    let wait = |count, key: &Bytes, blocker| WaitingLock {
        key: key.clone(),
        owner: owner(count),
        mode: Exclusive,
        blockers: vec![(owner(blocker), Exclusive)],
    };
    assert_eq!(deadlock.waits, [wait(2, &a, 1), wait(1, &b, 2)]);
    locks.give_way(owner(7));
    assert_eq!(locks.report(9, 10_000).deadlock, Some(deadlock), "who does not wait gives no way");
    drop(first);
}

/// The start of a large transaction.
const LARGE: Timestamp = Timestamp(70);

/// Says that the large transaction of the owner 1 holds a request up; whether it has to give way.
fn hold_up(locks: &Arc<RowLocks>, count: u64, key: &Bytes) -> bool {
    assert!(matches!(ask(locks, count, key, Exclusive), Asked::Granted));
    locks.hold_up(SHARD, asker(count, 1), key, Exclusive, LARGE)
}

#[test]
fn who_is_held_up_by_a_large_transaction_waits_for_its_owner() {
    let locks = RowLocks::new(SystemClock::shared());
    let user = TableId::FIRST_USER.0;
    let (a, b) = (row(user, 1), row(user, 2));
    locks.note_large(LARGE, owner(1));
    assert!(!hold_up(&locks, 2, &a));
    let waiting = LockWaiting { owner: owner(2), weight: 1, blockers: vec![owner(1)] };
    assert_eq!(locks.waits(), [waiting]);
    let report = locks.report(9, 10_000);
    let of_large = HeldLock { key: a.clone(), owner: owner(1), mode: Exclusive };
    assert_eq!(report.held, [of_large], "the row lock that was granted is not shown");
    let blockers = vec![(owner(1), Exclusive)];
    let wait = WaitingLock { key: a.clone(), owner: owner(2), mode: Exclusive, blockers };
    assert_eq!(report.waits, std::slice::from_ref(&wait));
    // Until it asks again; then it has the row.
    assert!(matches!(ask(&locks, 2, &a, Exclusive), Asked::Granted));
    assert!(locks.waits().is_empty());
    // Whichever node finds the cycle.
    assert!(!hold_up(&locks, 2, &a));
    locks.give_way(owner(2));
    assert!(matches!(ask(&locks, 2, &a, Exclusive), Asked::Deadlock));
    let deadlock = locks.report(9, 10_000).deadlock.expect("there was one");
    assert_eq!(deadlock.waits, [wait]);
    // The large transaction waits already when the cycle closes.
    hold(&locks, 3, "c", Exclusive);
    let first = wait_as(&locks, Asker { weight: 9, ..asker(1, 1) }, "c", Exclusive);
    assert!(hold_up(&locks, 3, &b));
    assert_eq!(outcome(&first), None, "the other one has done less");
    assert!(locks.waits().iter().all(|waiting| waiting.owner == owner(1)));
}

#[test]
fn what_holds_a_request_up_is_forgotten_with_it() {
    let locks = RowLocks::new(SystemClock::shared());
    let key = row(TableId::FIRST_USER.0, 1);
    let ends: [fn(&RowLocks, &Bytes); 5] = [
        |locks, _| locks.release(SHARD, owner(2)),
        |locks, _| locks.release_all(owner(2)),
        |locks, key| locks.release_keys(owner(2), std::slice::from_ref(key)),
        |locks, _| locks.reset(SHARD),
        |locks, key| locks.cancel(owner(2), 1, std::slice::from_ref(key)),
    ];
    for end in ends {
        assert!(!hold_up(&locks, 2, &key));
        let waits = locks.waits();
        assert_eq!(waits.len(), 1);
        assert!(waits[0].blockers.is_empty(), "nobody knows the owner");
        end(&locks, &key);
        assert!(locks.waits().is_empty() && locks.is_empty());
    }
    let late = locks.hold_up(SHARD, asker(2, 1), &key, Exclusive, LARGE);
    assert!(!late && locks.waits().is_empty(), "it was cancelled");
}

fn held(count: u64, name: &'static str, mode: LockMode) -> HeldLock {
    HeldLock { key: key(name), owner: owner(count), mode }
}

#[test]
fn locks_from_aside_fit_beside_what_is_held_or_are_left_out() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Exclusive);
    hold(&locks, 2, "b", Shared);
    hold(&locks, 3, "c", Exclusive);
    let other = locks.ask(ShardId(2), asker(1, 1), &key("z"), Shared, true).expect("room");
    assert!(matches!(other, Asked::Granted));
    let came = vec![
        held(9, "a", Exclusive),
        held(9, "b", Shared),
        held(3, "c", Shared),
        held(9, "d", Exclusive),
        held(9, "z", Shared),
    ];
    assert_eq!(locks.keep_aside(SHARD, 4, came), 5);
    assert!(!locks.is_blocked(b"d", None, Exclusive), "they only wait");
    locks.take_in(SHARD, 4);
    assert_eq!(locks.len(), 4, "the term that they come from is not over");
    locks.take_in(ShardId(2), 5);
    assert_eq!(locks.len(), 4, "they go with another shard");
    locks.take_in(SHARD, 5);
    let expected = [
        held(1, "a", Exclusive),
        held(2, "b", Shared),
        held(9, "b", Shared),
        held(3, "c", Exclusive),
        held(9, "d", Exclusive),
    ];
    assert_eq!(locks.held_of(SHARD), (expected.to_vec(), 0));
    assert!(locks.owners().contains(&owner(9)), "it is asked about like all others");
    locks.release_all(owner(9));
    assert_eq!(locks.len(), 4);
}

#[test]
fn of_several_handovers_the_latest_term_counts() {
    let locks = RowLocks::new(SystemClock::shared());
    assert_eq!(locks.keep_aside(SHARD, 5, vec![held(1, "a", Exclusive)]), 1);
    assert_eq!(locks.keep_aside(SHARD, 4, vec![held(1, "b", Exclusive)]), 0);
    assert_eq!(locks.keep_aside(SHARD, 6, vec![held(1, "c", Exclusive)]), 1);
    assert_eq!(locks.keep_aside(SHARD, 6, vec![held(2, "d", Shared), held(2, "e", Shared)]), 2);
    locks.release_keys(owner(2), &[key("d")]);
    locks.reset(SHARD);
    locks.take_in(SHARD, 7);
    let expected = vec![held(1, "c", Exclusive), held(2, "e", Shared)];
    assert_eq!(locks.held_of(SHARD), (expected, 0));
}

#[test]
fn a_handover_carries_so_much_and_no_more() {
    let (old, next) = (RowLocks::new(SystemClock::shared()), RowLocks::new(SystemClock::shared()));
    for byte in 0..5_u8 {
        let key = Bytes::from(vec![byte; limits::LOCK_HANDOVER_BYTES_MAX / 4]);
        assert!(matches!(ask(&old, 1, &key, Exclusive), Asked::Granted));
    }
    let (sent, left) = old.held_of(SHARD);
    assert_eq!((sent.len(), left), (4, 1));
    assert_eq!(next.keep_aside(SHARD, 1, sent), 4);
    let more = next.keep_aside(SHARD, 1, vec![held(1, "e", Exclusive)]);
    assert_eq!(more, 0, "whatever number of messages it comes in");
}

#[test]
fn a_cancel_ends_waits_and_gives_back_what_its_request_alone_was_granted() {
    let locks = RowLocks::new(SystemClock::shared());
    let of_second = |request| Asker { owner: owner(2), request, weight: 1 };
    let granted = |request, name, mode| {
        let asked = locks.ask(SHARD, of_second(request), &key(name), mode, true).expect("room");
        assert!(matches!(asked, Asked::Granted), "request {request} gets {name}");
    };
    hold(&locks, 1, "a", Exclusive);
    granted(1, "b", Shared);
    granted(1, "c", Exclusive);
    granted(2, "b", Exclusive);
    granted(2, "c", Exclusive);
    granted(2, "d", Exclusive);
    let given_up = wait_as(&locks, of_second(2), "a", Exclusive);
    let third = wait(&locks, 3, 1, "a", Exclusive);
    locks.cancel(owner(2), 2, &[key("a"), key("b"), key("c"), key("d")]);
    assert_eq!(outcome(&given_up), Some(WaitOutcome::Gone));
    let kept = [held(1, "a", Exclusive), held(2, "b", Shared), held(2, "c", Exclusive)];
    assert_eq!(locks.held_of(SHARD), (kept.to_vec(), 0));
    locks.release_all(owner(1));
    assert_eq!(outcome(&third), Some(WaitOutcome::Granted));
}

#[test]
fn a_request_that_comes_after_its_cancel_is_refused() {
    let locks = RowLocks::new(SystemClock::shared());
    locks.cancel(owner(1), 4, &[key("a")]);
    let ask = |request| {
        let asker = Asker { owner: owner(1), request, weight: 1 };
        locks.ask(SHARD, asker, &key("a"), Exclusive, true).expect("room")
    };
    assert!(matches!(ask(3), Asked::Cancelled));
    assert!(matches!(ask(4), Asked::Cancelled));
    assert!(locks.is_empty());
    assert!(matches!(ask(5), Asked::Granted));
    locks.cancel(owner(1), 4, &[key("a")]);
    assert_eq!(locks.len(), 1, "a cancel that comes twice takes nothing from a later request");
}

#[test]
fn a_grant_that_nobody_has_noticed_goes_back() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Exclusive);
    let second = wait(&locks, 2, 1, "a", Exclusive);
    locks.release_all(owner(1));
    assert_eq!(locks.len(), 1, "the second one has it");
    drop(second);
    assert!(locks.is_empty());
}

#[test]
fn a_later_request_ends_the_waits_of_earlier_ones() {
    let locks = RowLocks::new(SystemClock::shared());
    let of_second = |request| Asker { owner: owner(2), request, weight: 1 };
    hold(&locks, 1, "a", Exclusive);
    let earlier = wait_as(&locks, of_second(1), "a", Exclusive);
    let later = wait_as(&locks, of_second(2), "a", Exclusive);
    assert_eq!(outcome(&earlier), Some(WaitOutcome::Gone));
    assert_eq!(outcome(&later), None, "no deadlock with itself");
    assert_eq!(locks.waiting_requests(), BTreeSet::from([(owner(2), 2)]));
    locks.release_all(owner(2));
    locks.release_all(owner(1));
    assert!(locks.is_empty(), "nothing is granted to an owner that is gone");
}

#[test]
fn a_request_that_is_sent_again_keeps_its_place() {
    let locks = RowLocks::new(SystemClock::shared());
    hold(&locks, 1, "a", Exclusive);
    let lost = wait(&locks, 2, 1, "a", Exclusive);
    let third = wait(&locks, 3, 1, "a", Exclusive);
    let again = wait(&locks, 2, 1, "a", Exclusive);
    assert_eq!(outcome(&lost), Some(WaitOutcome::Gone));
    drop(lost);
    locks.release_all(owner(1));
    assert_eq!((outcome(&again), outcome(&third)), (Some(WaitOutcome::Granted), None));
}

#[test]
fn only_the_latest_cancels_are_remembered() {
    let locks = RowLocks::new(SystemClock::shared());
    let count = limits::LOCK_CANCELS_KEPT_MAX as u64 + 1;
    (1..=count).for_each(|count| locks.cancel(owner(count), 1, &[]));
    hold(&locks, 1, "a", Exclusive);
    let last = locks.ask(SHARD, asker(count, 1), &key("b"), Exclusive, true).expect("room");
    assert!(matches!(last, Asked::Cancelled));
}
