//! The few system calls that no safe interface offers: signals by process id, joining a network
//! namespace, cutting the power of a file system. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `FS_IOC_SHUTDOWN` of the ext4 and XFS interface: `_IOR('X', 125, __u32)`.
const FS_IOC_SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;
/// `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`: what is not on the disk yet never gets there.
const NO_LOG_FLUSH: u32 = 2;

/// A signal that the runner sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGINT: what makes `strace` let go of its process.
    Interrupt,
}

/// Sends a signal to one process.
///
/// # Errors
/// When there is no such process, or it belongs to somebody else.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // 0 and negative numbers mean groups of processes; the runner only ever means one.
    if pid <= 1 {
        return Err(io::Error::other(format!("{pid} is no process of ours")));
    }
    let number = match signal {
        Signal::Kill => libc::SIGKILL,
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
        Signal::Interrupt => libc::SIGINT,
    };
    // SAFETY: kill(2) takes two numbers and touches no memory of ours.
    outcome(unsafe { libc::kill(pid, number) })
}

/// Moves the calling thread, and threads it starts later, into a network namespace.
///
/// # Errors
/// When the file is no network namespace, or the process may not enter it.
pub fn join_network(namespace: &File) -> io::Result<()> {
    // SAFETY: setns(2) with a descriptor that lives through the call.
    outcome(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Cuts the power of a mounted file system: nothing that is not on its disk yet ever gets there, and each
/// later access fails with EIO until it is mounted again.
///
/// # Errors
/// When the file system does not know the call, or the process is not root.
pub fn cut_power(mount_point: &Path) -> io::Result<()> {
    let folder = File::open(mount_point)?;
    let flags = NO_LOG_FLUSH;
    // SAFETY: the call reads four bytes at the address, which `flags` holds.
    outcome(unsafe { libc::ioctl(folder.as_raw_fd(), FS_IOC_SHUTDOWN, &raw const flags) })
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The user that this process runs as.
pub fn user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

fn outcome(returned: libc::c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
