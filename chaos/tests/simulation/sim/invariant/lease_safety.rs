//! Lease safety: what a replica serves is never stale. Each register is linearizable (Herlihy and Wing, 1990):
//! its writes are ordered by their index in the log, so it is enough that a read sees everything that was
//! acknowledged, or read by somebody, before it began. And once a node serves in a term, nobody serves in an
//! older one.

use crate::sim::world::{World, Write};
use bytes::Bytes;

/// A write was acknowledged: whoever reads from now on must see it.
pub fn acknowledged(world: &World, write: &Write) {
    let mut observed = world.observed.lock();
    let Some(index) = observed.index_of.get(&write.number).copied() else {
        drop(observed);
        world.fail("durability", format!("{write:?} was acknowledged before anybody applied it"));
    };
    let seen = observed.registers.entry(write.register).or_default();
    *seen = (*seen).max(index);
}

/// A node was seen serving in a term, now.
pub fn serving(world: &World, node: u64, term: u64) {
    let mut observed = world.observed.lock();
    let newest = observed.serving_term;
    observed.serving_term = newest.max(term);
    drop(observed);
    if term < newest {
        let what = format!("node {node} serves in term {term} while term {newest} is served");
        world.fail("lease safety", what);
    }
}

/// A read that has begun.
pub struct Read {
    /// What it reads.
    register: u64,
    /// The index that it must see.
    floor: u64,
}

impl Read {
    /// A read begins.
    pub fn begin(world: &World, register: u64) -> Read {
        let floor = world.observed.lock().registers.get(&register).copied().unwrap_or(0);
        Read { register, floor }
    }

    /// It is answered.
    pub fn end(self, world: &World, node: u64, term: u64, found: Option<Bytes>) {
        let found = found.map_or(0, |found| {
            String::from_utf8_lossy(&found).parse().expect("a register holds an index")
        });
        world.count("check: lease safety", 1);
        if found < self.floor {
            let Read { register, floor } = self;
            world.fail(
                "lease safety",
                format!(
                    "node {node}, serving in term {term}, read register {register} as of index {found}; \
                     index {floor} had been acknowledged or read before the read began"
                ),
            );
        }
        let mut observed = world.observed.lock();
        let seen = observed.registers.entry(self.register).or_default();
        *seen = (*seen).max(found);
    }
}
