//! Sends a checkpoint to another replica and waits until it is installed.
//!
//! ```text
//! turn ─> connect ─> head ─> have (file, offset) ─┬─> pieces from there, paced ──┬─> the last file's end ─> done
//!                                                 └─> read own engine, paced ────┘
//! ```
//!
//! The sender reads every block of its engine, with checksums. What travels is bytes of files: a block that
//! rotted unread would stand on two of three replicas afterwards, and the one good copy would be outvoted by time.
//! So the end of the last file, without which the receiver installs nothing, goes only when all was read and nothing
//! was damaged. Both at once take half the time less than one after the other.
//!
//! Reading may take longer than sending: what is read is not compressed. The last pieces are then held back, one at a
//! time, so that the receiver does not take the sender for gone. Where even that is not enough, the attempt breaks, and the
//! next one reads first.
//!
//! There is no second attempt here: openraft asks for the Raft snapshot again, gets the same checkpoint,
//! and the receiver says how far it had come.

use super::dialer::Dialer;
use super::hello::Identity;
use crate::applier::blocking;
use crate::codec::{log_id_to_wire, stored_membership_to_wire, vote_from_wire, vote_to_wire};
use crate::log::record::Key;
use crate::snapshot::Checkpoint;
use crate::snapshot::transfers::Transfers;
use crate::type_config::Vote;
use base::{NodeId, limits};
use bytes::Bytes;
use engine::{CheckpointFile, Engine, EngineFactory};
use proto::raft as wire;
use proto::raft::raft_client::RaftClient;
use proto::raft::snapshot_answer::Answer;
use proto::raft::snapshot_part::Part;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Pieces of a Raft snapshot on their way into a stream.
const CHUNKS_IN_FLIGHT: usize = 4;
/// How long a broken stream may take to say why.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// From one replica to another.
pub struct SnapshotSender {
    /// Opens connections.
    pub dialer: Arc<dyn Dialer>,
    /// Reads checkpoints.
    pub factory: Arc<dyn EngineFactory>,
    /// What the node's transfers share.
    pub transfers: Arc<Transfers>,
    /// Who speaks.
    pub identity: Identity,
    /// Which replica sends.
    pub from: Key,
    /// Which replica receives.
    pub to: u64,
    /// Where it lives.
    pub node: NodeId,
}

/// Gives a slow step of a transfer its time.
async fn step<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let timed = tokio::time::timeout(limits::SNAPSHOT_STEP_WAIT, work).await;
    timed.map_err(|_| "a step of the Raft snapshot took too long".to_string())
}

/// The next thing the receiver says.
async fn next(answers: &mut Streaming<wire::SnapshotAnswer>) -> Result<Answer, String> {
    let answer = answers.message().await.map_err(|status| status.message().to_string())?;
    let answer = answer.ok_or("the receiver ended the transfer without a word")?;
    answer.answer.ok_or_else(|| "the receiver's answer makes no sense".to_string())
}

/// Puts a part into the stream.
async fn put(parts: &mpsc::Sender<wire::SnapshotPart>, part: Part) -> Result<(), String> {
    let part = wire::SnapshotPart { part: Some(part) };
    step(parts.send(part)).await?.map_err(|_| "the stream broke".to_string())
}

/// Waits until the engine of a checkpoint has been read, but not so long that the receiver gives up.
async fn hold_back(checkpoint: &Checkpoint) {
    let looks = limits::SNAPSHOT_TAIL_WAIT.as_millis() / limits::SNAPSHOT_TAIL_LOOK.as_millis();
    for _ in 0..looks {
        if checkpoint.was_read() {
            return;
        }
        tokio::time::sleep(limits::SNAPSHOT_TAIL_LOOK).await;
    }
}

/// The vote of a final answer.
fn done(reply: &wire::SnapshotReply) -> Result<Vote, String> {
    let vote = reply.vote.as_ref().ok_or("a snapshot reply without a vote")?;
    Ok(vote_from_wire(vote))
}

impl SnapshotSender {
    /// Sends a checkpoint. Returns the receiver's vote after it has installed it, or a higher one that
    /// made it refuse.
    ///
    /// # Errors
    /// A sentence: where the transfer broke.
    pub async fn send(&self, vote: Vote, checkpoint: Arc<Checkpoint>) -> Result<Vote, String> {
        let turn = self.transfers.turn_to_send().await;
        let _turn = turn.ok_or("the node ends")?;
        if checkpoint.tried_before() {
            self.read_source(&checkpoint).await?;
        }
        let (factory, dir) = (self.factory.clone(), checkpoint.dir.clone());
        let files = blocking(move || factory.checkpoint_files(&dir)).await;
        let files = files.map_err(|error| {
            checkpoint.break_off();
            error.to_string()
        })?;
        let head = self.head(vote, &checkpoint, &files);

        let channel = step(self.dialer.dial(self.node)).await??;
        let mut client = RaftClient::new(channel)
            .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limits::MESSAGE_BYTES_MAX);
        let (parts, outgoing) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let head = wire::SnapshotPart { part: Some(Part::Head(head)) };
        parts.try_send(head).map_err(|_| "the stream broke")?;
        let answers = step(client.snapshot(ReceiverStream::new(outgoing))).await?;
        let mut answers = answers.map_err(|status| status.message().to_string())?.into_inner();
        let have = match step(next(&mut answers)).await?? {
            Answer::Have(have) => have,
            Answer::Done(reply) => return done(&reply),
        };
        let fed = tokio::select! {
            biased;
            // The receiver speaks before the end only to refuse, or because its vote is higher.
            early = next(&mut answers) => match early? {
                Answer::Done(reply) => return done(&reply),
                Answer::Have(_) => return Err("the receiver answered twice".to_string()),
            },
            fed = self.feed(&checkpoint, &files, have, parts) => fed,
        };
        if let Err(why) = fed {
            // What the other side says explains more than that it hung up.
            let words = tokio::time::timeout(LAST_WORDS_WAIT, next(&mut answers)).await;
            return Err(words.ok().and_then(Result::err).unwrap_or(why));
        }
        match step(next(&mut answers)).await?? {
            Answer::Done(reply) => {
                checkpoint.deliver();
                done(&reply)
            }
            Answer::Have(_) => Err("the receiver answered twice".to_string()),
        }
    }

    /// Reads the engine that a checkpoint was cut from, once. Damage stops the replica where its engine's errors
    /// are watched: another one will lead, and send.
    async fn read_source(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let mut from = Bytes::new();
        while let Some(engine) = checkpoint.unread_source()? {
            let at = from.clone();
            let step = blocking(move || engine.verify(&at, limits::SCRUB_STEP_BYTES)).await;
            let step = step.map_err(|error| format!("the sender's own engine: {error}"))?;
            // The time that reading takes counts: what is limited is the rate.
            self.transfers.reading.take(step.bytes).await;
            checkpoint.sent(self.transfers.clock.monotonic());
            match step.next {
                Some(next) => from = next,
                None => checkpoint.is_sound(),
            }
        }
        Ok(())
    }

    /// The first part.
    fn head(
        &self,
        vote: Vote,
        checkpoint: &Checkpoint,
        files: &[CheckpointFile],
    ) -> wire::SnapshotHead {
        wire::SnapshotHead {
            shard: self.from.0.0,
            from: self.from.1.0,
            to: self.to,
            vote: Some(vote_to_wire(&vote)),
            last_log_id: Some(log_id_to_wire(&checkpoint.last_log_id)),
            membership: Some(stored_membership_to_wire(&checkpoint.membership)),
            files: files
                .iter()
                .map(|file| wire::SnapshotFile { name: file.name.clone(), bytes: file.bytes })
                .collect(),
            hello: Some(self.identity.hello(self.node)),
            checkpoint: checkpoint.id,
        }
    }

    /// Feeds the stream with everything from `have` on while the engine is read; ends it when both are done.
    async fn feed(
        &self,
        checkpoint: &Arc<Checkpoint>,
        files: &[CheckpointFile],
        have: wire::SnapshotHave,
        parts: mpsc::Sender<wire::SnapshotPart>,
    ) -> Result<(), String> {
        let read = self.read_source(checkpoint);
        let ((), end) = tokio::try_join!(read, self.pieces(checkpoint, files, have, &parts))?;
        match end {
            // Nothing is installed before it.
            Some(end) => put(&parts, Part::FileEnd(end)).await,
            None => Ok(()),
        }
    }

    /// Sends everything from `have` on but the end of the last file, which it returns.
    async fn pieces(
        &self,
        checkpoint: &Arc<Checkpoint>,
        files: &[CheckpointFile],
        have: wire::SnapshotHave,
        parts: &mpsc::Sender<wire::SnapshotPart>,
    ) -> Result<Option<wire::SnapshotFileEnd>, String> {
        let first = have.file as usize;
        let known = files.get(first).is_some_and(|file| have.offset <= file.bytes);
        if !known && (first, have.offset) != (files.len(), 0) {
            return Err("the receiver claims more than there is".to_string());
        }
        let complete: u64 = files[..first].iter().map(|file| file.bytes).sum();
        self.transfers.resumed_bytes.fetch_add(complete + have.offset, Ordering::Relaxed);
        let all: u64 = files.iter().map(|file| file.bytes).sum();
        let mut left = all - complete - have.offset;
        let tail = limits::SNAPSHOT_TAIL_PIECES * self.transfers.options.chunk_bytes;
        let mut last_end = None;
        for (position, file) in files.iter().enumerate().skip(first) {
            if let Some(end) = last_end.take() {
                put(parts, Part::FileEnd(end)).await?;
            }
            let mut offset = if position == first { have.offset } else { 0 };
            let mut crc = self.crc_before(checkpoint, file, offset).await?;
            while offset < file.bytes {
                if checkpoint.expired(self.transfers.clock.monotonic()) {
                    return Err("the checkpoint is too old; another one is cut".to_string());
                }
                let data = self.read(checkpoint, file, offset, file.bytes - offset).await?;
                let bytes = data.len() as u64;
                if left <= tail as u64 {
                    hold_back(checkpoint).await;
                }
                self.transfers.outward.take(bytes).await;
                crc.update(&data);
                let chunk = wire::SnapshotChunk {
                    file: position as u32,
                    offset,
                    crc: crc32fast::hash(&data),
                    data,
                };
                put(parts, Part::Chunk(chunk)).await?;
                checkpoint.sent(self.transfers.clock.monotonic());
                self.transfers.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                offset += bytes;
                left -= bytes;
            }
            last_end = Some(wire::SnapshotFileEnd { file: position as u32, crc: crc.finalize() });
        }
        Ok(last_end)
    }

    /// The checksum of a file's first `offset` bytes, which an earlier attempt has sent.
    async fn crc_before(
        &self,
        checkpoint: &Arc<Checkpoint>,
        file: &CheckpointFile,
        offset: u64,
    ) -> Result<crc32fast::Hasher, String> {
        let mut crc = crc32fast::Hasher::new();
        let mut done = 0;
        while done < offset {
            let data = self.read(checkpoint, file, done, offset - done).await?;
            crc.update(&data);
            done += data.len() as u64;
        }
        Ok(crc)
    }

    /// A piece of a file, at most `left` bytes.
    async fn read(
        &self,
        checkpoint: &Arc<Checkpoint>,
        file: &CheckpointFile,
        offset: u64,
        left: u64,
    ) -> Result<Bytes, String> {
        let (factory, dir, name) =
            (self.factory.clone(), checkpoint.dir.clone(), file.name.clone());
        let length = left.min(self.transfers.options.chunk_bytes as u64) as usize;
        let data = blocking(move || factory.read_file(&dir, &name, offset, length)).await;
        match data {
            Ok(data) if !data.is_empty() => return Ok(data),
            Ok(_) => checkpoint.break_off(),
            Err(error) => {
                checkpoint.break_off();
                return Err(error.to_string());
            }
        }
        Err(format!("{} ends before byte {}", file.name, file.bytes))
    }
}
