//! A process by its number *and* its start time, so that a number that the system has given away again is
//! never signalled.

use super::kernel::{self, Signal};
use base::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Longest wait for a killed process to be gone. A write to a frozen disk holds it up.
const GONE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks.
const GONE_PAUSE: Duration = Duration::from_millis(5);

/// One process of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks after boot (field 22 of proc(5) `stat`).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now, if any.
    pub fn of(pid: u32) -> Option<ProcessId> {
        stat(pid).map(|(_, started)| ProcessId { pid, started })
    }

    /// Whether it is there and no zombie.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| started == self.started && state != 'Z')
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        stat(self.pid).is_some_and(|(state, started)| started == self.started && state == 'T')
    }

    /// Sends it a signal; nothing when it is gone.
    ///
    /// # Errors
    /// When it belongs to somebody else.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.is_alive() { kernel::signal(self.pid, signal) } else { Ok(()) }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it may not be killed or is still there after 10 s.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::Kill)?;
        self.await_end(GONE_WAIT_MAX)
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after `wait`.
    pub fn await_end(&self, wait: Duration) -> io::Result<()> {
        let clock = SystemClock::new();
        while self.is_alive() {
            if clock.monotonic() > wait {
                let pid = self.pid;
                return Err(io::Error::other(format!(
                    "process {pid} is still there after {wait:?}"
                )));
            }
            std::thread::sleep(GONE_PAUSE);
        }
        Ok(())
    }
}

/// State letter and start time.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_stops_goes_on_and_dies() {
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep runs");
        let process = ProcessId::of(child.id()).expect("it has just started");
        process.signal(Signal::Stop).unwrap();
        let stopped = (0..200).any(|_| {
            std::thread::sleep(GONE_PAUSE);
            process.is_stopped()
        });
        assert!(stopped);
        process.signal(Signal::Continue).unwrap();
        process.kill().unwrap();
        assert!(!process.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_number_is_not_signalled() {
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep runs");
        let mut stranger = ProcessId::of(child.id()).expect("it has just started");
        stranger.started += 1;
        stranger.kill().unwrap();
        assert!(ProcessId::of(child.id()).unwrap().is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
