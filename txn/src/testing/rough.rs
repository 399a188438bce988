//! A client of a cluster in memory whose messages take their time, come late or get lost, and whose coordinators die.

use super::MemoryCluster;
use crate::command::{
    LockCancel, LockOwner, LockRequest, LockedKey, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use crate::lock_owners::LockOwners;
use crate::read_points::ReadPoints;
use crate::{Error, Result, Route, ShardClient};
use base::{Rng, Timestamp};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a message finds no leader before its sender gives up.
const ATTEMPTS: u32 = 40;
/// Pause between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest usual way of a message, microseconds.
const DELAY_MAX_US: u64 = 3000;
/// Longest life of a coordinator before it dies or stands still, microseconds.
const DEATH_MAX_US: u64 = 15_000;

/// How rough it is.
#[derive(Clone, Copy, Debug)]
pub struct Roughness {
    /// Share of writes whose request or whose answer gets lost.
    pub loss: f64,
    /// Share of writes that arrive after the TTL of locks.
    pub late: f64,
    /// Share of coordinators that die in the middle of their work.
    pub death: f64,
    /// Share of coordinators that stand still for longer than the TTL of locks, as a paused process does.
    pub stall: f64,
}

/// The client.
pub struct RoughClient {
    cluster: Arc<MemoryCluster>,
    rng: Mutex<Rng>,
    roughness: Roughness,
    /// No faults any more.
    calm: AtomicBool,
    /// Faults so far.
    faults: AtomicU64,
}

impl RoughClient {
    /// A client whose faults a generator decides.
    pub fn new(cluster: Arc<MemoryCluster>, rng: Rng, roughness: Roughness) -> Arc<RoughClient> {
        let (rng, calm, faults) = (Mutex::new(rng), AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(RoughClient { cluster, rng, roughness, calm, faults })
    }

    /// From now on nothing gets lost.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// Messages lost or late and coordinators dead so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    fn fault(&self, share: f64) -> bool {
        let strikes = self.rng.lock().chance(share) && !self.calm.load(Ordering::SeqCst);
        self.faults.fetch_add(u64::from(strikes), Ordering::SeqCst);
        strikes
    }

    async fn delay(&self) {
        let micros = self.rng.lock().below(DELAY_MAX_US);
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

/// Tries again while the shard has no leader, as a router does.
pub(super) async fn routed<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> Result<T> {
    for _ in 0..ATTEMPTS {
        match call().await {
            Err(Error::NotServing { .. }) => tokio::time::sleep(ATTEMPT_PAUSE).await,
            outcome => return outcome,
        }
    }
    call().await
}

#[async_trait::async_trait]
impl ShardClient for RoughClient {
    fn locate(&self, key: &[u8]) -> Result<Route> {
        self.cluster.locate(key)
    }

    fn data_shards(&self) -> Result<Vec<Route>> {
        self.cluster.data_shards()
    }

    async fn read(&self, route: Route, request: ReadRequest) -> Result<ReadResponse> {
        self.delay().await;
        let answer = routed(|| self.cluster.read(route, request.clone())).await;
        self.delay().await;
        answer
    }

    async fn write(&self, route: Route, request: WriteRequest) -> Result<WriteResponse> {
        self.delay().await;
        if self.fault(self.roughness.loss) {
            return Err(Error::OutcomeUnknown { shard: route.shard });
        }
        if self.fault(self.roughness.late) {
            tokio::time::sleep(base::limits::LOCK_TTL * 3 / 2).await;
        }
        let answer = routed(|| self.cluster.write(route, request.clone())).await;
        self.delay().await;
        if answer.is_ok() && self.fault(self.roughness.loss) {
            return Err(Error::OutcomeUnknown { shard: route.shard });
        }
        answer
    }

    async fn lock(&self, route: Route, request: LockRequest) -> Result<Vec<LockedKey>> {
        self.delay().await;
        let again = AtomicBool::new(false);
        let attempt = async || {
            let mut answer = self.cluster.lock(route, request.clone()).await;
            if let (true, Ok(outcomes)) = (again.swap(true, Ordering::SeqCst), &mut answer) {
                outcomes.iter_mut().for_each(LockedKey::set_waited);
            }
            answer
        };
        let answer = routed(attempt).await;
        self.delay().await;
        answer
    }

    async fn release(&self, route: Route, owner: LockOwner, keys: Vec<Bytes>) {
        self.delay().await;
        self.cluster.release(route, owner, keys).await;
    }

    async fn cancel_lock(&self, route: Route, cancel: LockCancel) {
        self.delay().await;
        self.cluster.cancel_lock(route, cancel).await;
    }

    fn lock_owners(&self) -> &Arc<LockOwners> {
        self.cluster.lock_owners()
    }

    async fn timestamp(&self) -> Result<Timestamp> {
        self.delay().await;
        let ts = self.cluster.timestamp().await;
        self.delay().await;
        ts
    }

    fn read_points(&self) -> &Arc<ReadPoints> {
        self.cluster.read_points()
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        let life = Duration::from_micros(self.rng.lock().below(DEATH_MAX_US));
        // A coordinator that dies takes its work with it.
        if self.fault(self.roughness.death) {
            self.cluster.spawn(Box::pin(async move {
                let _ = tokio::time::timeout(life, work).await;
            }));
        } else if self.fault(self.roughness.stall) {
            self.cluster.spawn(Box::pin(async move {
                let mut work = work;
                if tokio::time::timeout(life, &mut work).await.is_err() {
                    tokio::time::sleep(base::limits::LOCK_TTL * 3 / 2).await;
                    work.await;
                }
            }));
        } else {
            self.cluster.spawn(work);
        }
    }

    fn unix_ms(&self) -> u64 {
        self.cluster.unix_ms()
    }

    async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}
