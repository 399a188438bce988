//! Log matching: entries of one index and term are the same everywhere, and so are all entries before them (the
//! Raft paper, figure 3). For the second half it is enough that their predecessors have the same term.

use crate::sim::disk;
use crate::sim::world::World;
use raft::codec::{decode_entries, encode_entries};
use raft::log::record::Kind;
use raft::type_config::term_of;

/// Looks at everything on a node's disk.
pub fn check(world: &World, node: u64) {
    let log = world.disks(node).log;
    let key = disk::key(world, node);
    for stands in disk::records(&log) {
        if stands.record.kind != Kind::Entries || stands.record.key != key {
            continue;
        }
        let Ok(entries) = decode_entries(stands.record.payload.clone()) else { continue };
        world.count("check: log matching", entries.len() as u64);
        for entry in entries {
            let id = (entry.log_id.index, term_of(&entry.log_id));
            let sum = checksum(&encode_entries(std::slice::from_ref(&entry)));
            let known = *world.observed.lock().entries.entry(id).or_insert(sum);
            if known != sum {
                let what = format!("node {node} has another entry at (index, term) {id:?}");
                world.fail("log matching", what);
            }
        }
    }
    if world.observed.lock().lost.contains_key(&node) {
        return;
    }
    let (found, _) = disk::read_back(&log);
    let Some(log) = found.index.get(&key) else { return };
    for index in log.first_index() + 1..log.next_index() {
        let (Some(id), Some(before)) = (log.log_id_at(index), log.log_id_at(index - 1)) else {
            world.fail("log matching", format!("node {node} has a hole at index {index}"));
        };
        let (id, before) = ((index, term_of(&id)), term_of(&before));
        let known = *world.observed.lock().predecessors.entry(id).or_insert(before);
        if known != before || before > id.1 {
            let what =
                format!("node {node}: terms {known} and {before} precede (index, term) {id:?}");
            world.fail("log matching", what);
        }
    }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
