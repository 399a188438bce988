//! Random runs of correct databases are valid; with one defect in the middle they are not.

use crate::model::{Accounts, Counters, Lists, Model, Registers, Rows, Series, Sets, TABLE, World};
use chaos::history::check::{self, Bank, Level, Verdict};
use chaos::history::{Action, Event, Op, Phase};

/// Runs of each kind.
const SEEDS: u64 = 60;
/// Steps before and after the defect.
const STEPS: usize = 150;

fn register(history: &[Event]) -> Verdict {
    check::register(history)
}

fn bank(history: &[Event]) -> Verdict {
    check::bank(history, Bank { accounts: 3, opening: 10, overdraft: false })
}

fn append(history: &[Event]) -> Verdict {
    check::append(history, Level::Snapshot)
}

/// Runs with a defect; says in how many it was found. Whoever finds something else panics.
fn found<M: Model>(
    judge: fn(&[Event]) -> Verdict,
    anomalies: &[&str],
    defect: fn(&mut World<M>),
) -> u64 {
    let mut found = 0;
    for seed in 0..SEEDS {
        let mut world: World<M> = World::new(seed);
        world.run(STEPS);
        world.settle();
        defect(&mut world);
        world.run(STEPS);
        let verdict = judge(&world.finish());
        if anomalies.iter().any(|anomaly| verdict.has(anomaly)) {
            found += 1;
        } else {
            assert!(verdict.is_valid(), "seed {seed}: not one of {anomalies:?}: {verdict}");
        }
    }
    found
}

fn valid<M: Model>(judge: fn(&[Event]) -> Verdict) {
    for seed in 0..SEEDS {
        let mut world: World<M> = World::new(seed);
        world.run(2 * STEPS);
        let verdict = judge(&world.finish());
        assert!(verdict.is_valid(), "seed {seed}: {verdict}");
    }
}

#[test]
fn correct_databases_are_valid() {
    valid::<Registers>(register);
    valid::<Sets>(check::set);
    valid::<Accounts>(bank);
    valid::<Counters>(check::counter);
    valid::<Rows>(check::ledger);
    valid::<Series>(check::monotonic);
    valid::<Lists>(append);
}

#[test]
fn a_register_that_forgets_an_acknowledged_write_is_found() {
    let found = found::<Registers>(register, &["not linearizable"], |world| {
        let first = Op::Write { key: 0, value: world.unique() };
        world.alone(first);
        let forgotten = Op::Write { key: 0, value: world.unique() };
        world.told(&forgotten, Phase::Ok, &forgotten);
        world.alone(Op::Read { key: 0, value: None });
    });
    assert_eq!(found, SEEDS);
}

#[test]
fn a_register_that_reads_an_older_value_is_found() {
    let found = found::<Registers>(register, &["not linearizable"], |world| {
        let old = world.unique();
        world.alone(Op::Write { key: 0, value: old });
        let new = Op::Write { key: 0, value: world.unique() };
        world.alone(new);
        let (call, stale) =
            (Op::Read { key: 0, value: None }, Op::Read { key: 0, value: Some(old) });
        world.told(&call, Phase::Ok, &stale);
    });
    assert_eq!(found, SEEDS);
}

#[test]
fn a_register_that_keeps_a_refused_write_is_found() {
    let found = found::<Registers>(register, &["not linearizable"], |world| {
        let refused = world.unique();
        world.database.0.insert(0, refused);
        let op = Op::Write { key: 0, value: refused };
        world.told(&op, Phase::Fail, &op);
        world.alone(Op::Read { key: 0, value: None });
    });
    assert_eq!(found, SEEDS);
}

#[test]
fn a_set_that_loses_or_forges_elements_is_found() {
    let lost = found::<Sets>(check::set, &["lost"], |world| {
        let element = world.unique();
        let op = Op::Add { key: 0, element };
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(lost, SEEDS);
    let stale = found::<Sets>(check::set, &["stale"], |world| {
        let before = world
            .database
            .clone()
            .commit(&Sets::default(), &Op::ReadSet { key: 0, elements: None });
        let op = Op::Add { key: 0, element: world.unique() };
        world.alone(op);
        world.told(&Op::ReadSet { key: 0, elements: None }, Phase::Ok, &before.unwrap());
    });
    assert_eq!(stale, SEEDS);
    let risen = found::<Sets>(check::set, &["resurrected"], |world| {
        let element = world.unique();
        world.alone(Op::Add { key: 0, element });
        let remove = Op::Remove { key: 0, element };
        world.told(&remove, Phase::Ok, &remove);
    });
    assert_eq!(risen, SEEDS);
    let refused = found::<Sets>(check::set, &["out of nothing"], |world| {
        let element = world.unique();
        let op = Op::Add { key: 0, element };
        world.told(&op, Phase::Fail, &op);
        world.database.0.entry(0).or_default().push(element);
    });
    assert_eq!(refused, SEEDS);
}

#[test]
fn a_bank_that_loses_all_or_half_of_a_transfer_is_found() {
    let half = found::<Accounts>(bank, &["wrong total", "wrong balance"], |world| {
        let op = Op::Transfer { from: 0, to: 1, amount: 1 };
        *world.database.0.get_mut(&0).unwrap() -= 1;
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(half, SEEDS);
    // So large that no transfers of unknown outcome could hide it.
    let whole = found::<Accounts>(bank, &["wrong balance"], |world| {
        let op = Op::Transfer { from: 0, to: 2, amount: 1000 };
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(whole, SEEDS);
}

#[test]
fn a_counter_that_forgets_or_repeats_is_found() {
    let lost = found::<Counters>(check::counter, &["lost increment", "went back"], |world| {
        // More than the increments of unknown outcome could hide.
        for _ in 0..STEPS {
            let op = Op::Increment { key: 0 };
            world.told(&op, Phase::Ok, &op);
        }
    });
    assert_eq!(lost, SEEDS);
    let twice = found::<Counters>(check::counter, &["counted twice"], |world| {
        *world.database.0.entry(0).or_default() += STEPS as i64;
    });
    assert_eq!(twice, SEEDS);
    let back = found::<Counters>(check::counter, &["went back"], |world| {
        world.alone(Op::Increment { key: 0 });
        world.alone(Op::ReadCounter { key: 0, value: None });
        *world.database.0.entry(0).or_default() -= 1;
        world.alone(Op::ReadCounter { key: 0, value: None });
    });
    assert_eq!(back, SEEDS);
}

#[test]
fn a_ledger_that_loses_a_row_or_a_version_is_found_and_counted() {
    let row = found::<Rows>(check::ledger, &["lost row"], |world| {
        let key = world.unique();
        let op = Op::Put { table: TABLE.into(), key, version: 1 };
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(row, SEEDS);
    let mut world: World<Rows> = World::new(1);
    for version in 1..=3 {
        let op = Op::Put { table: TABLE.into(), key: -1, version };
        world.alone(op);
    }
    world.database.0.insert(-1, 2);
    world.run(STEPS);
    let history = world.finish();
    assert!(check::ledger(&history).has("lost version"));
    let loss = check::loss(&history).unwrap();
    assert_eq!(loss.missing, 1);
    assert!(loss.acknowledged > 10, "{loss:?}");
}

#[test]
fn a_series_that_goes_back_or_is_not_in_the_order_of_time_is_found() {
    let repeated = found::<Series>(check::monotonic, &["duplicate", "went back"], |world| {
        let value = world.database.0.len() as i64;
        let call = Op::Next { key: 0, value: None };
        world.alone(call.clone());
        world.told(&call, Phase::Ok, &Op::Next { key: 0, value: Some(value) });
    });
    assert_eq!(repeated, SEEDS);
    let back = found::<Series>(check::monotonic, &["went back"], |world| {
        let old = world.database.0.clone();
        world.alone(Op::Next { key: 0, value: None });
        let call = Op::ReadValues { key: 0, at: None, values: None };
        world.told(&call, Phase::Ok, &Op::ReadValues { key: 0, at: None, values: Some(old) });
    });
    assert_eq!(back, SEEDS);
    let swapped = found::<Series>(check::monotonic, &["against time"], |world| {
        world.alone(Op::Next { key: 0, value: None });
        let all = world.database.0.clone();
        let earlier = all[..all.len() - 1].to_vec();
        // Long after all that the model commits.
        for (at, values) in [(1_000_000, all), (2_000_000, earlier)] {
            let call = Op::ReadValues { key: 0, at: Some(at), values: None };
            let answer = Op::ReadValues { key: 0, at: Some(at), values: Some(values) };
            world.told(&call, Phase::Ok, &answer);
        }
    });
    assert_eq!(swapped, SEEDS);
    let gap = found::<Series>(check::monotonic, &["gap"], |world| {
        for _ in 0..2 {
            world.alone(Op::Next { key: 0, value: None });
        }
        let mut values = world.database.0.clone();
        values.remove(values.len() - 2);
        let call = Op::ReadValues { key: 0, at: None, values: None };
        world.told(&call, Phase::Ok, &Op::ReadValues { key: 0, at: None, values: Some(values) });
    });
    assert_eq!(gap, SEEDS);
}

#[test]
fn lists_that_lose_an_append_are_found() {
    let lost = found::<Lists>(append, &["lost append"], |world| {
        let element = world.unique() * 10;
        let op = Op::Txn { actions: vec![Action::Append(0, element)] };
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(lost, SEEDS);
}

#[test]
fn lists_that_read_an_older_state_are_found() {
    let stale = found::<Lists>(append, &["G-single-realtime"], |world| {
        let old = world.database.of(0);
        let element = world.unique() * 10;
        world.alone(Op::Txn { actions: vec![Action::Append(0, element)] });
        let call = Op::Txn { actions: vec![Action::Read(0, None)] };
        let read = Op::Txn { actions: vec![Action::Read(0, Some(old))] };
        world.told(&call, Phase::Ok, &read);
    });
    assert_eq!(stale, SEEDS);
}

#[test]
fn lists_that_swap_two_appends_are_found() {
    let swapped = found::<Lists>(append, &["incompatible order"], |world| {
        for _ in 0..2 {
            let element = world.unique() * 10;
            world.alone(Op::Txn { actions: vec![Action::Append(0, element)] });
        }
        world.alone(Op::Txn { actions: vec![Action::Read(0, None)] });
        let list = world.database.0.get_mut(&0).unwrap();
        let last = list.len() - 1;
        list.swap(last - 1, last);
    });
    assert_eq!(swapped, SEEDS);
}

#[test]
fn lists_that_commit_half_of_a_transaction_are_found() {
    let half = found::<Lists>(append, &["lost append"], |world| {
        let element = world.unique() * 10;
        let actions = vec![Action::Append(0, element), Action::Append(1, element)];
        let op = Op::Txn { actions };
        world.database.0.entry(0).or_default().push(element);
        world.told(&op, Phase::Ok, &op);
    });
    assert_eq!(half, SEEDS);
}

#[test]
fn lists_that_keep_an_aborted_append_are_found() {
    let aborted = found::<Lists>(append, &["G1a"], |world| {
        let element = world.unique() * 10;
        let op = Op::Txn { actions: vec![Action::Append(0, element)] };
        world.database.0.entry(0).or_default().push(element);
        world.told(&op, Phase::Fail, &op);
    });
    assert_eq!(aborted, SEEDS);
}

#[test]
fn lists_without_write_conflicts_lose_updates() {
    let names = ["lost update", "G-single", "G-single-realtime"];
    let lost = found::<Lists>(append, &names, |world| {
        let old = world.database.of(0);
        for _ in 0..2 {
            // Both read the same list, and both commit.
            let element = world.unique() * 10;
            let call = vec![Action::Read(0, None), Action::Append(0, element)];
            let told = vec![Action::Read(0, Some(old.clone())), Action::Append(0, element)];
            world.database.0.entry(0).or_default().push(element);
            world.told(&Op::Txn { actions: call }, Phase::Ok, &Op::Txn { actions: told });
        }
    });
    assert_eq!(lost, SEEDS);
}
