//! One node's storage: ordered bytes that survive crashes as a consistent prefix, and what we put in
//! them: keys, rows, versions, locks.
//!
//! Reading order: `engine` (the trait), `write_batch`, `rocks` and `sim` (its two implementations),
//! `factory` (opening, sending and installing engines without naming either), `key` and `row` (bytes
//! of keys and rows), `mvcc` (versions of rows, locks of transactions), `folder` (the directory of a
//! node and of a replica).
//!
//! Not here: Raft, shard maps, async. `engine` never names them.

pub mod engine;
pub mod error;
pub mod factory;
pub mod folder;
pub mod key;
pub mod mvcc;
pub mod rocks;
pub mod row;
pub mod sim;
pub mod write_batch;

pub use engine::{Engine, EngineSnapshot};
pub use error::{Error, Result};
pub use factory::{CheckpointFile, EngineFactory, RocksFactory, SimFactory};
pub use rocks::{RocksEngine, RocksOptions, RocksShared};
pub use sim::{ChildStep, SimDisk, SimEngine};
pub use write_batch::{Mutation, WriteBatch};
