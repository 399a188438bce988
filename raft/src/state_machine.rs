//! What a replica does with log-committed commands. `raft` never looks inside one.

use engine::WriteBatch;

/// Turns log-committed commands into changes of the replica's engine.
///
/// `raft` writes the changes of one apply call together with the applied log id as one write batch, so
/// that a replica folder is always a consistent prefix of the log.
pub trait StateMachine: Send + Sync + 'static {
    /// Adds the changes of one command to `batch`. Must be deterministic: the same command on the same
    /// state gives the same changes on every replica.
    ///
    /// # Errors
    /// Any error stops the replica: it holds a command it cannot execute.
    fn apply(&self, index: u64, command: &[u8], batch: &mut WriteBatch) -> engine::Result<()>;
}
