//! The node's side of `node.proto`: calls of other nodes, answered as they finish.

use crate::activity_wire;
use crate::cluster_wire as cw;
use crate::compare;
use crate::directory::Directory;
use crate::follower_reads::FollowerReads;
use crate::founding::Founding;
use crate::gossip::Gossip;
use crate::local_shards::{LocalShard, LocalShards};
use crate::lock_handover::LockHandover;
use crate::lock_survey::LockSurvey;
use crate::members::Members;
use crate::meta_store::MetaStore;
use crate::peers::Peers;
use crate::wire;
use crate::{shard_merge, shard_split};
use base::limits::{
    LANE_QUEUE_MAX, MESSAGE_BYTES_MAX, SCAN_BYTES_MAX, SCAN_SHARDS_MAX, SCANS_AT_A_STRETCH,
};
use base::{ClusterId, NodeId, ShardId, TableId};
use futures::Stream;
use proto::node as pb;
use proto::node::node_server::{Node, NodeServer};
use shard_router::{ClusterState, NodeInfo, NodeState};
use sql::activity::ActivityPart;
use sql::instance::{Instance, TableWanted};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use txn::command::LockOwner;
use txn::{Error, Oracle};

/// Answers packed into one frame.
const FRAME_ANSWERS_MAX: usize = 256;

/// What answers need once the node knows its cluster.
pub struct Running {
    /// Local replicas.
    pub local: Arc<LocalShards>,
    /// The newest cluster state.
    pub directory: Arc<Directory>,
    /// How nodes are, and who may take part.
    pub gossip: Arc<Gossip>,
    /// Groups that are led here.
    pub members: Arc<Members>,
    /// Lets nodes in.
    pub meta: MetaStore,
    /// Passes calls on.
    pub peers: Arc<Peers>,
    /// Owners of row locks, and deadlocks.
    pub lock_survey: Arc<LockSurvey>,
    /// Row locks that come with a leadership.
    pub lock_handover: Arc<LockHandover>,
    /// Reads at replicas that do not lead.
    pub follower_reads: Arc<FollowerReads>,
}

/// What answers need.
pub struct NodeService {
    /// Calls from another cluster are refused.
    pub cluster: ClusterId,
    /// What nodes say that do not know the cluster's number yet: a hash of its name.
    pub name: u64,
    /// Answers while a new cluster begins.
    pub founding: Arc<Founding>,
    /// The rest; set once this node knows its cluster.
    pub running: Arc<OnceLock<Running>>,
    /// The SQL layer; set once it runs.
    pub instance: Arc<OnceLock<Arc<Instance>>>,
}

impl NodeService {
    /// The service, ready for the node's gRPC server.
    pub fn into_server(self) -> NodeServer<Calls> {
        NodeServer::new(Calls(Arc::new(self)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Whether a call may be answered: it comes from this cluster, or from a node that has an empty folder and knows
    /// no more than the cluster's name.
    fn welcome(&self, cluster: u64, request: Option<&pb::call::Request>) -> bool {
        use pb::call::Request as Call;
        let asks = matches!(request, Some(Call::Status(_) | Call::Cluster(_) | Call::Join(_)));
        cluster == self.cluster.get() || (asks && cluster == self.name)
    }

    async fn answer(&self, request: pb::call::Request) -> pb::answer::Response {
        match (self.running.get(), request) {
            (_, pb::call::Request::AnnounceCatalog(announced)) => self.announced(announced).await,
            (_, pb::call::Request::TableLocksChanged(changed)) => {
                self.table_locks_changed(changed).await
            }
            (_, pb::call::Request::KillSession(kill)) => {
                let killed = self
                    .instance
                    .get()
                    .map(|instance| instance.kill(kill.connection_id, kill.connection).is_ok());
                let found = killed.unwrap_or(false);
                pb::answer::Response::SessionKilled(pb::SessionKilled { found })
            }
            (_, pb::call::Request::Activity(request)) => match self.instance.get() {
                Some(instance) => {
                    let part = match request.sessions_only {
                        true => ActivityPart::Sessions,
                        false => ActivityPart::All,
                    };
                    let activity = activity_wire::activity_to_pb(instance.activity(part));
                    pb::answer::Response::Activity(activity)
                }
                None => starting(),
            },
            (_, pb::call::Request::Ping(_)) => pb::answer::Response::Pong(pb::Pong {}),
            (Some(running), request) => running.answer(request).await,
            // A new cluster begins: its nodes look for each other.
            (None, pb::call::Request::Status(request)) => {
                pb::answer::Response::Status(self.founding.answer(&request))
            }
            (None, pb::call::Request::Cluster(_)) => match self.founding.state() {
                Some(state) => pb::answer::Response::Cluster(cw::state_to_pb(&state)),
                None => starting(),
            },
            (None, _) => starting(),
        }
    }

    async fn announced(&self, announced: pb::AnnounceCatalog) -> pb::answer::Response {
        use pb::answer::Response as Answer;
        match self.instance.get() {
            // A node whose SQL layer has not started holds no old catalog.
            None => Answer::CatalogLoaded(pb::CatalogLoaded { version: announced.version }),
            Some(instance) => match instance.catalog_announced(announced.version).await {
                Ok(()) => {
                    Answer::CatalogLoaded(pb::CatalogLoaded { version: instance.catalog_version() })
                }
                Err(error) => unavailable(error.to_string()),
            },
        }
    }

    async fn table_locks_changed(&self, changed: pb::TableLocksChanged) -> pb::answer::Response {
        use pb::answer::Response as Answer;
        let version = changed.version;
        // A node whose SQL layer has not started runs no statement.
        let Some(instance) = self.instance.get() else {
            return Answer::TablesUsed(pb::TablesUsed { version, used: false });
        };
        let wanted: Vec<TableWanted> = changed
            .tables
            .iter()
            .map(|wanted| TableWanted {
                table: TableId(wanted.table),
                write: wanted.write,
                older_than: (wanted.older_than > 0).then_some(wanted.older_than),
            })
            .collect();
        match instance.table_locks_announced(version, &wanted).await {
            Ok(used) => Answer::TablesUsed(pb::TablesUsed { version, used }),
            Err(error) => unavailable(error.to_string()),
        }
    }
}

impl Running {
    async fn answer(&self, request: pb::call::Request) -> pb::answer::Response {
        use pb::answer::Response as Answer;
        use pb::call::Request as Call;
        match request {
            Call::Read(message) => {
                let at_follower = message.at_follower;
                let (route, request) = wire::read_from_pb(message);
                wire::read_answer_to_pb(match self.local(route) {
                    Ok(_) if at_follower => self.follower_reads.read(route, request).await,
                    Ok(local) => local.shard.read(route.slots, request).await,
                    Err(error) => Err(error),
                })
            }
            Call::ShardScans(scans) => Answer::ShardPages(self.scans(scans).await),
            Call::Write(message) => {
                let Some((route, request)) = wire::write_from_pb(message) else {
                    return bad_call("a write of an unknown kind");
                };
                wire::write_answer_to_pb(match self.local(route) {
                    Ok(local) => local.shard.write(route.slots, request).await,
                    Err(error) => Err(error),
                })
            }
            Call::Lock(message) => {
                let Some((route, request)) = wire::lock_from_pb(message) else {
                    return bad_call("a lock request of an unknown kind");
                };
                wire::lock_answer_to_pb(match self.local(route) {
                    Ok(local) => local.shard.lock(route.slots, request).await,
                    Err(error) => Err(error),
                })
            }
            Call::LockRelease(release) => {
                let shard = ShardId(release.shard);
                let released = match self.local.get(shard) {
                    Some(local) => local.shard.release(LockOwner(release.owner), &release.keys),
                    None => Err(Error::NotServing { shard, leader: None }),
                };
                match released {
                    Ok(()) => Answer::LockReleased(pb::LockReleased {}),
                    Err(error) => Answer::Failure(wire::failure_to_pb(error)),
                }
            }
            Call::LockCancel(message) => {
                let (shard, cancel) = wire::lock_cancel_from_pb(message);
                let cancelled = match self.local.get(shard) {
                    Some(local) => local.shard.cancel_lock(&cancel),
                    None => Err(Error::NotServing { shard, leader: None }),
                };
                match cancelled {
                    Ok(()) => Answer::LockReleased(pb::LockReleased {}),
                    Err(error) => Answer::Failure(wire::failure_to_pb(error)),
                }
            }
            Call::LockHandover(message) => Answer::LocksKept(self.lock_handover.receive(message)),
            Call::CloseTimestamp(request) => {
                Answer::TimestampClosed(self.follower_reads.close(request).await)
            }
            Call::LockOwners(request) => {
                Answer::LockOwnersAlive(self.lock_survey.answer_owners(request))
            }
            Call::LockWaits(waits) => Answer::LockVictims(self.lock_survey.answer_waits(waits)),
            Call::Timestamps(request) => {
                let outcome = match self.local.oracle() {
                    Some(oracle) => oracle.timestamps(request.count).await,
                    None => Err(Error::NotServing { shard: ShardId::META, leader: None }),
                };
                match outcome {
                    Ok(first) => Answer::Timestamps(pb::Timestamps { first: first.0 }),
                    Err(error) => Answer::Failure(wire::failure_to_pb(error)),
                }
            }
            Call::Relay(relay) => Answer::Relayed(Box::new(self.peers.pass_on(*relay).await)),
            // Answered before: they need no cluster.
            Call::AnnounceCatalog(_)
            | Call::TableLocksChanged(_)
            | Call::Ping(_)
            | Call::KillSession(_)
            | Call::Activity(_) => bad_call("a call out of place"),
            Call::Status(request) => Answer::Status(self.gossip.answer(&request)),
            Call::Cluster(_) => Answer::Cluster(cw::state_to_pb(&self.directory.state())),
            Call::Group(request) => self.members.answer_group(ShardId(request.shard)),
            Call::MemberChange(change) => self.members.answer_change(change).await,
            Call::SplitShard(split) => shard_split::answer(&self.local, split).await,
            Call::MergeShards(merge) => shard_merge::answer(&self.members, merge).await,
            Call::MergeAsk(ask) => shard_merge::answer_ask(&self.members, ask).await,
            Call::Join(request) => match self.let_in(request).await {
                Ok(joined) => Answer::Joined(joined),
                Err(what) => unavailable(what),
            },
            Call::Compare(request) => {
                let compared = match self.local.get(ShardId(request.shard)) {
                    Some(local) => compare::compare_led_here(&local.group).await,
                    None => Err("it holds no replica of the shard".to_string()),
                };
                compared.map_or_else(unavailable, Answer::Compared)
            }
        }
    }

    /// First pages of shards that are led here. Where something is in the way, and once the answer is full, the asker asks for
    /// that part alone.
    async fn scans(&self, scans: pb::ShardScans) -> pb::ShardPages {
        let (mut pages, mut bytes) = (Vec::new(), 0);
        for (number, read) in scans.reads.into_iter().take(SCAN_SHARDS_MAX).enumerate() {
            if bytes >= SCAN_BYTES_MAX {
                break;
            }
            if number > 0 && number.is_multiple_of(SCANS_AT_A_STRETCH) {
                tokio::task::yield_now().await;
            }
            let (route, request) = wire::read_from_pb(read);
            let local = self.local(route).ok();
            let answer = local.and_then(|local| local.shard.try_scan(route.slots, &request));
            let part = wire::maybe_page_to_pb(answer);
            let rows = part.page.iter().flat_map(|page| &page.rows);
            bytes += rows.map(|row| row.key.len() + row.value.len()).sum::<usize>();
            pages.push(part);
        }
        pb::ShardPages { pages }
    }

    /// The local replica that a request is for. One routed by an older map may name a shard that has other slots by now,
    /// which the shard itself finds out; one routed by a newer map comes from a node that knows more.
    fn local(&self, route: txn::Route) -> txn::Result<LocalShard> {
        let gone = || Error::NotServing { shard: route.shard, leader: None };
        let local = self.local.get(route.shard).ok_or_else(gone)?;
        if self.directory.shard(route.shard).is_some_and(|info| info.epoch >= route.epoch) {
            return Ok(local);
        }
        // Whoever is ahead answers with what this node lacks.
        self.gossip.tell();
        Err(gone())
    }

    /// Lets a node with an empty data folder in, or tells it what it got when it asked before.
    async fn let_in(&self, request: pb::JoinRequest) -> Result<pb::Joined, String> {
        let record = request.node.ok_or("the node does not say who it is")?;
        let (_, info) = cw::node_from_pb(record)?;
        if info.incarnation == 0 || info.address.is_empty() {
            return Err("the node does not say which folder it has and where it listens".into());
        }
        let of_folder = |state: &ClusterState| {
            let mut nodes = state.nodes.iter();
            nodes.find(|(_, known)| known.incarnation == info.incarnation).map(|(node, _)| *node)
        };
        let state = self.meta.load().await.map_err(|error| error.to_string())?;
        let state = state.ok_or("the cluster is only just beginning; ask again")?;
        if of_folder(&state).is_none() {
            let node = self.meta.new_node_id(&state).await.map_err(|error| error.to_string())?;
            let wanted = NodeInfo { state: NodeState::Active, ..info.clone() };
            let alive = self.gossip.alive();
            let changed = self.meta.change(|state| {
                let twin = state.nodes.iter().find(|(_, known)| {
                    known.state != NodeState::Left && known.address == wanted.address
                });
                // One that is silent may have lost its disk, and this is its machine.
                let answers = |twin: NodeId| alive.contains(&twin) && of_folder(state).is_none();
                if let Some((twin, _)) = twin.filter(|(twin, _)| answers(**twin)) {
                    return Err(format!(
                        "node {} answers at {} already; let this node listen elsewhere (--listen-node)",
                        twin.0, wanted.address
                    ));
                }
                if of_folder(state).is_none() {
                    state.nodes.insert(node, wanted.clone());
                }
                Ok(())
            });
            self.gossip.adopt(changed.await.map_err(|error| error.to_string())?);
        }
        let state = self.directory.state();
        let node =
            of_folder(&state).ok_or("the node was let in, but this member cannot tell yet")?;
        tracing::info!(%node, address = %info.address, "a node was let in");
        Ok(pb::Joined { node: node.0, cluster: Some(cw::state_to_pb(&state)) })
    }
}

fn unavailable(what: String) -> pb::answer::Response {
    let kind = pb::failure::Kind::Unavailable as i32;
    pb::answer::Response::Failure(pb::Failure { kind, what, ..Default::default() })
}

/// Nothing was executed: whoever asked may try again, here or elsewhere.
fn starting() -> pb::answer::Response {
    let kind = pb::failure::Kind::NotServing as i32;
    let what = "this node is starting".to_string();
    pb::answer::Response::Failure(pb::Failure { kind, what, ..Default::default() })
}

fn bad_call(what: &str) -> pb::answer::Response {
    let kind = pb::failure::Kind::BadCall as i32;
    pb::answer::Response::Failure(pb::Failure { kind, what: what.into(), ..Default::default() })
}

/// The gRPC face of [`NodeService`].
pub struct Calls(Arc<NodeService>);

#[tonic::async_trait]
impl Node for Calls {
    type CallsStream = Pin<Box<dyn Stream<Item = Result<pb::AnswerFrame, Status>> + Send>>;

    async fn calls(
        &self,
        request: Request<Streaming<pb::CallFrame>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let mut frames = request.into_inner();
        let service = self.0.clone();
        let (answers, outgoing) = mpsc::channel(LANE_QUEUE_MAX);
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                for call in frame.calls {
                    let (service, answers) = (service.clone(), answers.clone());
                    let welcome = service.welcome(frame.cluster, call.request.as_ref());
                    tokio::spawn(async move {
                        let response = match call.request {
                            Some(_) if !welcome => bad_call("the caller is of another cluster"),
                            Some(request) => service.answer(request).await,
                            None => bad_call("a call of an unknown kind"),
                        };
                        // The caller may be gone; then nobody waits for the answer.
                        let _ = answers
                            .send(pb::Answer { seq: call.seq, response: Some(response) })
                            .await;
                    });
                }
            }
        });
        Ok(Response::new(Box::pin(in_frames(outgoing))))
    }
}

fn in_frames(
    answers: mpsc::Receiver<pb::Answer>,
) -> impl Stream<Item = Result<pb::AnswerFrame, Status>> {
    futures::stream::unfold(answers, |mut answers| async move {
        let mut frame = Vec::new();
        (answers.recv_many(&mut frame, FRAME_ANSWERS_MAX).await > 0)
            .then_some((Ok(pb::AnswerFrame { answers: frame }), answers))
    })
}
