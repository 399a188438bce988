//! Election safety: at most one leader per term (Ongaro and Ousterhout, "In Search of an Understandable
//! Consensus Algorithm", figure 3). And lease safety: once a node serves in a term, none serves in an
//! older one, or two nodes would answer reads at the same time.

use crate::world::World;

/// A node was seen serving in a term, now.
pub fn serving(world: &World, node: u64, term: u64) {
    let mut observed = world.observed.lock();
    let leader = *observed.leaders.entry(term).or_insert(node);
    let newest = observed.serving_term;
    observed.serving_term = newest.max(term);
    drop(observed);
    if leader != node {
        world.fail(
            "election safety",
            format!("nodes {leader} and {node} both serve in term {term}"),
        );
    }
    if term < newest {
        world.fail(
            "lease safety",
            format!("node {node} serves in term {term} while term {newest} is served"),
        );
    }
}
