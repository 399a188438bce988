//! Drives several workloads at once, each with its own history file.

use super::{Stop, Target, Workload};
use crate::history::check::Verdict;
use crate::history::{Counts, Failure, Recorder, read};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Workloads at work.
pub struct Run {
    target: Target,
    stop: Stop,
    parts: Vec<Part>,
}

struct Part {
    workload: Arc<dyn Workload>,
    path: PathBuf,
    recorder: Recorder,
    clients: Vec<JoinHandle<()>>,
}

/// What came of a workload.
pub struct Finished {
    /// Its name.
    pub name: &'static str,
    /// Its history.
    pub path: PathBuf,
    /// How many operations it holds, the final reads included.
    pub counts: Counts,
    /// What its checker says; `Unknown` when the final reads or the file failed.
    pub verdict: Verdict,
}

impl Run {
    /// Prepares the workloads one after the other, then starts their clients on the present tokio
    /// runtime. Histories are `<folder>/<name>.jsonl`.
    ///
    /// # Errors
    /// When a table or a history file cannot be made.
    pub async fn start(
        workloads: Vec<Arc<dyn Workload>>,
        target: &Target,
        folder: &Path,
    ) -> Result<Run, Failure> {
        let stop = Stop::default();
        let mut parts = Vec::with_capacity(workloads.len());
        for workload in workloads {
            workload.prepare(target).await?;
            let path = folder.join(format!("{}.jsonl", workload.name()));
            let recorder = Recorder::create(&path, target.clock.clone()).map_err(|error| {
                Failure { code: 0, message: format!("{}: {error}", path.display()) }
            })?;
            parts.push(Part { workload, path, recorder, clients: Vec::new() });
        }
        for part in &mut parts {
            for client in 0..part.workload.clients() {
                let workload = part.workload.clone();
                let (target, recorder, stop) =
                    (target.clone(), part.recorder.clone(), stop.clone());
                part.clients.push(tokio::spawn(async move {
                    workload.run(client, &target, &recorder, &stop).await;
                }));
            }
        }
        Ok(Run { target: target.clone(), stop, parts })
    }

    /// What each workload has recorded so far.
    pub fn counts(&self) -> Vec<(&'static str, Counts)> {
        self.parts.iter().map(|part| (part.workload.name(), part.recorder.counts())).collect()
    }

    /// Stops the clients, makes the final reads and judges. The cluster must be healthy again.
    ///
    /// # Panics
    /// When a client panicked.
    pub async fn finish(self) -> Vec<Finished> {
        self.stop.set();
        let mut finished = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            for client in part.clients {
                client.await.expect("a client does not panic");
            }
            let last = part.workload.final_read(&self.target, &part.recorder).await;
            let counts = part.recorder.counts();
            let name = part.workload.name();
            let verdict = match (last, part.recorder.finish()) {
                (Err(error), _) => Verdict::Unknown { why: format!("the final read: {error}") },
                (Ok(()), Err(error)) => Verdict::Unknown { why: format!("the history: {error}") },
                (Ok(()), Ok(_)) => judge(part.workload.clone(), part.path.clone()).await,
            };
            finished.push(Finished { name, path: part.path, counts, verdict });
        }
        finished
    }
}

/// Reads the history back from its file, so that what is judged is what is kept.
async fn judge(workload: Arc<dyn Workload>, path: PathBuf) -> Verdict {
    let judged = tokio::task::spawn_blocking(move || -> io::Result<Verdict> {
        Ok(workload.check(&read(&path)?))
    });
    match judged.await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => Verdict::Unknown { why: format!("the history: {error}") },
        Err(panicked) => Verdict::Unknown { why: format!("the checker: {panicked}") },
    }
}
