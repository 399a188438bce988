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
        stat(pid).map(|stat| ProcessId { pid, started: stat.started })
    }

    /// Whether it is there: until its last thread has ended, its files are open and its locks held.
    pub fn is_alive(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state != 'Z' || stat.threads > 1)
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    fn stat(&self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.started == self.started)
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

/// What proc(5) `stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// `R`, `S`, `T`, `Z` …; of its first thread, which may be a zombie while others still end.
    state: char,
    threads: u64,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // Fields 20 and 22.
    let threads = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, threads, started })
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
    fn the_fields_are_those_of_the_manual() {
        let text = "42 (a) b) Z 1 42 42 0 -1 4 0 0 0 0 0 0 0 0 20 0 3 0 777 0 0";
        assert_eq!(parse(text), Some(Stat { state: 'Z', threads: 3, started: 777 }));
        let own = stat(std::process::id()).expect("this process");
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().count() as u64;
        assert!(own.state == 'R' || own.state == 'S', "{own:?}");
        assert!(own.threads.abs_diff(tasks) <= 8 && own.threads >= 1, "{own:?}, {tasks} tasks");
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
