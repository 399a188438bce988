//! What can go wrong while a lab is built or a fault injected, grouped by what the caller does next.

/// A failure of the fault runner, never of the database under test.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine cannot do it. Leave the fault out, and tell the operator how to get it.
    #[error("{what}: not available here: {why}")]
    Unavailable {
        /// The fault or tool.
        what: String,
        /// Why not, and how to get it.
        why: String,
    },
    /// A command or file operation of the runner failed. End the run and restore everything.
    #[error("{what}: {why}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        why: String,
    },
    /// A node did not do what it must (start, answer). The end of its log is in `why`.
    #[error("node {node}: {why}")]
    Node {
        /// The node, from 1.
        node: u64,
        /// What it did instead.
        why: String,
    },
    /// A guard refuses the step. Nothing was done.
    #[error("refused: {0}")]
    Refused(String),
}

impl Error {
    /// A failed operation of the runner.
    pub fn system(what: impl Into<String>, why: impl ToString) -> Error {
        Error::System { what: what.into(), why: why.to_string() }
    }

    /// Something this machine does not offer.
    pub fn unavailable(what: impl Into<String>, why: impl ToString) -> Error {
        Error::Unavailable { what: what.into(), why: why.to_string() }
    }
}
