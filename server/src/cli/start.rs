//! `precinct start`: one node, until it is told to stop.

use super::{EXIT_CONFLICT, Failure};
use crate::config::{Config, StartFlags};
use crate::founding::StartError;
use crate::node::Node;
use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a node until SIGTERM, SIGINT or, for a supervised child, the end of standard input.
pub fn run(flags: &StartFlags) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PRECINCT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let config = Config::load(flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("node")
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let parent_gone = flags.exit_with_parent.then(watch_parent);
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
        let parent_gone = async {
            match parent_gone {
                // An error means that the watcher is gone, which it only is at end of input.
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::pin!(parent_gone);
        let node = tokio::select! {
            node = Node::start(config) => node.map_err(|error| match error {
                StartError::Failed(why) => Failure::from(why),
                StartError::Refused(message) => Failure { code: EXIT_CONFLICT, message },
            })?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = &mut parent_gone => return Ok(()),
        };
        let refused = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            () = &mut parent_gone => None,
            why = node.refused() => Some(why),
        };
        tracing::info!("stopping");
        node.stop().await;
        refused.map_or(Ok(()), |message| Err(Failure { code: EXIT_CONFLICT, message }))
    })
}

/// Fires when standard input ends: the supervisor closed it or died.
fn watch_parent() -> tokio::sync::oneshot::Receiver<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    base::thread::spawn("parent-watch", move || {
        let mut byte = [0; 64];
        while matches!(std::io::stdin().read(&mut byte), Ok(count) if count > 0) {}
        // The node may have stopped for another reason first.
        let _ = sender.send(());
    });
    receiver
}
