//! Routing errors, grouped by what the caller does next.

/// Result of a routing step.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a map or a wish for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The map contradicts itself. Keep the one in use.
    #[error("invalid shard map: {what}")]
    InvalidMap {
        /// Which rule it breaks, and where.
        what: String,
    },
    /// The bytes are not a shard map of a version this node knows. Keep the map in use.
    #[error("unreadable shard map: {what}")]
    Unreadable {
        /// What was expected.
        what: String,
    },
    /// No placement can fulfil the wish. Change the numbers.
    #[error("cannot place replicas: {what}")]
    Unplaceable {
        /// Which number does not fit, and what would.
        what: String,
    },
}
