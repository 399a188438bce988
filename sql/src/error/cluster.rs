//! The cluster: what is not available, not known, full or broken.

use super::{Error, errors};

errors! {
    /// Out of a query's memory.
    out_of_memory(what) = 1038, "HY001", "Out of memory for this query: {what}";
    /// The disk is full.
    disk_full(what) = 1021, "HY000", "Disk full ({what}); waiting for someone to free some space...";
    /// No quorum, no leader, or a node that does not answer: nothing was executed.
    unavailable(what) = 9001, "HY000", "{what}; nothing was executed, it is safe to retry";
    /// The outcome of a write is unknown.
    outcome_unknown(what) = 9002, "HY000", "{what}; it may or may not have been executed, check before you retry";
    /// The same, with the token by which it can be asked what happened.
    outcome_by_token(what, token) = 9002, "HY000", "{what}; it may or may not have been executed: SHOW TRANSACTION STATUS '{token}' tells which";
    /// The same, while only the node that gave the token knows it.
    outcome_by_node(what, token, node) = 9002, "HY000", "{what}; it may or may not have been executed: SHOW TRANSACTION STATUS '{token}' tells which, at node {node} only until the meta shard answers it again";
    /// A token that names no transaction.
    unknown_token(token, why) = 9008, "HY000", "Unknown transaction token '{token}': {why}";
    /// A token of a transaction that its session has not ended; a warning only.
    token_running(token) = 9014, "01000", "Transaction '{token}' is still open: its session decides it, there is nothing to settle";
    /// A token of a transaction that is no longer remembered; a warning only.
    token_forgotten(token) = 9009, "01000", "What became of transaction '{token}' is no longer known: read its rows";
    /// AS OF TIMESTAMP while the cluster's clock is far ahead of the node's; a warning only.
    cluster_clock_ahead(ahead_ms) = 9011, "01000", "The cluster's clock is {ahead_ms} ms ahead of this node's: what was committed less than that before the given time may be later than it, and is not seen then";
    /// No follower may or can answer a read that is for followers only.
    no_follower(shard, what) = 9012, "HY000", "No follower of shard {shard} answers this read: {what}; read at the leader, allow more lag, or try again";
    /// ADMIN CHECK: rows and index entries that do not fit each other (TiDB has 8223 for it).
    inconsistent(table, summary, first) = 9223, "HY000", "The indexes of {table} do not fit its rows: {summary}. The first: {first}. CHECK TABLE lists them; rebuild the index, and keep the data folders for whoever looks for the cause";
    /// The cluster refuses what an administrator asked of it; `what` says why and what to do.
    cluster_refuses(what) = 9005, "HY000", "{what}";
    /// A list of what runs in the cluster that lacks something; a warning only.
    incomplete_list(what) = 9007, "01000", "{what}";
    /// A transaction, row or packet above a named limit.
    too_large(what) = 1197, "HY000", "{what}";
    /// Storage failed or is corrupt.
    storage(what) = 1030, "HY000", "Got error from storage engine: {what}";
    /// A defect of ours: an invariant did not hold. The statement is undone.
    internal(what) = 1815, "HY000", "Internal error: {what}";
}
