//! Disk errors by system call: `strace` attaches to a running node and lets its syncs fail or wait. The
//! node is traced while the fault lasts, which costs it some speed by itself.

use super::error::Error;
use super::journal::{Journal, Undo};
use super::kernel::Signal;
use super::process::ProcessId;
use super::tool;
use parking_lot::Mutex;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for strace to let go of a node.
const DETACH_WAIT_MAX: Duration = Duration::from_secs(10);

/// What happens to syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// The next one fails with EIO.
    FailOnce,
    /// Each takes this much longer.
    Delay(Duration),
}

/// A node that is being traced.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    process: ProcessId,
    made: u64,
    journal: Arc<Mutex<Journal>>,
}

/// Whether strace is here and may trace.
///
/// # Errors
/// `Unavailable`.
pub fn probe() -> Result<(), Error> {
    tool::need("strace", "strace")?;
    tool::run("strace", &["-qq", "-e", "trace=none", "-e", "signal=none", "true"])
        .map(drop)
        .map_err(|error| Error::unavailable("strace", format!("it may not trace here: {error}")))
}

impl Tracer {
    /// Attaches to all threads of a node and waits until it has. With `only`, only syncs of files in that
    /// folder count.
    ///
    /// # Errors
    /// When strace is missing or may not trace.
    pub fn attach(
        node: ProcessId,
        injection: Injection,
        only: Option<&Path>,
        journal: &Arc<Mutex<Journal>>,
    ) -> Result<Tracer, Error> {
        let program = tool::need("strace", "strace")?;
        let effect = match injection {
            Injection::FailOnce => "error=EIO:when=1".to_string(),
            Injection::Delay(delay) => format!("delay_enter={}", delay.as_micros()),
        };
        let mut command = Command::new(program);
        command.args(["-f", "-p", &node.pid.to_string(), "-o", "/dev/null"]);
        command.args(["-e", "trace=fsync,fdatasync", "-e", "signal=none"]);
        command.args(["-e", &format!("inject=fsync,fdatasync:{effect}")]);
        if let Some(folder) = only {
            for entry in std::fs::read_dir(folder)
                .map_err(|error| Error::system(format!("folder {}", folder.display()), error))?
                .filter_map(Result::ok)
            {
                command.arg("-P").arg(entry.path());
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Error::system("strace", error))?;
        let process = ProcessId::of(child.id())
            .ok_or_else(|| Error::system("strace", "it was gone at once"))?;
        let made = journal.lock().made(Undo::Process(process))?;
        // Its first line says that it has attached, or why not; the end of input, that it has given up.
        let mut line = String::new();
        if let Some(errors) = child.stderr.take() {
            let mut errors = BufReader::new(errors);
            errors.read_line(&mut line).map_err(|error| Error::system("strace", error))?;
            if line.contains("attached") {
                // What it says later is of no interest, but must not fill the pipe.
                base::thread::spawn("strace-output", move || {
                    let mut rest = String::new();
                    while matches!(errors.read_line(&mut rest), Ok(count) if count > 0) {
                        rest.clear();
                    }
                });
                return Ok(Tracer { child, process, made, journal: journal.clone() });
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        journal.lock().gone(made)?;
        Err(Error::unavailable("strace", format!("it does not attach: {}", line.trim())))
    }

    /// Lets go of the node.
    ///
    /// # Errors
    /// When strace does not end within 10 s.
    pub fn detach(mut self) -> Result<(), Error> {
        let what = |error| Error::system("detaching strace", error);
        self.process.signal(Signal::Interrupt).map_err(what)?;
        if self.process.await_end(DETACH_WAIT_MAX).is_err() {
            self.child.kill().map_err(what)?;
        }
        self.child.wait().map_err(what)?;
        self.journal.lock().gone(self.made)
    }
}
