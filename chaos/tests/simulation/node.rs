//! What a simulated node runs: a Raft host with one replica, and a client that writes while it leads.

use crate::invariant;
use crate::net::{self, SimDialer};
use crate::world::{SHARD, World, members, replica};
use base::{Clock, NodeId};
use bytes::Bytes;
use engine::{SimFactory, WriteBatch};
use raft::host::{Host, HostConfig};
use raft::log::FlushMode;
use raft::replica_group::ReplicaGroup;
use raft::state_machine::StateMachine;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two writes of the leader's client.
const WRITE_PAUSE: Duration = Duration::from_millis(25);

/// The clock of a simulated host.
struct SimClock(tokio::time::Instant);

#[allow(clippy::disallowed_methods)] // The simulation's own clock.
impl SimClock {
    fn new() -> SimClock {
        SimClock(tokio::time::Instant::now())
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        turmoil::sim_elapsed().unwrap_or_default().as_micros() as u64
    }
}

/// A command is a write's number; applying it stores the number.
struct Numbers {
    node: u64,
    world: Arc<World>,
}

impl StateMachine for Numbers {
    fn apply(&self, index: u64, command: &[u8], batch: &mut WriteBatch) -> engine::Result<()> {
        invariant::state_machine_safety::applied(&self.world, self.node, index, command);
        batch.put(key(command), Bytes::copy_from_slice(command));
        Ok(())
    }
}

/// Engine key of a write.
pub fn key(command: &[u8]) -> Bytes {
    [b"write/", command].concat().into()
}

/// Runs a node until its power is cut.
pub async fn run(node: u64, world: Arc<World>) -> turmoil::Result {
    let disks = &world.disks[&node];
    let mut config =
        HostConfig::new(NodeId(node), format!("node-{node}"), Arc::new(SimClock::new()));
    config.flush_mode = FlushMode::Task;
    let factory = Arc::new(SimFactory::new(disks.engine.clone()));
    let host = Host::open(config, factory, Arc::new(disks.log.clone()), Arc::new(SimDialer))?;
    let listener = turmoil::net::TcpListener::bind(("0.0.0.0", net::PORT)).await?;
    let server = tonic::transport::Server::builder().add_service(host.service());
    tokio::spawn(server.serve_with_incoming(net::incoming(listener)));
    let machine = Arc::new(Numbers { node, world: world.clone() });
    let group = host.start_replica(SHARD, replica(node), machine).await?;
    world.observed.lock().groups.insert(node, group.clone());
    if node == 1 {
        host.bootstrap(SHARD, members()).await?;
    }
    world.event(&format!("node {node} runs"));
    write_while_leading(node, &world, group).await;
    Ok(())
}

async fn write_while_leading(node: u64, world: &Arc<World>, group: Arc<dyn ReplicaGroup>) {
    loop {
        tokio::time::sleep(WRITE_PAUSE).await;
        let Some(term) = group.serving_term() else { continue };
        invariant::one_leader_per_term::serving(world, node, term);
        let write = {
            let mut observed = world.observed.lock();
            observed.next_write += 1;
            let write = observed.next_write;
            observed.sent.insert(write);
            write
        };
        let (world, group) = (world.clone(), group.clone());
        // Writes overlap, so that several are on their way when the power goes.
        tokio::spawn(async move {
            let outcome = group.propose(term, Bytes::from(write.to_string())).await;
            let now = turmoil::sim_elapsed().unwrap_or_default();
            world.event(&format!("{now:?} node {node} term {term} write {write}: {outcome:?}"));
            if outcome.is_ok() {
                world.observed.lock().acknowledged.insert(write, now);
            }
        });
    }
}
