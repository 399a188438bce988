//! Nothing acknowledged is ever lost: leader completeness (same paper, figure 3) as a client sees it.
//! And nothing appears that nobody sent.

use crate::node::key;
use crate::world::{NODES, World};
use base::KeyRange;

/// After everything is healed and all replicas had time to catch up.
pub fn check(world: &World) {
    let observed = world.observed.lock();
    // Writes of the last moments may not have reached every follower yet.
    let newest = observed.acknowledged.values().max().copied().unwrap_or_default();
    let settled = newest.saturating_sub(std::time::Duration::from_secs(5));
    for node in NODES {
        let Some(group) = observed.groups.get(&node) else {
            drop(observed);
            world.fail("liveness", format!("node {node} does not run at the end"));
        };
        let engine = group.engine();
        for (write, at) in &observed.acknowledged {
            let found = engine
                .get(&key(write.to_string().as_bytes()))
                .expect("a simulated engine can be read");
            if found.is_none() && *at <= settled {
                let (write, at, status) = (*write, *at, group.status());
                drop(observed);
                world.fail(
                    "durability",
                    format!(
                        "write {write}, acknowledged at {at:?}, is not at node {node}: {status:?}"
                    ),
                );
            }
        }
        let mut invented = None;
        engine
            .scan(&KeyRange::prefix("write/"), &mut |found, value| {
                let number = String::from_utf8_lossy(value).parse().unwrap_or(0);
                if !observed.sent.contains(&number) {
                    invented = Some(found.escape_ascii().to_string());
                }
                Ok(invented.is_none())
            })
            .expect("a simulated engine can be read");
        if let Some(invented) = invented {
            drop(observed);
            world.fail("integrity", format!("node {node} holds {invented}, which nobody wrote"));
        }
    }
}
