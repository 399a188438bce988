//! Receives a Raft snapshot, checks it and installs it.
//!
//! ```text
//! head ─ checked ─> have ─> pieces, checked and written ─> synced ─> installed ─> done
//!                              └── broken: what came stays for `limits::SNAPSHOT_PART_KEEP`
//! ```
//!
//! One transfer per replica at a time (a newer one ends the older), and a limited number per node. Whatever
//! is wrong, the sender gets a sentence and nothing but the half-received folder is concerned.

use super::refusal::Reason;
use super::service::RaftService;
use crate::applier::{ApplierContext, blocking, receive_dir};
use crate::codec::{log_id_from_wire, stored_membership_from_wire, vote_from_wire, vote_to_wire};
use crate::replica::Replica;
use crate::snapshot::incoming::{Manifest, Progress};
use crate::snapshot::receiving::{Incoming, Superseded};
use crate::snapshot::{Checkpoint, SnapshotData};
use crate::type_config::{LogId, StoredMembership, Vote};
use base::{ReplicaId, ShardId, limits};
use bytes::Bytes;
use openraft::SnapshotMeta;
use openraft::storage::Snapshot;
use proto::raft as wire;
use proto::raft::snapshot_answer::Answer;
use proto::raft::snapshot_part::Part;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

/// Where answers go.
pub type Answers = mpsc::Sender<Result<wire::SnapshotAnswer, Status>>;

/// What a head says, decoded.
struct Head {
    manifest: Manifest,
    vote: Vote,
    last_log_id: LogId,
    membership: StoredMembership,
}

impl Head {
    fn decode(head: &wire::SnapshotHead) -> Result<Head, Status> {
        let invalid = |what: String| Status::invalid_argument(what);
        let manifest = Manifest::check(head).map_err(invalid)?;
        let vote = head.vote.as_ref().map(vote_from_wire);
        let vote = vote.ok_or_else(|| invalid("a Raft snapshot without a vote".to_string()))?;
        if !vote.committed || vote.leader_id.voted_for != head.from {
            return Err(invalid("a Raft snapshot from a replica that does not lead".to_string()));
        }
        let last_log_id = head.last_log_id.as_ref().map(log_id_from_wire);
        let last_log_id =
            last_log_id.ok_or_else(|| invalid("a Raft snapshot without a log id".to_string()))?;
        let membership = stored_membership_from_wire(head.membership.as_ref())
            .map_err(|error| invalid(error.to_string()))?;
        Ok(Head { manifest, vote, last_log_id, membership })
    }
}

/// Serves one transfer to its end. What it has to say goes to `answers`.
pub async fn serve(service: RaftService, parts: Streaming<wire::SnapshotPart>, answers: Answers) {
    if let Err(status) = receive(&service, parts, &answers).await {
        if let Code::InvalidArgument | Code::DataLoss = status.code() {
            service.refusals.count(Reason::Snapshot);
        }
        tracing::warn!(why = status.message(), "a Raft snapshot was not received");
        // The sender may be gone; then nobody waits for the reason.
        let _ = answers.send(Err(status)).await;
    }
}

/// The next part of a snapshot, in time.
async fn next_part(
    service: &RaftService,
    parts: &mut Streaming<wire::SnapshotPart>,
) -> Result<Option<Part>, Status> {
    let part = tokio::time::timeout(limits::SNAPSHOT_PIECE_WAIT, parts.message()).await;
    let part = part.map_err(|_| Status::deadline_exceeded("the Raft snapshot stopped coming"))?;
    match part.inspect_err(|status| service.count_broken(status))? {
        None => Ok(None),
        Some(wire::SnapshotPart { part: Some(part) }) => Ok(Some(part)),
        Some(wire::SnapshotPart { part: None }) => {
            Err(Status::invalid_argument("a part of a Raft snapshot of an unknown kind"))
        }
    }
}

fn failed(error: impl ToString) -> Status {
    Status::internal(error.to_string())
}

async fn say(answers: &Answers, answer: Answer) -> Result<(), Status> {
    let answer = wire::SnapshotAnswer { answer: Some(answer) };
    answers.send(Ok(answer)).await.map_err(|_| Status::cancelled("the sender is gone"))
}

async fn receive(
    service: &RaftService,
    mut parts: Streaming<wire::SnapshotPart>,
    answers: &Answers,
) -> Result<(), Status> {
    let Some(Part::Head(head)) = next_part(service, &mut parts).await? else {
        return Err(Status::invalid_argument("a Raft snapshot begins with its head"));
    };
    let sender = service.admit_hello(head.hello.as_ref())?;
    let key = (ShardId(head.shard), ReplicaId(head.to));
    let replica = service.registry.find(key).ok_or_else(|| {
        service.refusals.count(Reason::UnknownReplica);
        Status::not_found("unknown replica")
    })?;
    service.check_home(&replica, head.from, sender).map_err(Status::permission_denied)?;
    let head = Head::decode(&head)?;
    let known = replica.with_metrics(|metrics| metrics.vote);
    if known > head.vote {
        // The sender leads no more, and learns it without sending anything.
        let vote = Some(vote_to_wire(&known));
        return say(answers, Answer::Done(wire::SnapshotReply { vote })).await;
    }
    let turn = replica.receiving.begin(&head.vote);
    let turn = tokio::time::timeout(limits::SNAPSHOT_STEP_WAIT, turn).await;
    let turn = turn.map_err(|_| Status::unavailable("another Raft snapshot is being installed"))?;
    let turn = turn.ok_or_else(|| Status::aborted("a newer leader sends a Raft snapshot"))?;
    let (mut superseded, mut receiving) = turn;
    let _place = service.transfers.place_to_receive().ok_or_else(|| {
        let max = service.transfers.options.receiving_max;
        Status::resource_exhausted(format!(
            "the node is receiving {max} Raft snapshots, as many as it may; try again later"
        ))
    })?;

    let incoming = prepare(&mut receiving, &replica, service, &head).await?;
    say(answers, Answer::Have(incoming.progress.have())).await?;
    pieces(incoming, &replica, service, &mut parts, &mut superseded).await?;
    incoming.progress.complete().map_err(Status::data_loss)?;
    let Some(incoming) = receiving.take() else { return Err(failed("the transfer is gone")) };

    let (factory, dir) = (replica.context.factory.clone(), incoming.checkpoint.dir.clone());
    blocking(move || factory.finish_receive(&dir)).await.map_err(failed)?;
    let meta =
        SnapshotMeta { last_log_id: Some(head.last_log_id), last_membership: head.membership };
    let snapshot = Snapshot { meta, snapshot: SnapshotData::Checkpoint(incoming.checkpoint) };
    let installed = replica.raft.install_full_snapshot(head.vote, snapshot).await;
    let vote = Some(vote_to_wire(&installed.map_err(failed)?.vote));
    service.transfers.installed.fetch_add(1, Ordering::Relaxed);
    say(answers, Answer::Done(wire::SnapshotReply { vote })).await
}

/// What is there of this very checkpoint, or an empty beginning.
async fn prepare<'a>(
    receiving: &'a mut Option<Incoming>,
    replica: &Replica,
    service: &RaftService,
    head: &Head,
) -> Result<&'a mut Incoming, Status> {
    let context = &replica.context;
    let goes_on = |incoming: &Incoming| incoming.progress.continues(&head.manifest);
    if let Some(other) = receiving.take_if(|incoming| !goes_on(incoming)) {
        // Removes its folder, which may be the one that comes now.
        blocking(move || drop(other)).await;
    }
    if receiving.is_none() {
        let dir = receive_dir(context, &head.last_log_id);
        let (factory, at) = (context.factory.clone(), dir.clone());
        blocking(move || factory.remove(&at)).await.map_err(failed)?;
        let factory = context.factory.clone();
        let checkpoint = Checkpoint::new(dir, head.last_log_id, head.membership.clone(), factory);
        let now = service.transfers.clock.monotonic();
        let progress = Progress::new(head.manifest.clone(), now);
        *receiving = Some(Incoming { progress, checkpoint: Arc::new(checkpoint) });
    }
    receiving.as_mut().ok_or_else(|| failed("the transfer is gone"))
}

/// Takes pieces until the sender ends or another one begins. Lets go between two pieces only: a write that
/// still ran would otherwise hit a file of the next one.
async fn pieces(
    incoming: &mut Incoming,
    replica: &Replica,
    service: &RaftService,
    parts: &mut Streaming<wire::SnapshotPart>,
    superseded: &mut Superseded,
) -> Result<(), Status> {
    let context = &replica.context;
    let dir = incoming.checkpoint.dir.clone();
    loop {
        let part = tokio::select! {
            biased;
            () = superseded.wait() => {
                return Err(Status::aborted("another Raft snapshot was begun"));
            }
            part = next_part(service, parts) => part?,
        };
        let Some(part) = part else { return Ok(()) };
        if context.health.stopped() {
            return Err(Status::not_found("the replica has stopped"));
        }
        match part {
            Part::Head(_) => {
                return Err(Status::invalid_argument("a second head in a Raft snapshot"));
            }
            Part::Chunk(chunk) => {
                let name = incoming.progress.admit(&chunk).map_err(Status::data_loss)?.to_string();
                let bytes = chunk.data.len() as u64;
                service.transfers.inward.take(bytes).await;
                write(context, &dir, name, chunk.offset, chunk.data.clone()).await?;
                let now = service.transfers.clock.monotonic();
                incoming.progress.wrote(&chunk.data, now);
                service.transfers.received_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Part::FileEnd(end) => {
                let empty = incoming.progress.end_file(&end).map_err(Status::data_loss)?;
                if let Some(name) = empty {
                    write(context, &dir, name, 0, Bytes::new()).await?;
                }
            }
        }
    }
}

/// Writes a piece.
async fn write(
    context: &ApplierContext,
    dir: &std::path::Path,
    name: String,
    offset: u64,
    data: Bytes,
) -> Result<(), Status> {
    let (factory, at) = (context.factory.clone(), dir.to_path_buf());
    blocking(move || factory.receive_file(&at, &name, offset, &data)).await.map_err(failed)
}
