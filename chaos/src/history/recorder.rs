//! Writes a history while it happens, and reads one back.

use super::{Event, Failure, Op, Phase};
use base::SharedClock;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A history being written. Clones write to the same file.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    /// When the recorder was made: zero of the events' times.
    origin: Duration,
    /// A second handle of the file, for syncs beside writes.
    synced: File,
    sink: Mutex<Sink>,
}

struct Sink {
    file: File,
    counts: Counts,
    /// The first write that failed. Nothing is written after it.
    broken: Option<io::Error>,
}

/// How many operations a history holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that were called.
    pub invoked: u64,
    /// Operations that happened.
    pub ok: u64,
    /// Operations that certainly did not happen.
    pub fail: u64,
    /// Operations of unknown outcome, not counting those without any answer yet.
    pub info: u64,
    /// Errors by MySQL's number.
    pub errors: BTreeMap<u16, u64>,
}

impl Recorder {
    /// Starts a history in a new file; a file of that name is replaced.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, clock: SharedClock) -> io::Result<Recorder> {
        let file = File::create(path)?;
        let synced = file.try_clone()?;
        let origin = clock.monotonic();
        let sink = Mutex::new(Sink { file, counts: Counts::default(), broken: None });
        Ok(Recorder { shared: Arc::new(Shared { clock, origin, synced, sink }) })
    }

    /// An operation is about to be sent.
    pub fn invoke(&self, process: u64, op: &Op) {
        self.record(process, Phase::Invoke, op, None);
    }

    /// It happened; `op` holds what was read.
    pub fn ok(&self, process: u64, op: &Op) {
        self.record(process, Phase::Ok, op, None);
    }

    /// It certainly did not happen.
    pub fn fail(&self, process: u64, op: &Op, error: Failure) {
        self.record(process, Phase::Fail, op, Some(error));
    }

    /// Nobody knows whether it happened.
    pub fn info(&self, process: u64, op: &Op, error: Failure) {
        self.record(process, Phase::Info, op, Some(error));
    }

    /// Syncs what was recorded so far. Blocks.
    pub fn sync(&self) {
        // Outside of the lock: other clients write on.
        if let Err(error) = self.shared.synced.sync_data() {
            self.sink().broken.get_or_insert(error);
        }
    }

    /// What was recorded so far.
    pub fn counts(&self) -> Counts {
        self.sink().counts.clone()
    }

    /// Syncs the file and says what is in it.
    ///
    /// # Errors
    /// When a line could not be written or synced: such a history must not be judged.
    pub fn finish(&self) -> io::Result<Counts> {
        self.sync();
        let mut sink = self.sink();
        match sink.broken.take() {
            Some(error) => {
                // Whoever asks again is told again.
                sink.broken = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
            None => Ok(sink.counts.clone()),
        }
    }

    fn record(&self, process: u64, phase: Phase, op: &Op, error: Option<Failure>) {
        let mut event = Event { time: 0, process, phase, op: op.clone(), error };
        // Time is read under the lock: the order of lines is the order of times.
        let mut sink = self.sink();
        let time = self.shared.clock.monotonic().saturating_sub(self.shared.origin);
        event.time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        sink.write(&event);
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        // A panic in between leaves at worst half a line, which `read` reports.
        self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    fn write(&mut self, event: &Event) {
        if self.broken.is_some() {
            return;
        }
        let written = serde_json::to_vec(event).map_err(io::Error::other).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        if let Err(error) = written {
            self.broken = Some(error);
            return;
        }
        let counts = &mut self.counts;
        match event.phase {
            Phase::Invoke => counts.invoked += 1,
            Phase::Ok => counts.ok += 1,
            Phase::Fail => counts.fail += 1,
            Phase::Info => counts.info += 1,
        }
        if let Some(error) = &event.error {
            *counts.errors.entry(error.code).or_default() += 1;
        }
    }
}

/// Reads a history back.
///
/// # Errors
/// When the file cannot be read or a line is no event; the message names the line.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    let file = BufReader::new(File::open(path)?);
    let mut events = Vec::new();
    for (number, line) in file.lines().enumerate() {
        let event = serde_json::from_str(&line?).map_err(|error| {
            let place = format!("{}, line {}: {error}", path.display(), number + 1);
            io::Error::new(io::ErrorKind::InvalidData, place)
        })?;
        events.push(event);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Action;
    use base::SystemClock;

    #[test]
    fn what_was_recorded_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path, SystemClock::shared()).unwrap();
        let read_op = |value| Op::Read { key: 7, value };
        let txn =
            Op::Txn { actions: vec![Action::Append(1, 2), Action::Read(1, Some(vec![2, -3]))] };
        let lost = Failure { code: 2013, message: "gone".into() };
        let rows = Op::ReadRows { table: "t".into(), rows: Some(vec![(-1, 2)]) };
        recorder.invoke(1, &read_op(None));
        recorder.ok(1, &read_op(Some(5)));
        recorder.invoke(2, &txn);
        recorder.info(2, &txn, lost.clone());
        recorder.ok(3, &rows);
        let counts = recorder.finish().unwrap();
        assert_eq!((counts.invoked, counts.ok, counts.fail, counts.info), (2, 2, 0, 1));
        assert_eq!(counts.errors, BTreeMap::from([(2013, 1)]));

        let events = super::read(&path).unwrap();
        let ops: Vec<&Op> = events.iter().map(|event| &event.op).collect();
        assert_eq!(ops, [&read_op(None), &read_op(Some(5)), &txn, &txn, &rows]);
        assert_eq!(events[3].error, Some(lost));
        assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
    }

    #[test]
    fn a_torn_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torn.jsonl");
        std::fs::write(
            &path,
            "{\"time\":1,\"process\":0,\"phase\":\"ok\",\"op\":\"increment\",\"key\":1}\n{\"ti",
        )
        .unwrap();
        let error = super::read(&path).unwrap_err().to_string();
        assert!(error.contains("torn.jsonl, line 2"), "{error}");
    }
}
