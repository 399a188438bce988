//! Nothing acknowledged is ever lost, and nothing appears that nobody sent.

use crate::sim::node::write_key;
use crate::sim::world::World;
use base::KeyRange;
use std::time::Duration;

/// Writes of this last time may not have reached every follower yet.
const ON_THEIR_WAY: Duration = Duration::from_secs(5);

/// After everything is healed and all replicas had time to catch up.
pub fn check(world: &World) {
    let observed = world.observed.lock();
    let acknowledged = observed.acknowledged.clone();
    let groups = observed.groups.clone();
    let sent = observed.sent.clone();
    drop(observed);
    let newest = acknowledged.values().max().copied().unwrap_or_default();
    let settled = newest.saturating_sub(ON_THEIR_WAY);
    for node in world.members_left() {
        let Some(group) = groups.get(&node) else {
            world.fail("liveness", format!("node {node} does not run at the end"));
        };
        let engine = group.engine();
        for (write, at) in acknowledged.iter().filter(|(_, at)| **at <= settled) {
            let found = engine.get(&write_key(*write)).expect("a simulated engine can be read");
            if found.is_none() {
                let status = group.status();
                let what = format!(
                    "write {write}, acknowledged at {at:?}, is not at node {node}: {status:?}"
                );
                world.fail("durability", what);
            }
        }
        world.count("check: acknowledged is durable", acknowledged.len() as u64);
        let mut invented = None;
        let scanned = engine.scan(&KeyRange::prefix("write/"), &mut |_, value| {
            let number = String::from_utf8_lossy(value).parse().unwrap_or(0);
            invented = (!sent.contains(&number)).then_some(number);
            Ok(invented.is_none())
        });
        scanned.expect("a simulated engine can be read");
        if let Some(invented) = invented {
            world.fail(
                "integrity",
                format!("node {node} holds write {invented}, which nobody sent"),
            );
        }
    }
}
