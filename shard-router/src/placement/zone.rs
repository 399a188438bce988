//! What fails together: the zones and cities that nodes name, as numbers that are quick to compare.

use base::NodeId;
use std::collections::BTreeMap;

/// What a replica in the same zone counts for, as against one that is only in the same city.
const SAME_ZONE: u32 = 64;

/// Where a node is; 0 where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Zone {
    city: u32,
    zone: u32,
}

impl Zone {
    /// How crowded it would be here for a replica, beside others of its shard that are in these zones.
    pub(crate) fn crowding(self, others: impl Iterator<Item = Zone>) -> u32 {
        let near = |other: Zone| match self {
            _ if self.zone != 0 && self.zone == other.zone => SAME_ZONE,
            _ if self.city != 0 && self.city == other.city => 1,
            _ => 0,
        };
        others.map(near).sum()
    }

    /// Whether the node says where it is.
    pub(crate) fn is_known(self) -> bool {
        self.zone != 0
    }
}

/// Where nodes are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zones {
    of: BTreeMap<NodeId, Zone>,
}

impl Zones {
    /// From what nodes say: `zone` or `city/zone`.
    pub(crate) fn new<'a>(said: impl Iterator<Item = (NodeId, &'a str)>) -> Zones {
        let mut numbers: BTreeMap<&'a str, u32> = BTreeMap::new();
        let mut number = |name: &'a str| {
            let next = numbers.len() as u32 + 1;
            if name.is_empty() { 0 } else { *numbers.entry(name).or_insert(next) }
        };
        let zone = |(node, name): (NodeId, &'a str)| {
            let city = name.split('/').next().unwrap_or_default();
            (node, Zone { city: number(city), zone: number(name) })
        };
        Zones { of: said.map(zone).collect() }
    }

    /// Where a node is.
    pub(crate) fn of(&self, node: NodeId) -> Zone {
        self.of.get(&node).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_crowded_by_its_own_and_a_little_by_its_city() {
        let names = ["a/1", "a/2", "b/1", "c", "", ""];
        let zones = Zones::new((1..).map(NodeId).zip(names));
        let of = |node| zones.of(NodeId(node));
        let beside = |node, others: &[u64]| of(node).crowding(others.iter().map(|node| of(*node)));
        assert_eq!(beside(1, &[1]), SAME_ZONE);
        assert_eq!(beside(1, &[2, 3, 4]), 1);
        assert_eq!(beside(4, &[4, 1]), SAME_ZONE);
        assert_eq!(beside(5, &[5, 6, 1]), 0, "who says nothing is near nobody");
        assert!(of(4).is_known() && !of(5).is_known());
        assert_eq!(of(9), Zone::default());
    }
}
