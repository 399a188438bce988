//! What a simulated node runs: a Raft host with one replica, and clients beside it.

use super::clock::{self, SimClock};
use super::mail::Mail;
use super::net::{self, SimDialer};
use super::world::{SHARD, World, Write, first_replica};
use super::{clients, invariant};
use base::NodeId;
use bytes::Bytes;
use engine::{SimFactory, WriteBatch};
use raft::host::{Host, HostConfig};
use raft::log::{FlushMode, LogOptions};
use raft::state_machine::StateMachine;
use std::path::PathBuf;
use std::sync::Arc;

/// A command says which write it is; applying it stores the write, sets its register, and marks its index.
struct Registers {
    node: u64,
    world: Arc<World>,
}

impl StateMachine for Registers {
    fn apply(&self, index: u64, command: &[u8], batch: &mut WriteBatch) -> engine::Result<()> {
        let Some(write) = decode(command) else {
            let what = format!("at index {index}: {}", command.escape_ascii());
            self.world.fail("integrity: a command that nobody sent", what);
        };
        invariant::state_machine_safety::applied(&self.world, self.node, index, write);
        batch.put(write_key(write.number), write.number.to_string());
        batch.put(register_key(write.register), index.to_string());
        batch.put(index_key(index), write.number.to_string());
        Ok(())
    }
}

/// A write as a command, with `padding` bytes behind it.
pub fn encode(write: &Write, padding: u64) -> Bytes {
    let Write { number, register, term } = write;
    let mut command = format!("{number:08} {register} {term:08} ").into_bytes();
    command.resize(command.len() + padding as usize, b'.');
    command.into()
}

/// The write in a command.
fn decode(command: &[u8]) -> Option<Write> {
    let mut words = std::str::from_utf8(command).ok()?.split(' ').map(|word| word.parse().ok());
    let mut word = || words.next().flatten();
    Some(Write { number: word()?, register: word()?, term: word()? })
}

/// Engine key of a write.
pub fn write_key(number: u64) -> Bytes {
    format!("write/{number:08}").into()
}

/// Engine key of a register: it holds the index of its last write.
pub fn register_key(register: u64) -> Bytes {
    format!("register/{register}").into()
}

/// Engine key of an index: it holds the number of the write there.
pub fn index_key(index: u64) -> Bytes {
    format!("index/{index:08}").into()
}

/// A node's data folder.
pub fn data_dir(node: u64) -> PathBuf {
    PathBuf::from(format!("node-{node}"))
}

/// Runs a node until its power is cut.
pub async fn run(node: u64, world: Arc<World>) -> turmoil::Result {
    let disks = world.disks(node);
    tokio::spawn(clock::drift(world.plan.clock_rates[&node]));
    let mut config = HostConfig::new(NodeId(node), data_dir(node), Arc::new(SimClock::new()));
    config.flush_mode = FlushMode::Task;
    config.log = LogOptions { segment_bytes: world.plan.segment_bytes, ..config.log };
    let factory = Arc::new(SimFactory::new(disks.engine));
    let dialer = Arc::new(SimDialer { node, world: world.clone() });
    let host = Host::open(config, factory, Arc::new(disks.log), dialer)?;
    let listener = turmoil::net::TcpListener::bind(("0.0.0.0", net::PORT)).await?;
    let mail = Mail::new(host.service(), world.clone());
    let server = tonic::transport::Server::builder().add_service(mail);
    tokio::spawn(server.serve_with_incoming(net::incoming(listener)));
    let replica = world.replica(node);
    let machine = Arc::new(Registers { node, world: world.clone() });
    let group = match host.start_replica(SHARD, replica, machine).await {
        Ok(group) => group,
        Err(raft::Error::Recovering { what, .. }) => {
            invariant::recovering_never_votes::refused(&world, node, &what);
            // The process goes on, as with other replicas it would; this one takes no part.
            std::future::pending().await
        }
        Err(error) => return Err(error.into()),
    };
    invariant::recovering_never_votes::started(&world, node);
    invariant::committed_never_changes::check(&world, node, &group);
    world.observed.lock().groups.insert(node, group.clone());
    if node == 1 && replica == first_replica(node) {
        host.bootstrap(SHARD, world.members()).await?;
    }
    world.event(&format!("node {node} runs replica {replica}"));
    clients::run(node, world, group).await;
    drop(host);
    Ok(())
}
