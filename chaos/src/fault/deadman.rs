//! The dead man's switch: a child process that undoes the runner's changes when the runner falls silent.
//!
//! The runner writes a beat every second into the child's standard input. When the input ends without a
//! goodbye, or nothing comes for 10 s, the child kills the runner by its recorded number (it may be
//! stopped, and then still holds its journal) and undoes what its journal says.

use super::error::Error;
use super::journal;
use super::process::ProcessId;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(1);
/// Silence after which the runner counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A beat.
const ALIVE: u8 = b'.';
/// The last beat of a runner that has undone everything itself.
const GOODBYE: u8 = b'q';
/// Beats that may wait to be read.
const BEATS_MAX: usize = 16;

/// The runner's side.
pub struct Switch {
    child: Child,
    stop: Arc<AtomicBool>,
    beats: Option<JoinHandle<()>>,
}

impl Switch {
    /// Starts the watching process: `<binary> drill deadman --journals <folder> --runner <pid>`.
    ///
    /// # Errors
    /// When it cannot be started: then nothing must be broken.
    pub fn arm(binary: &Path, journals: &Path) -> Result<Switch, Error> {
        let what = |error| Error::system("starting the dead man's switch", error);
        let mut child = Command::new(binary)
            .args(["drill", "deadman", "--runner", &std::process::id().to_string(), "--journals"])
            .arg(journals)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(what)?;
        let mut input = child.stdin.take();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let beats = base::thread::spawn("drill-beats", move || {
            while let Some(pipe) = &mut input {
                let last = stopped.load(Ordering::Acquire);
                let beat = if last { GOODBYE } else { ALIVE };
                if pipe.write_all(&[beat]).is_err() || last {
                    // Gone, or not needed any more.
                    input = None;
                } else {
                    std::thread::park_timeout(BEAT);
                }
            }
        });
        Ok(Switch { child, stop, beats: Some(beats) })
    }

    /// Everything is undone: the switch is not needed any more.
    pub fn disarm(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(beats) = self.beats.take() {
            beats.thread().unpark();
            // A thread that panicked has aborted the process.
            let _ = beats.join();
        }
        // It ends by the goodbye.
        let _ = self.child.wait();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if self.beats.is_some() {
            self.end();
        }
    }
}

/// The watching process: returns when the runner said goodbye, or after undoing its changes.
///
/// # Errors
/// When something could not be undone; the journal stays for `precinct drill abort`.
pub fn watch(
    mut input: impl Read + Send + 'static,
    runner: u32,
    journals: &Path,
) -> Result<(), Error> {
    let runner = ProcessId::of(runner);
    let (sender, beats) = sync_channel(BEATS_MAX);
    base::thread::spawn("drill-listen", move || {
        let mut byte = [0];
        while matches!(input.read(&mut byte), Ok(1)) {
            if sender.send(byte[0]).is_err() {
                return;
            }
        }
    });
    loop {
        match beats.recv_timeout(SILENCE_MAX) {
            Ok(GOODBYE) => return Ok(()),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Some(runner) = runner {
        runner.kill().map_err(|error| Error::system("killing the silent runner", error))?;
    }
    for left in journal::recover(journals)? {
        if let Some(failure) = left.failures.into_iter().next() {
            return Err(failure);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::journal::{Journal, Undo};

    #[test]
    fn silence_undoes_and_a_goodbye_does_not() {
        let scratch = tempfile::tempdir().unwrap();
        let journals = scratch.path().join("journals");
        let left = scratch.path().join("pd-left");
        std::fs::create_dir(&left).unwrap();
        let mut journal = Journal::create(&journals, "dead").unwrap();
        journal.made(Undo::Folder { path: left.clone() }).unwrap();
        drop(journal);
        // A number that no process has.
        watch(std::io::Cursor::new(b"...q".to_vec()), u32::MAX, &journals).unwrap();
        assert!(left.exists());
        watch(std::io::Cursor::new(b"...".to_vec()), u32::MAX, &journals).unwrap();
        assert!(!left.exists());
    }
}
