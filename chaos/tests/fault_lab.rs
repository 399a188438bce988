//! A lab of real processes is broken in every way that this machine offers, and must come back each time
//! with every acknowledged row. Without root only kill and stop are tried, on loopback.

use base::{Clock, Rng, SystemClock};
use chaos::fault::inject::Fault;
use chaos::fault::kind::Kind;
use chaos::fault::lab::{Disks, Lab, Links, Plan};
use chaos::fault::network::{Link, between};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time until a row can be written again after a fault that leaves a majority.
const OUTAGE_MAX: Duration = Duration::from_secs(10);
/// A client gives up on a statement after this.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(6);
/// Held by the test whose lab runs: on loopback two labs would take the same ports.
static ONE_LAB: parking_lot::Mutex<()> = parking_lot::const_mutex(());
/// Size of a node's image.
const IMAGE_BYTES: u64 = 1 << 30;

#[test]
fn killed_held_and_cut_off_nodes_lose_nothing() {
    let _turn = ONE_LAB.lock();
    let mut lab = lab();
    let mut rows = Rows::make(&lab);
    rows.insert(&lab, 1);

    lab.kill(1).unwrap();
    rows.insert(&lab, 2);
    lab.spawn(1).unwrap();
    lab.await_sql(1, Duration::from_secs(30)).unwrap();

    lab.hold(2).unwrap();
    rows.insert(&lab, 3);
    lab.release(2).unwrap();
    rows.insert(&lab, 2);

    if lab.plan().links == Links::Namespaces {
        // Alone, node 3 must refuse writes; the other two go on.
        lab.network().cut(between(&[3], 3)).unwrap();
        rows.insert(&lab, 1);
        assert!(rows.try_insert(&lab, 3).is_err(), "a node without a majority took a write");
        lab.network().mend_all().unwrap();
        rows.insert(&lab, 3);
        // One direction of one pair: node 1 sends to node 2 but hears nothing of it.
        lab.network().cut([Link { from: 2, to: 1 }]).unwrap();
        rows.insert(&lab, 3);
        lab.network().mend_all().unwrap();
    }
    lab.heal().unwrap();
    rows.check(&lab);
    lab.close().unwrap();
}

/// Faults that leave a majority, one after the other, and then the power of all nodes at once. Kinds that do
/// not work on this machine are named and left out.
#[test]
fn disks_without_power_room_or_speed_lose_nothing() {
    let _turn = ONE_LAB.lock();
    let kinds = match std::env::var("PRECINCT_FAULTS") {
        Ok(names) => names.split(',').map(|name| Kind::named(name).expect("a kind")).collect(),
        Err(_) => vec![
            Kind::PowerCut,
            Kind::DiskFull,
            Kind::DiskStall,
            Kind::SyncError,
            Kind::DropIn,
            Kind::DropOut,
            Kind::Bridge,
        ],
    };
    let plan = plan().with_images(IMAGE_BYTES);
    let images = matches!(plan.disks, Disks::Images { .. });
    let mut lab = Lab::start(plan).unwrap();
    let mut rows = Rows::make(&lab);
    let mut rng = Rng::seeded(1);
    for (turn, kind) in kinds.into_iter().enumerate() {
        if let Err(why) = kind.probe() {
            println!("{} not tried: {why}", kind.name());
            continue;
        }
        let node = 1 + turn as u64 % 3;
        // Two nodes that do not see each other: rows must go through every node all the same.
        let nodes = if kind == Kind::Bridge { vec![node, 1 + (node + 1) % 3] } else { vec![node] };
        let injected = Fault { kind, nodes }.inject(&mut lab, &mut rng).unwrap();
        println!("{} on node {node}: {:?}", kind.name(), injected.told);
        let begin = SystemClock::new();
        (0..5).for_each(|_| rows.insert(&lab, 1 + node % 3));
        println!("  5 rows after {:?}", begin.monotonic());
        if kind == Kind::Bridge {
            // Enough rows that every shard gets some.
            (0..60).for_each(|row| rows.insert(&lab, 1 + row % 3));
            println!("  60 rows through all nodes after {:?}", begin.monotonic());
        }
        injected.restore(&mut lab).unwrap();
        (1..=3).for_each(|node| lab.await_sql(node, Duration::from_secs(60)).unwrap());
        (1..=3).for_each(|node| rows.insert(&lab, node));
        println!("  well after {:?}", begin.monotonic());
    }
    if images {
        let fault = Fault { kind: Kind::PowerCut, nodes: vec![1, 2, 3] };
        let injected = fault.inject(&mut lab, &mut rng).unwrap();
        injected.restore(&mut lab).unwrap();
        (1..=3).for_each(|node| lab.await_sql(node, Duration::from_secs(60)).unwrap());
    }
    rows.insert(&lab, 2);
    rows.check(&lab);
    lab.close().unwrap();
}

/// Wall clocks jump on one node and on all, and leaders move by command all the time.
#[test]
fn clocks_that_jump_and_leaders_that_move_lose_nothing() {
    let _turn = ONE_LAB.lock();
    let mut lab = lab();
    let mut rows = Rows::make(&lab);
    let mut rng = Rng::seeded(3);
    rows.insert(&lab, 1);

    let jump = Fault { kind: Kind::ClockJump, nodes: vec![2] }.inject(&mut lab, &mut rng).unwrap();
    let apart = unix_time(&lab, 2) - unix_time(&lab, 1);
    assert!((8..=12).contains(&apart.abs()), "{apart} s apart, {:?}", jump.told);
    (1..=6).for_each(|row| rows.insert(&lab, 1 + row % 3));
    jump.restore(&mut lab).unwrap();
    let apart = unix_time(&lab, 2) - unix_time(&lab, 1);
    assert!(apart.abs() <= 2, "{apart} s apart");
    // Of all nodes at once, and a node that starts meanwhile believes the same.
    let nodes = vec![1, 2, 3];
    let jump = Fault { kind: Kind::ClockJump, nodes }.inject(&mut lab, &mut rng).unwrap();
    lab.kill(3).unwrap();
    lab.spawn(3).unwrap();
    lab.await_sql(3, Duration::from_secs(30)).unwrap();
    assert!((unix_time(&lab, 3) - unix_time(&lab, 1)).abs() <= 2);
    (1..=6).for_each(|row| rows.insert(&lab, 1 + row % 3));
    jump.restore(&mut lab).unwrap();
    // Timestamps do not go back with the clocks.
    (1..=6).for_each(|row| rows.insert(&lab, 1 + row % 3));

    let nodes = vec![1, 2, 3];
    let moves = Fault { kind: Kind::LeaderMove, nodes }.inject(&mut lab, &mut rng).unwrap();
    let clock = SystemClock::new();
    while clock.monotonic() < Duration::from_secs(8) {
        (1..=3).for_each(|node| rows.insert(&lab, node));
    }
    let told = moves.restore(&mut lab).unwrap();
    println!("{told:?}");
    let none = "leaders moved: 0 of data shards, 0 of";
    assert!(told.len() == 1 && !told[0].starts_with(none), "{told:?}");

    let nodes = vec![1, 2, 3];
    let changes = Fault { kind: Kind::ShardChange, nodes }.inject(&mut lab, &mut rng).unwrap();
    let clock = SystemClock::new();
    while clock.monotonic() < Duration::from_secs(8) {
        (1..=3).for_each(|node| rows.insert(&lab, node));
    }
    let told = changes.restore(&mut lab).unwrap();
    println!("{told:?}");
    assert!(told.len() == 1 && !told[0].starts_with("0 shards split"), "{told:?}");
    lab.heal().unwrap();
    rows.check(&lab);
    lab.close().unwrap();
}

/// What a node takes for the time, seconds.
fn unix_time(lab: &Lab, node: u64) -> i64 {
    let rows = lab.ask(node, "SELECT UNIX_TIMESTAMP()").unwrap();
    rows[0].get(0).expect("a number")
}

fn plan() -> Plan {
    Plan::best(PathBuf::from(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN")), 3)
}

fn lab() -> Lab {
    Lab::start(plan()).unwrap()
}

/// A table and what was acknowledged to be in it.
struct Rows {
    acknowledged: Vec<u64>,
    next: u64,
    clock: SystemClock,
}

impl Rows {
    fn make(lab: &Lab) -> Rows {
        lab.ask(1, "CREATE DATABASE lab").unwrap();
        lab.ask(1, "CREATE TABLE lab.rows (id BIGINT PRIMARY KEY)").unwrap();
        Rows { acknowledged: Vec::new(), next: 0, clock: SystemClock::new() }
    }

    /// Inserts one row through a node, again and again until it is acknowledged.
    fn insert(&mut self, lab: &Lab, node: u64) {
        let begin = self.clock.monotonic();
        while let Err(why) = self.try_insert(lab, node) {
            let waited = self.clock.monotonic() - begin;
            assert!(waited < OUTAGE_MAX, "no row through node {node} for {waited:?}: {why}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn try_insert(&mut self, lab: &Lab, node: u64) -> Result<(), String> {
        self.next += 1;
        let (opts, id) = (lab.opts(node), self.next);
        let work = async move {
            let mut conn = Conn::new(opts).await?;
            conn.query_drop(format!("INSERT INTO lab.rows VALUES ({id})")).await
        };
        lab.call(async move { tokio::time::timeout(STATEMENT_WAIT_MAX, work).await })
            .map_err(|_| format!("no answer after {STATEMENT_WAIT_MAX:?}"))?
            .map_err(|error| error.to_string())?;
        self.acknowledged.push(id);
        Ok(())
    }

    fn check(&self, lab: &Lab) {
        for node in 1..=lab.nodes() {
            let rows = lab.ask(node, "SELECT id FROM lab.rows").unwrap();
            let found: Vec<u64> = rows.iter().filter_map(|row| row.get(0)).collect();
            let missing: Vec<_> =
                self.acknowledged.iter().filter(|id| !found.contains(id)).collect();
            assert!(missing.is_empty(), "node {node} does not show {missing:?}");
        }
        println!("{} acknowledged rows are there on every node", self.acknowledged.len());
    }
}
