//! The timestamp oracle as the rest of the node sees it.

use crate::Result;
use base::Timestamp;

/// Hands out timestamps in real-time order.
#[async_trait::async_trait]
pub trait Oracle: Send + Sync + 'static {
    /// The first of `count` consecutive timestamps, all later than any handed out before the call.
    async fn timestamps(&self, count: u32) -> Result<Timestamp>;
}
