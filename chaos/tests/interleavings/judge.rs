//! What must be true of every run.
//!
//! 1. Atomicity: every snapshot shows a transaction on all lists that it writes or on none, in one order.
//! 2. Snapshot: two looks in one snapshot show the same.
//! 3. Durability: what was answered "committed" is in every snapshot that began later, and what one snapshot has shown is
//!    in the last one.
//! 4. Refusal: what was answered with a definite error is in no snapshot.
//! 5. Real time: a snapshot shows all that a snapshot showed which ended before it began.
//! 6. Locks: when everybody is done, a reader of every list can resolve every lock, and none is left.

use crate::parties::THREE_LISTS;
use crate::story::{Look, Pages, Sight, Told};
use engine::mvcc;
use txn::testing::MemoryCluster;

/// Reads at the very end.
pub const LAST_READER: &str = "the last reader";

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Broken {
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Broken {
        Broken { invariant, what: what.into() }
    }
}

/// Judges a run that is over.
pub fn judge(pages: &Pages) -> Result<(), Broken> {
    let Some(last) = pages.sights.iter().find(|sight| sight.party == LAST_READER) else {
        return Err(Broken::new("liveness", "the lists cannot be read in the end"));
    };
    for sight in &pages.sights {
        look_by_look(sight)?;
        let (seen, in_the_end) = (&sight.looks[0].a, &last.looks[0].a);
        if !in_the_end.starts_with(seen) {
            let what = format!("{} saw {seen:?}, in the end it is {in_the_end:?}", sight.party);
            return Err(Broken::new("durability", what));
        }
        let mut later = pages.sights.iter().filter(|later| later.begun > sight.ended);
        if let Some(later) = later.find(|later| !later.looks[0].a.starts_with(seen)) {
            let (first, then) = (sight.party, later.party);
            let what = format!("{first} saw {seen:?}, later {then} saw {:?}", later.looks[0].a);
            return Err(Broken::new("real time", what));
        }
    }
    for (party, told, at) in &pages.told {
        let sees = |sight: &&Sight| sight.looks[0].a.iter().any(|name| name == party);
        match told {
            Told::Unknown => {}
            Told::Committed => {
                let mut later = pages.sights.iter().filter(|sight| sight.begun > *at);
                if let Some(sight) = later.find(|sight| !sees(sight)) {
                    let what = format!("{party} was committed, later {} misses it", sight.party);
                    return Err(Broken::new("durability", what));
                }
            }
            Told::Refused(why) => {
                if let Some(sight) = pages.sights.iter().find(sees) {
                    let what = format!("{party} was refused ({why}), {} sees it", sight.party);
                    return Err(Broken::new("refusal", what));
                }
            }
        }
    }
    Ok(())
}

/// What must be true of one snapshot.
fn look_by_look(sight: &Sight) -> Result<(), Broken> {
    let [first, second] = &sight.looks;
    for Look { a, b, z } in &sight.looks {
        let three: Vec<&String> = a.iter().filter(|name| *name == THREE_LISTS).collect();
        if a != b || !three.into_iter().eq(z) {
            let what = format!("{} saw A {a:?}, B {b:?}, Z {z:?}", sight.party);
            return Err(Broken::new("atomicity", what));
        }
    }
    match first == second {
        true => Ok(()),
        false => {
            let what = format!("{} saw {first:?}, then {second:?}", sight.party);
            Err(Broken::new("snapshot", what))
        }
    }
}

/// Looks for locks that are left.
pub fn no_lock_is_left(cluster: &MemoryCluster) -> Result<(), Broken> {
    for id in cluster.data_shard_ids() {
        let shard = cluster.shard(id).expect("it exists");
        let locks = mvcc::all_locks(&*shard.engine).expect("the engine works");
        if let Some((key, lock)) = locks.first() {
            let what = format!("shard {id}: {} of {}", key.escape_ascii(), lock.start_ts);
            return Err(Broken::new("locks", what));
        }
    }
    Ok(())
}
