//! Benchmarks.
//!
//! `quick.py` (`make bench-quick`) runs sysbench against this project and MariaDB, interleaved in one run,
//! and writes `results/quick.md` and `results/quick.json`. The criterion benchmarks lie beside what they
//! measure: `engine/benches/{codec,point_get}.rs`, `raft/benches/log_append.rs` (`make bench-micro`).
//! `benches/replication/` (`make bench-replication`) runs three nodes in one process: the log beside a bare
//! fdatasync loop, replicated writes, timestamps from the oracle, idle replicas, the rebuild of a replica under load.
//!
//! `shards.py` (`make bench-shards`) sets what sharding costs beside what is asked of it: `benches/shards/` (a key's shard, the
//! planners, load counters) and clusters with many shards, splits, leader moves, replica moves and a node that joins.
//! `examples/latency.rs` is its client. What each benchmark is for: `docs/how-to/run-benchmarks.md`.
