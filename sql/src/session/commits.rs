//! How transactions were committed, counted. SHOW STATUS tells a session its own figures, SHOW GLOBAL STATUS the node's.
//!
//! An application whose transactions are about one person each sees here whether they are committed in one shard, as one
//! entry of its log, or in two phases over several.
//!
//! Not counted: what changed nothing, transactions that XA COMMIT ends, and the server's own.

use super::connection::Session;
use std::sync::atomic::{AtomicU64, Ordering};
use txn::Identity;

/// Figures since the login, or since the start of the node.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    /// Committed as one entry of one shard.
    one_shard: AtomicU64,
    /// Committed in two phases.
    many_shards: AtomicU64,
}

impl Commits {
    /// Counts a commit that succeeded; one without identity has changed nothing.
    fn count(&self, identity: Option<&Identity>) {
        let figure = match identity {
            Some(Identity::OneShard { .. }) => &self.one_shard,
            Some(Identity::SeveralShards { .. }) => &self.many_shards,
            None => return,
        };
        figure.fetch_add(1, Ordering::Relaxed);
    }

    /// The lines of SHOW STATUS.
    pub(crate) fn lines(&self) -> [(&'static str, String); 2] {
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed).to_string();
        [
            ("Precinct_commits_many_shards", figure(&self.many_shards)),
            ("Precinct_commits_one_shard", figure(&self.one_shard)),
        ]
    }
}

impl Session {
    /// Counts a commit that succeeded, by what it would be found again.
    pub(crate) fn count_commit(&self, identity: Option<&Identity>) {
        self.entry.commits.count(identity);
        self.instance.commits.count(identity);
    }
}
