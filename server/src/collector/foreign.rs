//! Drops the rows that a shard gave away when it was split, for both halves begin with all of them, and what a merge that was
//! undone has left.
//!
//! ```text
//! step of 1 MiB ─> keys of foreign slots? ─> one entry of the log drops all that is kept under them ─> next step …
//!                                          a whole walk that has found none ─> the mark `a/foreign` goes
//! ```
//!
//! Nobody reads these keys meanwhile: readers skip slots that are not the shard's. As with old versions the leader finds and
//! the log drops, so that replicas stay equal. A pass that breaks off begins anew under the next leader.

use super::walk;
use bytes::Bytes;
use std::sync::Arc;
use txn::shard::Shard;

/// One pass over a shard that may have such rows. Returns how many keys it dropped; after a pass that has found none the
/// shard is known to have none.
pub(super) async fn pass(shard: &Arc<Shard>) -> txn::Result<u64> {
    let Some(bounds) = shard.bounds()? else { return Ok(0) };
    let merges = shard.merges_over()?;
    let (mut from, mut total) = (Bytes::new(), 0);
    loop {
        let at = from.clone();
        let found = walk::step(shard, move |shard| shard.find_foreign(&at)).await?;
        if !found.keys.is_empty() {
            total += found.keys.len() as u64;
            shard.drop_foreign(found.keys).await?;
        }
        let Some(next) = found.next else { break };
        from = next;
        walk::rest_after(found.bytes).await;
    }
    if total == 0 {
        shard.forget_foreign(bounds, merges).await?;
    }
    Ok(total)
}
