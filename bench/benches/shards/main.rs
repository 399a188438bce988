//! What sharding costs where nothing but memory is asked: finding a key's shard, a round of the planners, counting load.
//!
//! Run by `make bench-shards`. `bench/shards.py` reads what criterion measured, sets it beside what the design asks for, and
//! writes it to `bench/results/shards.md` with what it measures on running clusters.

#![allow(missing_docs)] // `criterion_group!` makes a public function without words.

mod counters;
mod planners;
mod route;
mod state;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, route::route, planners::planners, counters::counters);
criterion_main!(benches);
