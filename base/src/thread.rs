//! The only place that starts threads, so that each has a name and a panic is never silent.

use std::thread::{Builder, JoinHandle};

/// Starts a named thread whose panic aborts the process: a worker that died half-way must not leave
/// a node that answers without it.
///
/// # Panics
/// When the system refuses another thread.
#[allow(clippy::disallowed_methods)] // The one starter of threads.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let abort = AbortOnPanic(name.to_string());
    Builder::new()
        .name(name.to_string())
        .spawn(move || {
            work();
            std::mem::forget(abort);
        })
        .unwrap_or_else(|error| panic!("cannot start thread {name}: {error}"))
}

/// Aborts the process when dropped while its thread unwinds.
struct AbortOnPanic(String);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("thread {} panicked; the node stops", self.0);
            std::process::abort();
        }
    }
}
