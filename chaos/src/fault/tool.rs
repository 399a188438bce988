//! Runs the system's own tools (`ip`, `mount`, `strace` …), each for a bounded time.

use super::error::Error;
use base::{Clock, SystemClock};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longest run of one tool. Making a file system is the slowest of them.
const TOOL_WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks whether it has ended.
const TOOL_PAUSE: Duration = Duration::from_millis(2);
/// Where system tools are even when the PATH does not say so.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Where a tool is, if this machine has it.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Where a tool is.
///
/// # Errors
/// `Unavailable` with the Debian package that holds it.
pub fn need(program: &str, package: &str) -> Result<PathBuf, Error> {
    find(program).ok_or_else(|| {
        Error::unavailable(
            program,
            format!("the program is missing; install it: apt-get install {package}"),
        )
    })
}

/// Runs a tool to its end and returns what it printed.
///
/// # Errors
/// When it is missing, fails, or takes longer than 30 s (it is killed then). The message holds the command
/// and what the tool said.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, Error> {
    let line = || format!("{program} {}", arguments.join(" "));
    let path = find(program).ok_or_else(|| Error::system(line(), "the program is missing"))?;
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::system(line(), error))?;
    let clock = SystemClock::new();
    let deadline = clock.monotonic() + TOOL_WAIT_MAX;
    while child.try_wait().map_err(|error| Error::system(line(), error))?.is_none() {
        if clock.monotonic() > deadline {
            // It may stand in an uninterruptible wait; reaping it could then take for ever.
            let _ = child.kill();
            return Err(Error::system(line(), format!("no end after {TOOL_WAIT_MAX:?}; killed")));
        }
        std::thread::sleep(TOOL_PAUSE);
    }
    let output = child.wait_with_output().map_err(|error| Error::system(line(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::system(line(), format!("{}: {}", output.status, said.trim())))
}
