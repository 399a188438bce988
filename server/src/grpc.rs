//! The node's side of `node.proto`: calls of other nodes, answered as they finish.

use crate::cluster_client::ClusterClient;
use crate::disks::Disks;
use crate::local_shards::LocalShards;
use crate::oracle::LocalOracle;
use crate::wire;
use base::limits::{LANE_QUEUE_MAX, MESSAGE_BYTES_MAX};
use base::{NodeId, ShardId};
use futures::Stream;
use proto::node as pb;
use proto::node::node_server::{Node, NodeServer};
use sql::instance::Instance;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use txn::{Error, Oracle};

/// Answers packed into one frame.
const FRAME_ANSWERS_MAX: usize = 256;

/// What answers need.
pub struct NodeService {
    /// This node.
    pub node: NodeId,
    /// Calls from another cluster are refused.
    pub cluster: u64,
    /// Local replicas.
    pub local: Arc<LocalShards>,
    /// For the epochs of the shard map.
    pub client: Arc<ClusterClient>,
    /// The oracle, when this node holds a replica of the meta shard.
    pub oracle: Option<Arc<LocalOracle>>,
    /// How the disks do.
    pub disks: Arc<Disks>,
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

    async fn answer(&self, request: pb::call::Request) -> pb::answer::Response {
        use pb::answer::Response as Answer;
        use pb::call::Request as Call;
        match request {
            Call::Read(message) => {
                let (route, request) = wire::read_from_pb(message);
                wire::read_answer_to_pb(match self.local(route) {
                    Ok(local) => local.shard.read(request).await,
                    Err(error) => Err(error),
                })
            }
            Call::Write(message) => {
                let Some((route, request)) = wire::write_from_pb(message) else {
                    return bad_call("a write of an unknown kind");
                };
                wire::write_answer_to_pb(match self.local(route) {
                    Ok(local) => local.shard.write(request).await,
                    Err(error) => Err(error),
                })
            }
            Call::Timestamps(request) => {
                let outcome = match &self.oracle {
                    Some(oracle) => oracle.timestamps(request.count).await,
                    None => Err(Error::NotServing { shard: ShardId::META, leader: None }),
                };
                match outcome {
                    Ok(first) => Answer::Timestamps(pb::Timestamps { first: first.0 }),
                    Err(error) => Answer::Failure(wire::failure_to_pb(error)),
                }
            }
            Call::AnnounceCatalog(announced) => match self.instance.get() {
                // A node whose SQL layer has not started holds no old catalog.
                None => Answer::CatalogLoaded(pb::CatalogLoaded { version: announced.version }),
                Some(instance) => match instance.catalog_announced(announced.version).await {
                    Ok(()) => Answer::CatalogLoaded(pb::CatalogLoaded {
                        version: instance.catalog_version(),
                    }),
                    Err(error) => Answer::Failure(pb::Failure {
                        kind: pb::failure::Kind::Unavailable as i32,
                        what: error.to_string(),
                        ..Default::default()
                    }),
                },
            },
            Call::Status(_) => Answer::Status(self.status()),
        }
    }

    fn local(&self, route: txn::Route) -> txn::Result<crate::local_shards::LocalShard> {
        let gone = || Error::NotServing { shard: route.shard, leader: None };
        let local = self.local.get(route.shard).ok_or_else(gone)?;
        let map = self.client.map();
        let info = map.shard(route.shard).ok_or_else(gone)?;
        if info.epoch != route.epoch { Err(gone()) } else { Ok(local) }
    }

    fn status(&self) -> pb::Status {
        let replicas = self
            .local
            .all()
            .into_iter()
            .map(|local| {
                let status = local.group.status();
                pb::ReplicaStatus {
                    shard: status.shard.0,
                    replica: status.replica.0,
                    leader_node: status.leader.map_or(0, |node| node.0),
                    term: status.term,
                    last_log_index: status.last_log_index,
                    applied_index: status.applied_index,
                    role: status.role,
                }
            })
            .collect();
        let disk = self.disks.text(self.node).unwrap_or_default();
        pb::Status { node: self.node.0, replicas, disk }
    }
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
                    let same_cluster = frame.cluster == service.cluster;
                    tokio::spawn(async move {
                        let response = match call.request {
                            Some(_) if !same_cluster => {
                                bad_call("the caller is of another cluster")
                            }
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
