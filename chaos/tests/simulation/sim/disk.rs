//! Looks at what lies on a node's disks while it is off, and does what disks do.

use super::node::data_dir;
use super::world::{Disks, SHARD, World};
use base::Rng;
use bytes::Bytes;
use engine::folder::ReplicaIdentity;
use engine::mvcc::APPLIED_KEY;
use engine::{EngineFactory, SimFactory};
use raft::applier::read_applied;
use raft::log::disk::{LogDisk, LogFile, SimLogDisk};
use raft::log::index::{Found, ReplicaLog};
use raft::log::record::{self, Key, Kind, Record};
use raft::log::recover::{self, Recovered};
use raft::log::segment::{self, Position, SEGMENT_HEADER_BYTES};
use raft::log::watermark::{Watermark, WatermarkFiles};
use raft::type_config::LogId;
use std::sync::Arc;

/// A record and where it stands.
pub struct Stands {
    /// Its file.
    pub name: String,
    /// Where it begins.
    pub position: Position,
    /// Where it ends.
    pub end: u64,
    /// The record.
    pub record: Record,
}

/// All records on a disk that can be read, in order.
pub fn records(log: &SimLogDisk) -> Vec<Stands> {
    let mut found = Vec::new();
    for name in log.list().expect("a simulated disk can be listed") {
        let Some(number) = segment::segment_number(&name) else { continue };
        let content = content(log, &name);
        if segment::decode_header(&content) != Some(number) {
            continue;
        }
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some((record, end)) = record::decode(&content, offset, number) {
            let position = Position { segment: number, offset };
            let sealed = record.kind == Kind::Seal;
            found.push(Stands { name: name.clone(), position, end, record });
            offset = end;
            if sealed {
                break;
            }
        }
    }
    found
}

fn content(log: &SimLogDisk, name: &str) -> Bytes {
    let file: Arc<dyn LogFile> = log.open(name).expect("a simulated file can be opened");
    let length = file.length().expect("a simulated file has a length");
    let mut content = vec![0; length as usize];
    file.read_at(0, &mut content).expect("a simulated file can be read");
    content.into()
}

/// The log as a start would find it; the disk stays as it is.
pub fn read_back(log: &SimLogDisk) -> (Recovered, Watermark) {
    let fork: Arc<dyn LogDisk> = Arc::new(log.fork());
    let (_, watermark) = WatermarkFiles::open(fork.clone()).expect("one watermark file is whole");
    let recovered = recover::recover(&fork, usize::MAX, &watermark);
    (recovered.expect("a simulated log can be read"), watermark)
}

/// A node's replica, as its log names it.
pub fn key(world: &World, node: u64) -> Key {
    (SHARD, world.replica(node))
}

/// The last entry in the state of a node that is off.
pub fn applied(world: &World, node: u64, disks: &Disks) -> Option<LogId> {
    let (shard, replica) = key(world, node);
    let folder =
        data_dir(node).join("replicas").join(ReplicaIdentity::new(shard, replica).folder_name());
    let engine = SimFactory::new(disks.engine.clone()).open(&folder);
    let engine = engine.expect("the engine of a node that is off can be opened");
    read_applied(engine.get(APPLIED_KEY)).expect("an applied record can be read").0
}

/// The beginning of a write behind the end of the log: the next power cut may leave some of it. It repeats
/// the last record, so that it says nothing new when all of it stays.
pub fn half_write(log: &SimLogDisk) -> bool {
    let all = records(log);
    let Some(last) = all.last().filter(|last| last.record.kind == Kind::Entries) else {
        return false;
    };
    let mut bytes = Vec::new();
    let Record { kind, key, payload } = &last.record;
    record::encode(&mut bytes, last.position.segment, *kind, *key, payload);
    let file = log.open(&last.name).expect("a simulated file can be opened");
    let fits =
        last.end + bytes.len() as u64 <= file.length().expect("a simulated file has a length");
    fits && file.write_at(last.end, &bytes).is_ok()
}

/// What a start would miss in `after` of what it had in `before`, and needs: its vote, or entries above its
/// state.
fn lost(before: &ReplicaLog, after: Option<&ReplicaLog>, applied: Option<LogId>) -> Option<String> {
    let vote = after.and_then(|log| log.vote);
    if vote < before.vote {
        return Some("its vote".to_string());
    }
    let from = applied.map_or(0, |applied| applied.index + 1).max(before.first_index());
    let missing = (from..before.next_index())
        .find(|index| after.and_then(|log| log.log_id_at(*index)) != before.log_id_at(*index));
    missing.map(|index| format!("the entry at index {index}"))
}

/// Changes a byte of a record that was synced and acknowledged and is still needed. Returns what the replica
/// has lost by it; `None` when there was no such record, and then nothing is changed.
pub fn rot(world: &World, node: u64, rng: &mut Rng) -> Option<String> {
    let disks = world.disks(node);
    let key = key(world, node);
    let (before, watermark) = read_back(&disks.log);
    let before = before.index.get(&key)?;
    let applied = applied(world, node, &disks);
    let from = applied.map_or(0, |applied| applied.index + 1);
    let needed: Vec<Position> = before
        .find(from, u64::MAX, usize::MAX)
        .into_iter()
        .filter_map(|found| match found {
            Found::OnDisk(at, _) => Some(at.position),
            Found::Cached(_) => None,
        })
        .collect();
    let all = records(&disks.log);
    let is_vote = |stands: &&Stands| stands.record.kind == Kind::Vote && stands.record.key == key;
    let last_vote = all.iter().rfind(is_vote);
    let mut candidates: Vec<&Stands> = all
        .iter()
        .filter(|stands| needed.contains(&stands.position))
        .chain(last_vote)
        .filter(|stands| Position { offset: stands.end, ..stands.position } <= watermark.position)
        .collect();
    while !candidates.is_empty() {
        let chosen = candidates.swap_remove(rng.below(candidates.len() as u64) as usize);
        let length = chosen.end - chosen.position.offset;
        let at = chosen.position.offset + rng.below(length);
        let mask = 1 << rng.below(8);
        let rotten = disks.log.fork();
        rotten.corrupt(&chosen.name, at, mask);
        let (after, _) = read_back(&rotten);
        if let Some(what) = lost(before, after.index.get(&key), applied) {
            disks.log.corrupt(&chosen.name, at, mask);
            return Some(format!("{what}, by rot in {} at byte {at}", chosen.name));
        }
    }
    None
}
