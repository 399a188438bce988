//! The shard map: slots → shards → replicas → nodes.
//!
//! ```text
//! slot   0 ……… 8191 │ 8192 ……… 16383 │ …            meta shard: no slots
//! shard      s1     │       s2       │ …                 s0
//! nodes  n1 n2 n3   │   n2 n3 n1     │ …              n1 n2 n3      first = preferred leader
//! ```
//!
//! Invariants, checked whenever a map is made or read:
//! 1. The slots of the data shards cover all slots, each once. Shard 0 is there and has none.
//! 2. Shard ids and replica ids are unique; a shard has at least one replica and no two on one node.
//!
//! Bytes (all numbers little-endian):
//!
//! ```text
//! 1: format = 1 │ 8: map version │ 4: shards │ then per shard:
//! 8: shard id │ 8: epoch │ 4: first slot │ 4: end slot │ 2: replicas │ per replica: 8: replica id │ 8: node id
//! ```

use crate::{Error, Result};
use base::{NodeId, ReplicaId, SLOT_COUNT, ShardEpoch, ShardId, Slot, SlotRange};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Format version of an encoded map.
const FORMAT: u8 = 1;

/// A shard's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// The shard.
    pub id: ShardId,
    /// Version of its bounds, and of its members and their order.
    pub epoch: ShardEpoch,
    /// The slots it owns; empty for the meta shard.
    pub slots: SlotRange,
    /// Its replicas and their nodes; the first one's node is the preferred leader.
    pub replicas: Vec<(ReplicaId, NodeId)>,
}

impl ShardInfo {
    /// The node that should lead when it can.
    pub fn preferred_leader(&self) -> Option<NodeId> {
        self.replicas.first().map(|(_, node)| *node)
    }

    /// Whether a node holds one of its replicas.
    pub fn is_on(&self, node: NodeId) -> bool {
        self.replicas.iter().any(|(_, at)| *at == node)
    }
}

/// Where every slot lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// Grows with every change.
    version: u64,
    /// The meta shard, then the data shards in slot order.
    shards: Vec<ShardInfo>,
    /// Positions of shards, in order of their ids.
    by_id: Vec<usize>,
    /// Every replica, in order.
    replicas: Vec<ReplicaId>,
}

impl ShardMap {
    /// A map of these shards, in any order.
    ///
    /// # Errors
    /// `InvalidMap` when they break an invariant.
    pub fn new(version: u64, mut shards: Vec<ShardInfo>) -> Result<ShardMap> {
        shards.sort_by_key(|shard| (shard.id != ShardId::META, shard.slots.start, shard.id));
        check_slots(&shards)?;
        let mut by_id: Vec<usize> = (0..shards.len()).collect();
        by_id.sort_by_key(|position| shards[*position].id);
        if let Some(pair) = by_id.windows(2).find(|pair| shards[pair[0]].id == shards[pair[1]].id) {
            return Err(invalid(format!("shard {} stands in it twice", shards[pair[0]].id)));
        }
        for shard in &shards {
            check_members(shard)?;
        }
        let all = shards.iter().flat_map(|shard| shard.replicas.iter());
        let mut replicas: Vec<ReplicaId> = all.map(|(replica, _)| *replica).collect();
        replicas.sort();
        if let Some(pair) = replicas.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(twice(pair[0]));
        }
        Ok(ShardMap { version, shards, by_id, replicas })
    }

    /// Puts a shard's new entry in the place of the one that it had. With other slots than before the whole map is made
    /// anew; with the same ones that costs a search or two, however many shards there are.
    ///
    /// # Errors
    /// `InvalidMap` when the map would break an invariant; then it stays as it was.
    pub(crate) fn replace(&mut self, info: ShardInfo) -> Result<()> {
        let known = self.position(info.id);
        let Some(position) = known.filter(|at| self.shards[*at].slots == info.slots) else {
            let id = info.id;
            let others = self.shards.iter().filter(move |known| known.id != id).cloned();
            *self = ShardMap::new(self.version, others.chain([info]).collect())?;
            return Ok(());
        };
        check_members(&info)?;
        let without = |from: &ShardInfo, other: &ShardInfo| -> Vec<ReplicaId> {
            let ids = from.replicas.iter().map(|(replica, _)| *replica);
            ids.filter(|id| other.replicas.iter().all(|(replica, _)| replica != id)).collect()
        };
        let old = &self.shards[position];
        let (coming, going) = (without(&info, old), without(old, &info));
        if let Some(replica) = coming.iter().find(|id| self.replicas.binary_search(id).is_ok()) {
            return Err(twice(*replica));
        }
        for replica in going {
            if let Ok(at) = self.replicas.binary_search(&replica) {
                self.replicas.remove(at);
            }
        }
        for replica in coming {
            if let Err(at) = self.replicas.binary_search(&replica) {
                self.replicas.insert(at, replica);
            }
        }
        self.shards[position] = info;
        Ok(())
    }

    /// The version; of two maps the higher one is newer.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All shards: the meta shard, then the data shards in slot order.
    pub fn shards(&self) -> &[ShardInfo] {
        &self.shards
    }

    /// The meta shard.
    pub fn meta(&self) -> Option<&ShardInfo> {
        self.shards.first()
    }

    /// The data shards in slot order.
    pub fn data_shards(&self) -> &[ShardInfo] {
        self.shards.get(1..).unwrap_or_default()
    }

    /// The data shard that owns a slot.
    pub fn locate(&self, slot: Slot) -> Option<&ShardInfo> {
        let shards = self.data_shards();
        let after = shards.partition_point(|shard| shard.slots.start <= u32::from(slot.0));
        shards.get(after.checked_sub(1)?).filter(|shard| shard.slots.contains(slot))
    }

    /// A shard by its id.
    pub fn shard(&self, id: ShardId) -> Option<&ShardInfo> {
        self.position(id).map(|position| &self.shards[position])
    }

    /// Where a shard stands in `shards`.
    fn position(&self, id: ShardId) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&id, |position| self.shards[*position].id);
        found.ok().map(|at| self.by_id[at])
    }

    /// The bytes of the map.
    pub fn encode(&self) -> Bytes {
        let replicas: usize = self.shards.iter().map(|shard| shard.replicas.len()).sum();
        let mut bytes = BytesMut::with_capacity(13 + self.shards.len() * 26 + replicas * 16);
        bytes.put_u8(FORMAT);
        bytes.put_u64_le(self.version);
        bytes.put_u32_le(self.shards.len() as u32);
        for shard in &self.shards {
            bytes.put_u64_le(shard.id.0);
            bytes.put_u64_le(shard.epoch.0);
            bytes.put_u32_le(shard.slots.start);
            bytes.put_u32_le(shard.slots.end);
            bytes.put_u16_le(shard.replicas.len() as u16);
            for (replica, node) in &shard.replicas {
                bytes.put_u64_le(replica.0);
                bytes.put_u64_le(node.0);
            }
        }
        bytes.freeze()
    }

    /// The map in bytes that `encode` made.
    ///
    /// # Errors
    /// `Unreadable` when they are anything else; `InvalidMap` when the map breaks an invariant.
    pub fn decode(mut bytes: &[u8]) -> Result<ShardMap> {
        let cut = |_| Error::Unreadable { what: "it ends too early".into() };
        let bytes = &mut bytes;
        let format = bytes.try_get_u8().map_err(cut)?;
        if format != FORMAT {
            let what = format!("format {format}, but this node knows format {FORMAT}");
            return Err(Error::Unreadable { what });
        }
        let version = bytes.try_get_u64_le().map_err(cut)?;
        let count = bytes.try_get_u32_le().map_err(cut)?;
        // The counts are not trusted for reserving memory.
        let mut shards = Vec::new();
        for _ in 0..count {
            let id = ShardId(bytes.try_get_u64_le().map_err(cut)?);
            let epoch = ShardEpoch(bytes.try_get_u64_le().map_err(cut)?);
            let start = bytes.try_get_u32_le().map_err(cut)?;
            let end = bytes.try_get_u32_le().map_err(cut)?;
            let mut replicas = Vec::new();
            for _ in 0..bytes.try_get_u16_le().map_err(cut)? {
                let replica = ReplicaId(bytes.try_get_u64_le().map_err(cut)?);
                replicas.push((replica, NodeId(bytes.try_get_u64_le().map_err(cut)?)));
            }
            shards.push(ShardInfo { id, epoch, slots: SlotRange { start, end }, replicas });
        }
        if bytes.has_remaining() {
            let what = format!("{} bytes follow its end", bytes.remaining());
            return Err(Error::Unreadable { what });
        }
        ShardMap::new(version, shards)
    }
}

fn invalid(what: String) -> Error {
    Error::InvalidMap { what }
}

fn twice(replica: ReplicaId) -> Error {
    invalid(format!("replica {replica} stands in it twice"))
}

/// Checks whose slots are whose, of sorted shards.
fn check_slots(shards: &[ShardInfo]) -> Result<()> {
    let Some((meta, data)) = shards.split_first().filter(|(first, _)| first.id == ShardId::META)
    else {
        return Err(invalid("the meta shard is missing".into()));
    };
    if meta.slots.start != meta.slots.end {
        return Err(invalid(format!("the meta shard owns slots {}", meta.slots)));
    }
    let mut next = 0;
    for shard in data {
        let slots = shard.slots;
        if slots.start != next || slots.end <= slots.start || slots.end > SLOT_COUNT {
            let id = shard.id;
            return Err(invalid(format!("shard {id} owns {slots} where slot {next} is next")));
        }
        next = slots.end;
    }
    if next != SLOT_COUNT {
        return Err(invalid(format!("no shard owns the slots from {next} on")));
    }
    Ok(())
}

/// Checks the members of one shard.
fn check_members(shard: &ShardInfo) -> Result<()> {
    let id = shard.id;
    if shard.replicas.is_empty() {
        return Err(invalid(format!("shard {id} has no replica")));
    }
    if shard.replicas.len() > usize::from(u16::MAX) {
        return Err(invalid(format!("shard {id} has {} replicas", shard.replicas.len())));
    }
    // There are a handful.
    for (at, (replica, node)) in shard.replicas.iter().enumerate() {
        let before = &shard.replicas[..at];
        if before.iter().any(|(known, _)| known == replica) {
            return Err(twice(*replica));
        }
        if before.iter().any(|(_, known)| known == node) {
            return Err(invalid(format!("shard {id} has two replicas on node {node}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: u64, start: u32, end: u32) -> ShardInfo {
        let replicas = vec![(ReplicaId(id * 10), NodeId(1)), (ReplicaId(id * 10 + 1), NodeId(2))];
        let slots = SlotRange { start, end };
        ShardInfo { id: ShardId(id), epoch: ShardEpoch(id + 100), slots, replicas }
    }

    fn shards() -> Vec<ShardInfo> {
        vec![shard(2, 30_000, SLOT_COUNT), shard(0, 0, 0), shard(1, 0, 30_000)]
    }

    fn refused(change: impl FnOnce(&mut Vec<ShardInfo>)) -> String {
        let mut shards = shards();
        change(&mut shards);
        ShardMap::new(1, shards).unwrap_err().to_string()
    }

    #[test]
    fn every_slot_is_found_at_the_shard_that_owns_it() {
        let map = ShardMap::new(1, shards()).unwrap();
        let at = |slot| map.locate(Slot(slot)).unwrap().id;
        assert_eq!([at(0), at(29_999)], [ShardId(1); 2]);
        assert_eq!([at(30_000), at(u16::MAX)], [ShardId(2); 2]);
        assert_eq!(map.meta().unwrap().id, ShardId::META);
    }

    #[test]
    fn a_map_with_a_gap_an_overlap_or_a_twin_is_refused() {
        assert!(refused(|s| s[0].slots.start = 30_001).contains("slot 30000 is next"));
        assert!(refused(|s| s[0].slots.start = 29_999).contains("slot 30000 is next"));
        assert!(refused(|s| s[0].slots.end = 60_000).contains("from 60000 on"));
        assert!(refused(|s| drop(s.remove(1))).contains("meta shard is missing"));
        assert!(refused(|s| s[1].slots.end = 1).contains("owns slots 0..1"));
        assert!(refused(|s| s[0].id = ShardId(1)).contains("twice"));
        assert!(refused(|s| s[0].replicas[0].0 = ReplicaId(11)).contains("r11"));
        assert!(refused(|s| s[0].replicas[0].1 = NodeId(2)).contains("two replicas on node n2"));
        assert!(refused(|s| s[0].replicas.clear()).contains("no replica"));
    }

    #[test]
    fn a_replaced_entry_gives_the_map_that_would_be_made_anew() {
        let mut map = ShardMap::new(1, shards()).unwrap();
        let moved = |id: u64, replica: u64, node: u64| {
            let mut info = shards().into_iter().find(|shard| shard.id.0 == id).unwrap();
            info.replicas[1] = (ReplicaId(replica), NodeId(node));
            info
        };
        map.replace(moved(1, 99, 3)).unwrap();
        let others = shards().into_iter().filter(|shard| shard.id.0 != 1);
        let anew = ShardMap::new(1, others.chain([moved(1, 99, 3)]).collect()).unwrap();
        assert_eq!(map, anew);
        assert_eq!(map.shard(ShardId(1)), Some(&moved(1, 99, 3)));
        // The id that went is free again, the one that came is taken.
        assert!(map.replace(moved(2, 99, 3)).unwrap_err().to_string().contains("r99"));
        assert!(map.replace(moved(2, 20, 3)).unwrap_err().to_string().contains("r20"));
        assert!(map.replace(moved(2, 30, 1)).unwrap_err().to_string().contains("two replicas"));
        assert_eq!(map, anew, "what is refused changes nothing");
        map.replace(moved(2, 11, 3)).unwrap();
        // Other slots: checked as a whole.
        let mut wide = moved(1, 99, 3);
        wide.slots.end += 1;
        assert!(map.replace(wide).unwrap_err().to_string().contains("is next"));
        assert_eq!(map.shard(ShardId(7)), None);
    }

    #[test]
    fn bytes_round_trip_and_every_cut_is_an_error() {
        let map = ShardMap::new(7, shards()).unwrap();
        let bytes = map.encode();
        assert_eq!(ShardMap::decode(&bytes).unwrap(), map);
        for end in 0..bytes.len() {
            assert!(ShardMap::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(ShardMap::decode(&longer).is_err());
    }

    #[test]
    fn a_map_of_another_format_is_refused_by_name() {
        let mut bytes = ShardMap::new(7, shards()).unwrap().encode().to_vec();
        bytes[0] = 9;
        let error = ShardMap::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("format 9"));
    }
}
