//! Clusters of some megabytes, whose shards are of very different sizes.

use super::*;

const MIB: u64 = 1 << 20;

/// A shard of a map, without its slots: its bytes and its nodes.
type Piece = (u64, Vec<u64>);

/// A cluster of these shards, the meta shard first.
fn cluster(nodes: u64, pieces: &[Piece]) -> (ClusterState, BTreeMap<ShardId, u64>) {
    let data = SlotRange::even(pieces.len() as u32 - 1);
    let slots = std::iter::once(SlotRange { start: 0, end: 0 }).chain(data);
    let shards = (0..).zip(slots).zip(pieces).map(|((id, slots), (_, on))| {
        let replicas = (0..).zip(on).map(|(n, node)| (ReplicaId(id * 10 + n + 1), NodeId(*node)));
        ShardInfo { id: ShardId(id), epoch: ShardEpoch(1), slots, replicas: replicas.collect() }
    });
    let mut state = state(1, nodes, 1);
    state.replication = pieces[0].1.len() as u32;
    state.map = Arc::new(ShardMap::new(1, shards.collect()).unwrap());
    let bytes = (0..).map(ShardId).zip(pieces.iter().map(|(bytes, _)| *bytes)).collect();
    (state, bytes)
}

/// Parts of 40 MiB: eight equal ones, of which random ones are cut in two anywhere until there are so many.
fn cut_at_random(rng: &mut Rng, count: usize) -> Vec<u64> {
    let mut parts = vec![5 * MIB; 8];
    while parts.len() < count {
        let at = rng.below(parts.len() as u64) as usize;
        let away = 1 + rng.below(parts[at] - 1);
        parts[at] -= away;
        parts.push(away);
    }
    parts
}

/// How far a node is from the mean at most, percent.
fn off(state: &ClusterState, bytes: &BTreeMap<ShardId, u64>) -> u64 {
    let held = bytes_held(state, bytes);
    let mean = held.iter().sum::<u64>() / held.len() as u64;
    held.iter().map(|bytes| bytes.abs_diff(mean) * 100 / mean).max().unwrap()
}

/// Carries out the moves that are planned until none is: how many, and how many of them were changes of places.
fn settle_moves(state: &mut ClusterState, bytes: &BTreeMap<ShardId, u64>) -> (u64, u64) {
    let health = alive(state);
    let (mut moves, mut exchanged) = (0, 0);
    for _ in 0..1000 {
        let plan = rebalance(state, &health, bytes, LIMITS);
        if plan.moves.is_empty() {
            return (moves, exchanged);
        }
        for next in &plan.moves {
            moves += 1;
            exchanged += u64::from(next.why.contains("the other way"));
            begin(state, next, 1_000_000 + moves);
        }
        plan.moves.iter().for_each(|next| finish(state, next.shard));
    }
    panic!("no end: {state:?}");
}

#[test]
fn three_nodes_become_six_and_a_few_megabytes_are_within_a_tenth() {
    for seed in 0..100 {
        let mut rng = Rng::seeded(seed);
        let on = vec![1, 2, 3];
        let parts = cut_at_random(&mut rng, 24).into_iter().map(|bytes| (bytes, on.clone()));
        let pieces: Vec<Piece> = std::iter::once((MIB / 4, on.clone())).chain(parts).collect();
        let (mut state, bytes) = cluster(6, &pieces);
        let health = alive(&state);
        let moves = settle(&mut state, &bytes, &health);
        assert!(off(&state, &bytes) <= 10, "seed {seed}: {:?}", bytes_held(&state, &bytes));
        // Half of 75 replicas if all were alike; the large ones go first.
        assert!(moves <= 38, "seed {seed}: {moves}");
        assert_eq!(settle(&mut state, &bytes, &health), 0, "seed {seed}");
    }
}

#[test]
fn a_large_replica_goes_against_a_smaller_one_where_none_is_small_enough_to_go_alone() {
    let pieces = [
        (1, vec![2]),
        (11 * MIB, vec![1]),
        (7 * MIB, vec![1]),
        (3 * MIB, vec![2]),
        (8 * MIB, vec![2]),
    ];
    let (mut state, bytes) = cluster(2, &pieces);
    let health = alive(&state);
    let one = rebalance(&state, &health, &bytes, Limits { moves: 1, ..LIMITS });
    assert_eq!((one.moves.len(), one.replicas_left), (0, 0), "both or none");
    let plan = rebalance(&state, &health, &bytes, LIMITS);
    let ways: Vec<(u64, u64, u64)> =
        plan.moves.iter().map(|next| (next.shard.0, next.from.0, next.to.0)).collect();
    assert_eq!(ways, [(1, 1, 2), (4, 2, 1)]);
    assert_eq!(
        plan.moves[0].why,
        "node 2 holds 11 MiB in 3 replicas, node 1 holds 18 MiB in 2: s1 moves from n1 to n2, and s4 the other way"
    );
    // Begun, they count as done, whichever ends first.
    for (next, id) in plan.moves.iter().zip(70..) {
        begin(&mut state, next, id);
    }
    assert_eq!(rebalance(&state, &health, &bytes, LIMITS).moves, []);
    finish(&mut state, ShardId(4));
    assert_eq!(rebalance(&state, &health, &bytes, LIMITS).moves, []);
    finish(&mut state, ShardId(1));
    assert_eq!(bytes_held(&state, &bytes), [15 * MIB, 14 * MIB + 1]);
    assert_eq!(settle(&mut state, &bytes, &health), 0);
}

#[test]
fn whatever_lies_wherever_comes_to_an_end_and_stays() {
    let (mut exchanged, mut even) = (0, 0);
    for seed in 0..200 {
        let mut rng = Rng::seeded(seed);
        let nodes = 4 + rng.below(4);
        let count = 8 + rng.below(25) as usize;
        let mut pieces: Vec<Piece> = Vec::new();
        for bytes in std::iter::once(MIB / 4).chain(cut_at_random(&mut rng, count)) {
            let mut on = Vec::new();
            while on.len() < 3 {
                let node = 1 + rng.below(nodes);
                if !on.contains(&node) {
                    on.push(node);
                }
            }
            pieces.push((bytes, on));
        }
        let (mut state, bytes) = cluster(nodes, &pieces);
        let before = off(&state, &bytes);
        let (moves, in_exchanges) = settle_moves(&mut state, &bytes);
        exchanged += in_exchanges;
        assert!(moves <= 2 * pieces.len() as u64, "seed {seed}: {moves} moves");
        assert_eq!(settle_moves(&mut state, &bytes), (0, 0), "seed {seed}");
        let after = off(&state, &bytes);
        assert!(after <= before.max(10), "seed {seed}: {before} %, {after} % afterwards");
        even += u32::from(after <= 10);
    }
    assert!(exchanged > 0, "no detour was ever taken");
    assert!(even >= 150, "{even} of 200 are within a tenth");
}
