//! Every limit of a queue, batch, retry and wait, in one place, with the relations between them.

mod columns;
mod foreign_keys;
mod functions;
mod planning;
mod program;
mod query;
mod statistics;
mod temporary;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use columns::*;
pub use foreign_keys::*;
pub use functions::*;
pub use planning::{
    JOIN_BUILD_BYTES_MAX, JOIN_ROW_BYTES, JOIN_SPILL_FILES, OR_FACTOR_TERMS_MAX,
    SUBQUERY_CACHE_BYTES_MAX, UNION_PARTS_IN_LINE_MAX,
};
pub use program::*;
pub use query::*;
pub use statistics::*;
pub use temporary::*;

/// Largest Raft entry, bytes. Larger transactions are cut into several commands.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;
/// Target size of one entry when a big transaction is cut, bytes.
pub const ENTRY_BYTES_TARGET: usize = 1 << 20;
/// Commands that wait at a shard's proposer.
pub const PROPOSER_QUEUE_MAX: usize = 4096;
/// Bytes of commands in flight per shard before proposals wait.
pub const PROPOSER_BYTES_MAX: usize = 64 << 20;
/// Commands packed into one entry.
pub const PROPOSER_BATCH_MAX: usize = 512;
/// How long a write waits for its quorum before its outcome is reported as unknown.
pub const PROPOSE_WAIT_MAX: Duration = Duration::from_millis(4000);
/// How often one step of a transaction looks anew for the shards of its keys, because a shard was split meanwhile.
pub const MOVES_MAX: u32 = 16;
/// How long a request looks for a shard's leader before it gives up with a clear error.
pub const ROUTE_WAIT_MAX: Duration = Duration::from_millis(4000);
/// How often a link between nodes asks for a sign of life while calls wait on it.
pub const LINK_PING_INTERVAL: Duration = Duration::from_millis(250);
/// Silence after which a link with waiting calls is given up: a little longer than an election.
pub const LINK_SILENCE_MAX: Duration = Duration::from_millis(1500);
/// Third nodes that are asked to pass a call on.
pub const RELAYS_TRIED_MAX: usize = 3;
/// How much longer than the call itself its way over a third node may take.
pub const RELAY_MARGIN: Duration = Duration::from_millis(200);
/// Pause between two looks for a leader.
pub const ROUTE_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Largest transaction that stays in memory (SERIALIZABLE, XA, one statement's batch), bytes of keys and values.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;
/// Bytes of buffered writes above which a transaction sends them to the shards and becomes a large one.
pub const TRANSACTION_BUFFER_BYTES: usize = 32 << 20;
/// Bytes that a buffered write costs in memory beside its key and value.
pub const BUFFERED_WRITE_OVERHEAD: usize = 192;
/// Largest transaction, bytes of keys and values, unless `[transactions] max_transaction_gib` says otherwise.
pub const LARGE_TRANSACTION_BYTES_DEFAULT: u64 = 100 << 30;
/// Row locks that a large transaction may keep in memory; more become replicated locks with its next round.
pub const LARGE_TRANSACTION_ROW_LOCKS: usize = 65_536;
/// Locks of large transactions that one page of a read looks at.
pub const LARGE_LOCKS_STEP: usize = 16_384;
/// Locks of a decided large transaction that are finished with one entry.
pub const FINISH_STEP_KEYS: usize = 4096;
/// Pause between two questions of a coordinator whether all locks of its large transaction are finished.
pub const FINISH_LOOK: Duration = Duration::from_millis(100);
/// Such questions about one shard, at most: an hour. Whoever meets a lock afterwards sees to it.
pub const FINISH_LOOKS_MAX: usize = 36_000;
/// Failed attempts in a row, after which a coordinator leaves the locks of its large transaction to whoever meets them.
pub const FINISH_FAILURES_MAX: usize = 100;
/// Life of a lock without a heartbeat of its transaction.
pub const LOCK_TTL: Duration = Duration::from_secs(4);
/// Rows in one answer of a scan.
pub const SCAN_ROWS_MAX: usize = 16_384;
/// Bytes in one answer of a scan.
pub const SCAN_BYTES_MAX: usize = 4 << 20;
/// Largest message between nodes, bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Messages queued to one peer lane before senders wait or drop.
pub const LANE_QUEUE_MAX: usize = 4096;
/// Size of a Raft log segment, bytes.
pub const LOG_SEGMENT_BYTES: u64 = 64 << 20;
/// Empty log segments kept for reuse.
pub const LOG_SEGMENTS_SPARE: usize = 4;
/// Bytes of log entries kept in memory per node.
pub const LOG_CACHE_BYTES: usize = 64 << 20;
/// Appends queued at the flusher before appenders wait.
pub const FLUSH_QUEUE_MAX: usize = 65_536;
/// Connections of MySQL clients per node.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Prepared statements per session.
pub const PREPARED_STATEMENTS_MAX: usize = 16_382;
/// MySQL's `max_allowed_packet`, bytes.
pub const PACKET_BYTES_MAX: usize = 64 << 20;
/// MySQL's `max_error_count`: warnings kept per statement.
pub const WARNINGS_MAX: usize = 1024;
/// Memory of one query's operators before they spill, bytes.
pub const QUERY_BYTES_MAX: usize = 256 << 20;
/// Life of a node's copy of the catalog; a schema change waits this long for a node that is silent.
pub const CATALOG_LEASE: Duration = Duration::from_millis(1500);
/// How often a node renews its copy of the catalog.
pub const CATALOG_RENEW: Duration = Duration::from_millis(400);
/// AUTO_INCREMENT values that a node takes at first, and while few are asked for.
pub const AUTO_INCREMENT_BATCH: u64 = 4096;
/// Most AUTO_INCREMENT values that a node takes at once, but for a statement that needs more.
pub const AUTO_INCREMENT_BATCH_MAX: u64 = 1 << 20;
/// A batch that is used up sooner is followed by one `AUTO_INCREMENT_BATCH_GROWTH` times as large: so a node asks the meta
/// shard for values of one table at most a few times a second.
pub const AUTO_INCREMENT_BATCH_LIFE: Duration = Duration::from_millis(500);
/// A batch that lasts longer is followed by one as many times smaller.
pub const AUTO_INCREMENT_BATCH_LIFE_MAX: Duration = Duration::from_secs(60);
/// See `AUTO_INCREMENT_BATCH_LIFE`.
pub const AUTO_INCREMENT_BATCH_GROWTH: u64 = 8;
/// Most values of a sequence that a node takes at once: CACHE.
pub const SEQUENCE_CACHE_MAX: u64 = 1 << 32;
/// Longest key of an index entry, bytes (MySQL's 3072 for DYNAMIC rows).
pub const INDEX_KEY_BYTES_MAX: usize = 3072;
/// Longest row, bytes. MySQL's LONGTEXT is larger; a row here must fit one packet and one entry.
pub const ROW_BYTES_MAX: usize = ENTRY_BYTES_MAX - (64 << 10);
/// Times the gateway redoes an autocommit statement that met a write conflict.
pub const CONFLICT_RETRIES_MAX: usize = 32;
/// Versions that one entry of the log drops, at most.
pub const COLLECT_VERSIONS_MAX: usize = 4096;
/// Bytes of versions that one step of the collector passes.
pub const COLLECT_STEP_BYTES: u64 = 1 << 20;
/// Keys with dead versions that one step of the collector takes.
pub const COLLECT_STEP_KEYS: usize = 512;
/// Bytes of versions that the collector passes per second on a node.
pub const COLLECT_BYTES_PER_SECOND: u64 = 32 << 20;
/// Dropped tables whose rows a look at a shard removes, at most; the others wait for the next look.
pub const DROPPED_TABLES_A_LOOK: usize = 64;
/// Bytes of dropped tables that a node's look removes, about: old versions of other tables wait meanwhile.
pub const DROPPED_BYTES_A_LOOK: u64 = 1 << 30;
/// How often the collector looks whether a shard is due.
pub const COLLECT_LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Shortest time between two passes of the collector over one shard.
pub const COLLECT_PASS_PAUSE_MIN: Duration = Duration::from_secs(30);
/// A pass over a shard is followed by a pause of this many times its length.
pub const COLLECT_PASS_PAUSE_FACTOR: u32 = 20;
/// How often a node looks for old locks and old transaction records on the shards that it leads.
pub const RECORDS_LOOK_PAUSE: Duration = Duration::from_secs(30);
/// Shortest age of a transaction whose new locks are refused: how long all prewrites of the largest one may take.
pub const LOCK_FLOOR_AGE_MIN: Duration = Duration::from_secs(300);
/// Lock floors are multiples of this, so that all nodes ask a shard for the same one.
pub const LOCK_FLOOR_STEP: Duration = Duration::from_secs(60);
/// Locks that one step of a walk for old ones passes.
pub const OLD_LOCKS_PASSED_MAX: usize = 4096;
/// Old locks that one step resolves.
pub const OLD_LOCKS_STEP: usize = 128;
/// Old locks of one shard that are resolved between two looks, at most.
pub const OLD_LOCKS_PER_LOOK: u64 = 4096;
/// Shards that are asked for their oldest lock at once.
pub const OLDEST_LOCK_ASKED_AT_ONCE: usize = 16;
/// Transaction records that one entry of the log drops, at most.
pub const COLLECT_RECORDS_MAX: usize = 4096;
/// How long versions stay that a newer one has replaced.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(3600);
/// What a retention may be, of the cluster or of a table, seconds: up to a year.
pub const RETENTION_S: RangeInclusive<u64> = 10..=365 * 24 * 3600;
/// Tables with a retention of their own, at most, partitions counted: each has its safe point in the log entries that drop
/// versions.
pub const TABLE_RETENTIONS_MAX: usize = 1000;
/// A pass of the collector for a table or for all comes when their safe point has risen by this part of its age, at least.
pub const COLLECT_AGE_PARTS: u64 = 100;
/// How long versions stay, beyond the retention, for a transaction that still reads them.
pub const READER_HOLD_MAX: Duration = Duration::from_secs(24 * 3600);
/// Raft heartbeat interval.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(200);
/// Shortest election timeout.
pub const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// Longest election timeout, and the length of the leader lease.
pub const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(1200);
/// Part of the lease that reads may use: covers a clock that runs 10 % wrong on either side.
pub const LEASE_READ_MAX: Duration = Duration::from_millis(960);
/// How far the window of timestamps that the oracle reserves reaches beyond the wall clock, milliseconds. It is renewed when
/// half of it is used, and bounds how far the oracle is ahead after a change of the meta shard's leader.
pub const ORACLE_WINDOW_MS: u64 = 1000;
/// The same at most, where its renewals are slow.
pub const ORACLE_WINDOW_MAX_MS: u64 = 3000;
/// Renewals, as slow as the last ones, that the window covers: half of them may be under way before a request waits.
pub const ORACLE_WINDOW_RENEWALS: u64 = 4;
/// What the oracle reserves beyond its last timestamp while that is ahead of the wall clock, milliseconds: more than two
/// million timestamps.
pub const ORACLE_STEP_MS: u64 = 10;
/// The window of an oracle that nobody has asked for so long is not renewed, milliseconds: the next request waits for that.
pub const ORACLE_IDLE_MS: u64 = 2000;
/// How often a node whose followers are read asks the leaders of its shards to close a timestamp.
pub const CLOSE_INTERVAL: Duration = Duration::from_millis(500);
/// How long it goes on with that after the last read at a follower.
pub const CLOSE_INTEREST: Duration = Duration::from_secs(60);
/// How long a leader waits for writes under way before it says that it cannot close a timestamp.
pub const CLOSE_WAIT_MAX: Duration = Duration::from_millis(1000);
/// Longest wait for a leader's answer to that.
pub const CLOSE_CALL_WAIT_MAX: Duration = Duration::from_millis(1500);
/// Closed timestamps that a replica remembers whose entries it has not applied yet.
pub const CLOSED_PENDING_MAX: usize = 16;
/// How long a read at a follower waits until that one has applied what the read needs.
pub const FOLLOWER_CATCH_UP_MAX: Duration = Duration::from_millis(500);
/// Longest wait for another node's follower.
pub const FOLLOWER_CALL_WAIT_MAX: Duration = Duration::from_millis(2500);
/// How old what a follower answers may be, unless a session or statement says otherwise.
pub const FOLLOWER_READ_LAG_DEFAULT: Duration = Duration::from_secs(10);
/// The same at most: who allows more gets it as fresh as this.
pub const FOLLOWER_READ_LAG_MAX: Duration = Duration::from_secs(60);
/// Pause of a read that is for followers only and has met the lock of a transaction.
pub const FOLLOWER_LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Such pauses of one statement, at most.
pub const FOLLOWER_LOCK_PAUSES_MAX: u32 = 500;
/// A read of the past warns when the cluster's clock is ahead of the node's by more than this.
pub const PAST_AHEAD_MAX: Duration = Duration::from_millis(200);
/// How long a statement waits for an unfinished commit's lock before it gives up (error 1205): longer than the lock of a
/// coordinator that is gone may stand.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a transaction that may hold locks itself waits for an older one's lock before it gives
/// way (error 1213): breaks deadlocks between prewrites.
pub const LOCK_WAIT_YOUNGER_MAX: Duration = Duration::from_millis(200);
/// Keys of the largest transaction over several shards that commits asynchronously: each of them stands in the
/// primary's lock.
pub const ASYNC_COMMIT_KEYS_MAX: usize = 256;
/// Bytes of those keys.
pub const ASYNC_COMMIT_BYTES_MAX: usize = 4096;
/// Age from which a node's newest timestamp is replaced by a fresh one before a transaction of one shard is committed.
pub const COMMIT_SINCE_AGE_MAX: Duration = Duration::from_secs(60);
/// How much later than the timestamp that it brings along a transaction of one shard may be committed: a message that was
/// under way for longer does nothing.
pub const COMMIT_AGE_MAX: Duration = Duration::from_secs(120);
/// Versions that are looked at to find out whether a transaction of one shard was committed.
pub const SETTLE_VERSIONS_MAX: usize = 65_536;
/// How long a refused commit is remembered after it can no longer come.
pub const REFUSAL_KEEP: Duration = Duration::from_secs(3600);
/// How long the token of a commit with an unknown outcome is remembered.
pub const TOKEN_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long the token of a transaction that has asked for it (`gtid()`) is remembered.
pub const GTID_RETENTION: Duration = Duration::from_secs(3600);
/// How long a statement waits until the token that its error names is written down.
pub const TOKEN_WRITE_WAIT: Duration = Duration::from_millis(1500);
/// Pause between two attempts to write tokens down.
pub const TOKEN_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Tokens that a node keeps in memory until they are written down.
pub const TOKENS_UNWRITTEN_MAX: usize = 4096;
/// Shortest time between two looks for old tokens on a node.
pub const TOKEN_PRUNE_PAUSE: Duration = Duration::from_secs(10);
/// Old tokens that one transaction removes.
pub const TOKEN_PRUNE_ROWS: usize = 512;
/// Row locks that a node keeps in memory, over all shards that it leads; one more is refused (error 1197).
pub const ROW_LOCKS_MAX: usize = 4 << 20;
/// Longest time that a leader lets one lock request wait before the asker has to ask again.
pub const ROW_LOCK_ROUND_MAX: Duration = Duration::from_secs(30);
/// How long ROLLBACK waits until the leaders of its shards have heard that its row locks are given up.
pub const ROW_LOCK_RELEASE_WAIT_MAX: Duration = Duration::from_millis(500);
/// How often a waiting lock request looks whether its replica still leads.
pub const ROW_LOCK_LEADER_CHECK: Duration = Duration::from_millis(250);
/// How often a leader asks other nodes which of their transactions still live, and how often waits are compared
/// across nodes to find deadlocks.
pub const LOCK_SURVEY_INTERVAL: Duration = Duration::from_millis(200);
/// In one of so many surveys a leader asks whose transactions and lock requests there are: a waiter whose asker has given up
/// without being heard leaves its line after `LOCK_SURVEY_INTERVAL` times this.
pub const LOCK_OWNERS_ROUNDS: u32 = 4;
/// Attempts to tell a shard's leader that a lock request was given up.
pub const LOCK_CANCEL_TRIES: u32 = 8;
/// Lock requests given up that a node remembers, to refuse them should they come later.
pub const LOCK_CANCELS_KEPT_MAX: usize = 65_536;
/// After this long without an answer from a node the locks of its transactions are given up.
pub const LOCK_OWNER_SILENCE_MAX: Duration = Duration::from_millis(3000);
/// Longest pause between two questions without an answer that count as one silence of the node: longer than askers wait between
/// two of them, and for an answer.
pub const SILENCE_GAP_MAX: Duration = Duration::from_millis(2000);
/// Waits that one node tells another when deadlocks are looked for.
pub const LOCK_WAITS_TOLD_MAX: usize = 65_536;
/// How long a lock request that was held up by a large transaction counts as waiting without asking again: many times
/// [`LOCK_RETRY_PAUSE_MAX`].
pub const LOCK_HELD_UP_KEEP: Duration = Duration::from_millis(1000);
/// Large transactions whose lock owners a node remembers.
pub const LARGE_OWNERS_KEPT_MAX: usize = 4096;
/// Row locks of a shard that go to its next leader when leadership is given away on purpose; the others stay behind.
pub const LOCK_HANDOVER_LOCKS_MAX: usize = 65_536;
/// Bytes of their keys.
pub const LOCK_HANDOVER_BYTES_MAX: usize = 8 << 20;
/// Bytes of locks in one message of them.
pub const LOCK_HANDOVER_PART_BYTES: usize = 1 << 20;
/// How much longer giving leadership away may take because of them.
pub const LOCK_HANDOVER_WAIT_MAX: Duration = Duration::from_millis(1000);
/// How long they wait for the leadership that they go with: until its leader has caught up and is elected.
pub const LOCK_HANDOVER_KEEP: Duration = Duration::from_millis(6000);
/// How often the node that keeps them looks whether it leads.
pub const LOCK_HANDOVER_LOOK: Duration = Duration::from_millis(20);
/// Row locks, waits, transactions and sessions, each, that a node tells whoever lists them.
pub const ACTIVITY_ROWS_MAX: usize = 8192;
/// Bytes of keys of row locks, of waits, and of sessions, each, that a node tells whoever lists them.
pub const ACTIVITY_BYTES_MAX: usize = 8 << 20;
/// Characters of a statement in the list of transactions (MySQL's `trx_query`), and of sessions of other nodes.
pub const ACTIVITY_STATEMENT_CHARS_MAX: usize = 1024;
/// Longest wait for another node's row locks and transactions.
pub const ACTIVITY_WAIT_MAX: Duration = Duration::from_millis(2000);
/// Keys and ranges that a transaction remembers to have read; beyond it neighbours are merged into one range.
pub const READ_SET_MAX: usize = 4096;
/// How often GET_LOCK looks whether a lock that another session holds is free.
pub const USER_LOCK_LOOK: Duration = Duration::from_millis(200);
/// How often GET_LOCK asks, while it stands in line, whether the session that holds the lock still lives.
pub const USER_LOCK_OWNER_LOOK: Duration = Duration::from_millis(1000);
/// How long a session counts on the locks that it took with GET_LOCK without a look whether others have taken them over.
pub const USER_LOCK_TRUST: Duration = Duration::from_millis(1500);
/// First pause between two looks whether a table is still locked; doubles up to [`TABLE_LOCK_LOOK_MAX`].
pub const TABLE_LOCK_LOOK_MIN: Duration = Duration::from_millis(5);
/// Longest pause between two such looks.
pub const TABLE_LOCK_LOOK_MAX: Duration = Duration::from_millis(100);
/// How often somebody who waits for a locked table asks whether the session that has locked it still lives.
pub const TABLE_LOCK_OWNER_LOOK: Duration = Duration::from_millis(1000);
/// How long LOCK TABLES waits for a node that does not say what its sessions use: then the node's catalog lease is over,
/// and what it committed under that lease is decided.
pub const TABLE_LOCK_SILENCE_MAX: Duration = Duration::from_millis(9500);
/// Bytes of keys in one row of a prepared XA transaction's key list.
pub const XA_ROW_BYTES_TARGET: usize = 256 << 10;
/// Bytes of all keys that one XA transaction may have locked when it is prepared.
pub const XA_KEYS_BYTES_MAX: usize = 64 << 20;
/// How often a statement that waits for a lock looks whether it was killed.
pub const CANCEL_LOOK: Duration = Duration::from_millis(50);
/// First pause between two looks at a standing lock; doubles up to [`LOCK_RETRY_PAUSE_MAX`].
pub const LOCK_RETRY_PAUSE_MIN: Duration = Duration::from_millis(1);
/// Longest pause between two looks at a standing lock.
pub const LOCK_RETRY_PAUSE_MAX: Duration = Duration::from_millis(100);
/// Prewrite or commit requests of one transaction in flight.
pub const PREWRITES_IN_FLIGHT: usize = 16;
/// Entries of one shard's proposer in flight; more wait and share the next entry.
pub const PROPOSER_ENTRIES_IN_FLIGHT: usize = 2;
/// Pause between two attempts to learn the outcome of an entry that nobody answered for.
pub const OUTCOME_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a read waits for writes that are being replicated below its read point.
pub const READ_WAIT_MAX: Duration = Duration::from_millis(4500);
/// Rows a coordinator asks for in one page of a scan.
pub const SCAN_PAGE_ROWS: usize = 4096;
/// The same in the first page of each shard of a scan of several, which is read at once where that is possible.
pub const SCAN_TRY_ROWS: usize = 128;
/// Such pages that are read in a row before others get their turn.
pub const SCANS_AT_A_STRETCH: usize = 16;
/// Such pages in one message between nodes.
pub const SCAN_SHARDS_MAX: usize = 256;
/// Rows of several shards that are returned together rather than shard by shard.
pub const SCAN_GATHER_ROWS: usize = 1024;
/// Shards whose parts of a local join are computed at the same time.
pub const LOCAL_JOIN_SHARDS_MAX: usize = 8;
/// Keys in one point-read request to a shard.
pub const GET_KEYS_MAX: usize = 1024;
/// Differences between rows and index entries that a check describes; the others are counted.
pub const CHECK_DIFFERENCES_SHOWN: usize = 100;
/// Bytes a write costs in a command beside its key and value: framing and timestamps.
pub const WRITE_OVERHEAD_BYTES: usize = 32;
/// Texts of queries whose plans a session keeps.
pub const TEXT_PLANS_MAX: usize = 256;
/// Columns of a table (InnoDB's limit).
pub const TABLE_COLUMNS_MAX: usize = 1017;
/// Indexes of a table (MySQL's limit).
pub const TABLE_INDEXES_MAX: usize = 64;
/// Copies of a new broadcast table. A shard without one reads another one's; each costs a write.
pub const BROADCAST_COPIES: u32 = 8;
/// Partitions of a table (MySQL's limit).
pub const PARTITIONS_MAX: usize = 8192;
/// Ranges of a table that is sharded by ranges of keys: they are looked through for each row.
pub const KEY_RANGES_MAX: usize = 1024;
/// Partitions of the future that AUTO_PARTITION may ask for.
pub const AUTO_PARTITIONS_MAX: u32 = 366;
/// Periods before today's that AUTO_PARTITION fills in with a partition each, when nobody has added any for long.
pub const PARTITIONS_FILLED_IN: i64 = 100;
/// How often tables are looked at that lack partitions of the future.
pub const FUTURE_PARTITIONS_LOOK: Duration = Duration::from_secs(60);
/// How long a table to which none could be added is left alone.
pub const FUTURE_PARTITIONS_REST: Duration = Duration::from_secs(600);
/// How long such an addition waits for whoever uses the table, seconds: others wait behind it.
pub const FUTURE_PARTITIONS_LOCK_WAIT_S: u64 = 1;
/// Columns that choose a row's partition (MySQL's limit).
pub const PARTITION_COLUMNS_MAX: usize = 16;
/// Columns of an index (MySQL's limit).
pub const INDEX_COLUMNS_MAX: usize = 16;
/// Longest COMMENT of an index, characters (as in MySQL).
pub const INDEX_COMMENT_CHARS_MAX: usize = 1024;
/// Columns that INCLUDE may name.
pub const INDEX_INCLUDED_COLUMNS_MAX: usize = 64;
/// Declared bytes of the columns of INCLUDE, together: an entry stays a small part of a batch.
pub const INDEX_INCLUDED_BYTES_MAX: usize = 65_535;
/// Rows of a batch with which a new index is filled, or of entries that are removed, at most.
pub const INDEX_BATCH_ROWS: usize = 512;
/// Bytes read after which such a batch ends: entries may carry as much again, for each index.
pub const INDEX_BATCH_BYTES: usize = 4 << 20;
/// Partitions that such a batch walks, at most: many may be empty, and whoever cancels the job waits for a batch.
pub const INDEX_BATCH_PARTITIONS: usize = 64;
/// Pause after a full batch, so that the work leaves room for statements.
pub const INDEX_BATCH_PAUSE: Duration = Duration::from_millis(2);
/// Pause before a job that changes indexes tries again what failed.
pub const INDEX_JOB_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Pause between looks at a job that is paused, and of a statement at its job.
pub const INDEX_JOB_LOOK: Duration = Duration::from_millis(200);
/// Pause between looks for jobs whose node is gone. So far below `SILENCE_GAP_MAX` that a silence adds up although each look
/// reads the jobs and waits for an answer.
pub const INDEX_JOBS_WATCH: Duration = Duration::from_millis(700);
/// Ended jobs that SHOW DDL JOBS still lists.
pub const INDEX_JOBS_KEPT: usize = 100;
/// Characters of a job's statement that are kept.
pub const INDEX_JOB_STATEMENT_CHARS: usize = 1024;
/// Longest packet of a client that has not logged in, bytes: names and attributes need no more.
pub const LOGIN_PACKET_BYTES_MAX: usize = 256 << 10;
/// How long a client may take to log in (MySQL's `connect_timeout`).
pub const LOGIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Accounts whose proved password digest a node remembers.
pub const LOGIN_CACHE_MAX: usize = 10_000;
/// Response bytes of a connection that are collected before they are sent.
pub const RESPONSE_FLUSH_BYTES: usize = 64 << 10;
/// Room for one read from a client's socket, bytes.
pub const READ_BUFFER_BYTES: usize = 16 << 10;
/// Memory that an idle connection keeps in each of its buffers, bytes.
pub const IDLE_BUFFER_BYTES: usize = 64 << 10;
/// Accepted sockets on their way to a gateway worker.
pub const ACCEPT_QUEUE_MAX: usize = 1024;
/// How often a gateway worker looks for killed and long idle connections.
pub const CONNECTION_SWEEP: Duration = Duration::from_millis(200);
/// Bits of a connection id that count a node's connections; the bits above name the node.
pub const CONNECTION_COUNTER_BITS: u32 = 22;
/// A statement that has run for this long is looked after: when its client is gone, it is cancelled.
pub const CLIENT_GONE_CHECK: Duration = Duration::from_millis(1000);
/// Pause after the system refused to accept a connection (no descriptors left).
pub const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Rows of open cursors kept in memory per connection, bytes.
pub const CURSOR_BYTES_MAX: usize = 256 << 20;
/// How far the Raft log's watermark may lag behind what was acknowledged (decision 0002).
pub const WATERMARK_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes of entries in one AppendEntries message, unless one entry is larger.
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// AppendEntries messages of one replica in flight to one follower.
pub const APPEND_PIPELINE_MAX: usize = 64;
/// How long a follower may take to answer an AppendEntries before its lane counts as stuck.
pub const APPEND_REPLY_WAIT: Duration = Duration::from_millis(1500);
/// Bytes of messages gathered into one frame of a lane.
pub const FRAME_BYTES_TARGET: usize = 256 << 10;
/// How long a connection to another node may take to come up.
pub const DIAL_WAIT_MAX: Duration = Duration::from_millis(1000);
/// Bytes of one piece of a Raft snapshot.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// How long the slow steps of a Raft snapshot may take: connecting, and the install at its end.
pub const SNAPSHOT_STEP_WAIT: Duration = Duration::from_secs(60);
/// How long a receiver waits for the next piece of a Raft snapshot.
pub const SNAPSHOT_PIECE_WAIT: Duration = Duration::from_secs(15);
/// Bytes of Raft snapshots that a node sends per second, all transfers together; the same again that it
/// receives; unless `[storage] rebuild_mib_per_s` says otherwise.
pub const SNAPSHOT_BYTES_PER_SECOND: u64 = 128 << 20;
/// How many times as fast as it sends a node reads the engines that it sends, so that no damage is given away.
pub const SNAPSHOT_READ_SPEEDUP: u64 = 2;
/// Last pieces of a Raft snapshot that are held back while the sender still reads its own engine.
pub const SNAPSHOT_TAIL_PIECES: usize = 16;
/// How long each of them is held back, at most: the receiver must hear something now and then.
pub const SNAPSHOT_TAIL_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks whether the engine has been read.
pub const SNAPSHOT_TAIL_LOOK: Duration = Duration::from_millis(20);
/// Raft snapshots that a node sends at once; others wait for their turn.
pub const SNAPSHOTS_SENDING_MAX: usize = 2;
/// Raft snapshots that a node receives at once; others are refused and asked again.
pub const SNAPSHOTS_RECEIVING_MAX: usize = 2;
/// Checkpoints that a node keeps for sending, all replicas together: each one keeps deleted files alive.
pub const SNAPSHOT_CHECKPOINTS_MAX: usize = 4;
/// How long a checkpoint is kept after the last attempt to send it, so that a broken transfer goes on.
pub const SNAPSHOT_KEEP: Duration = Duration::from_secs(60);
/// How long no piece of a checkpoint has gone before another one may have its place: a follower that does not
/// answer must not keep other replicas from getting theirs.
pub const SNAPSHOT_YIELD_AFTER: Duration = Duration::from_secs(10);
/// Age from which a checkpoint is sent no more, whatever the state of the transfer.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(4 * 3600);
/// How long a received part of a Raft snapshot waits for the rest.
pub const SNAPSHOT_PART_KEEP: Duration = Duration::from_secs(600);
/// Files in one Raft snapshot.
pub const SNAPSHOT_FILES_MAX: usize = 100_000;
/// How long a transfer keeps the sender's log from being purged behind the checkpoint.
pub const SNAPSHOT_HOLD_MAX: Duration = Duration::from_secs(3600);
/// Bytes of a replica's log from which a transfer no longer keeps it from being purged.
pub const SNAPSHOT_HOLD_LOG_BYTES_MAX: u64 = 1 << 30;
/// Unflushed bytes above which an engine is flushed before a checkpoint is cut, so that the cut is short.
pub const SNAPSHOT_CUT_UNFLUSHED_MAX: u64 = 4 << 20;
/// How often kept checkpoints and half-received Raft snapshots are looked at.
pub const SNAPSHOT_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes per second that a node reads to compare replicas, all together.
pub const COMPARE_BYTES_PER_SECOND: u64 = 64 << 20;
/// Bytes read at once while replicas are compared.
pub const COMPARE_PAGE_BYTES: u64 = 1 << 20;
/// How long a comparison of a shard's replicas may take.
pub const COMPARE_TIME_MAX: Duration = Duration::from_secs(3600);
/// How long a replica may fall silent during a comparison before it counts as unknown.
pub const COMPARE_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pause between two questions for a replica's digest.
pub const COMPARE_ASK_PAUSE: Duration = Duration::from_millis(200);
/// How long one question for a replica's digest may take.
pub const COMPARE_REPLY_WAIT: Duration = Duration::from_millis(1000);
/// Digests that a replica computes at once.
pub const COMPARISONS_RUNNING_MAX: usize = 2;
/// Digests that a replica remembers.
pub const COMPARISONS_KEPT_MAX: usize = 8;
/// Replicas of a parent that one split names.
pub const SPLIT_REPLICAS_MAX: usize = 64;
/// Removed replicas that a node remembers, so that no split makes them again.
pub const GONE_REPLICAS_MAX: usize = 1024;
/// Messages in one frame of a lane.
pub const FRAME_ITEMS_MAX: usize = 65_536;
/// How long the first message of a stream may take: who speaks. Above [`DIAL_WAIT_MAX`], so that it is the
/// asking side that gives up first; a silent stranger costs one idle stream for so long.
pub const HELLO_WAIT_MAX: Duration = Duration::from_millis(5000);
/// How often each replica's log is looked at for purging.
pub const PURGE_INTERVAL: Duration = Duration::from_millis(1000);
/// Bytes of applied entries kept in the log for followers that lag a little.
pub const LOG_TAIL_BYTES: u64 = 8 << 20;
/// Bytes of applied entries above the tail that make a purge worth its while.
pub const PURGE_BYTES_MIN: u64 = 8 << 20;
/// A follower that has not answered for so long is not waited for when logs are purged.
pub const LAGGARD_HEARD_MAX: Duration = Duration::from_secs(10);
/// Raft log segments in use from which replicas that pin the oldest are flushed and purged whole.
pub const LOG_SEGMENTS_PINNED_MAX: u64 = 8;
/// Bytes of the Raft log's segments per node above which new writes are refused. From seven eighths of it
/// on, logs are purged without regard for followers that lag (they get a Raft snapshot then).
pub const LOG_BYTES_MAX: u64 = 4 << 30;
/// Bytes of one replica's entries that are queued at the flusher before its appends wait.
pub const REPLICA_QUEUE_BYTES_MAX: usize = 16 << 20;
/// Free space of the data folder's disk, bytes, below which a node refuses new writes. Below half of it
/// the node's replicas accept no entries either: what remains is for votes and for what is in memory.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;
/// Bytes of entries in one message that a replica takes from its leader also when its disk is nearly full.
pub const SMALL_APPEND_BYTES: usize = 4 << 10;
/// Bytes of the file in the log's folder that is given up when the disk is full.
pub const LOG_BALLAST_BYTES: u64 = 4 << 20;
/// How often the free space of the disk is looked at.
pub const DISK_SPACE_INTERVAL: Duration = Duration::from_millis(1000);
/// Pause before a write that met a full disk is tried again.
pub const NO_SPACE_PAUSE: Duration = Duration::from_millis(200);
/// How often a running sync is looked at.
pub const DISK_WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// Gap between two such looks from which the process was held, not the disk slow.
pub const DISK_WATCH_GAP_MAX: Duration = Duration::from_millis(1000);
/// A sync that takes longer marks the node's disk as slow.
pub const SYNC_SLOW: Duration = Duration::from_millis(500);
/// A sync that takes longer ends reads under the leader lease until it returns.
pub const SYNC_STALLED: Duration = Duration::from_secs(3);
/// A sync that takes longer ends the process.
pub const SYNC_DEAD: Duration = Duration::from_secs(10);
/// How long a disk counts as slow after its last slow sync.
pub const DISK_SLOW_HOLD: Duration = Duration::from_secs(10);
/// How long after a start the first scrub begins.
pub const SCRUB_FIRST: Duration = Duration::from_secs(600);
/// How often a resting scrub looks whether the node has ended.
pub const SCRUB_LOOK: Duration = Duration::from_secs(5);
/// Pause between two scrubs of all that a node stores.
pub const SCRUB_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Bytes a scrub reads per second.
pub const SCRUB_BYTES_PER_SECOND: u64 = 8 << 20;
/// Bytes a scrub reads at once.
pub const SCRUB_STEP_BYTES: usize = 1 << 20;
/// How long an install of a Raft snapshot waits for readers of the old engine.
pub const ENGINE_CLOSE_WAIT: Duration = Duration::from_secs(10);
/// How long a transfer of leadership waits for its target to have every entry.
pub const TRANSFER_WAIT_MAX: Duration = Duration::from_millis(2000);
/// How long a command that moves a shard's leadership waits until the new leader leads.
pub const LEADER_MOVE_WAIT_MAX: Duration = Duration::from_secs(6);
/// How often it looks.
pub const LEADER_MOVE_LOOK: Duration = Duration::from_millis(50);
/// How often a node looks into the file that moves its wall clock in drills.
pub const CLOCK_OFFSET_CHECK: Duration = Duration::from_millis(200);
/// Farthest that such a file may move it.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(24 * 3600);
/// Entries that a replica may lack when it becomes a voter.
pub const MEMBER_LAG_MAX: u64 = 256;
/// Silence after which a replica does not count as answering when voters are changed.
pub const MEMBER_SILENT_MAX: Duration = Duration::from_millis(1000);
/// Times a change of the cluster's records is redone because another one was made meanwhile.
pub const META_CHANGE_RETRIES_MAX: usize = 16;
/// How often a node compares its replicas with what the cluster gives it, when nothing changed.
pub const RECONCILE_PAUSE: Duration = Duration::from_millis(1000);
/// How often the meta shard's leader looks at nodes, replicas and changes of members.
pub const COORDINATE_PAUSE: Duration = Duration::from_millis(500);
/// Nodes that limits on changes over the whole cluster are meant for: they count once for each so many nodes.
pub const CHANGES_NODES: usize = 32;
/// Replicas that are moved at once only to even nodes out, for each `CHANGES_NODES`, at most.
pub const REBALANCE_MOVES_MAX: usize = 8;
/// How many, unless `precinct rebalance set-rate` says otherwise.
pub const REBALANCE_MOVES_DEFAULT: usize = 4;
/// Of them those that take a replica from one node, and those that bring one to it.
pub const REBALANCE_MOVES_PER_NODE: usize = 1;
/// Shards that get another preferred leader with one change of the shard map, at most.
pub const REBALANCE_LEADERS_MAX: usize = 16;
/// What a replica costs beside its bytes when nodes are evened out: a group, a log, an engine. One in so many parts of a shard's
/// bytes on average, so that where shards are small, it is still the bytes that count, …
pub const REBALANCE_REPLICA_PARTS: u64 = 32;
/// … and at most this, bytes.
pub const REBALANCE_REPLICA_BYTES_MAX: u64 = 1 << 30;
/// Sizes of shards count in steps when nodes are evened out. One is so many parts of their mean, …
pub const REBALANCE_STEP_PARTS: u64 = 32;
/// … but at least this, and so is what a replica costs, …
pub const REBALANCE_STEP_BYTES_MIN: u64 = 64 << 10;
/// … and at most this.
pub const REBALANCE_STEP_BYTES_MAX: u64 = 256 << 20;
/// Nodes are evened out by bytes when two shards differ by this part of the mean, one in so many, …
pub const REBALANCE_APART_PARTS: u64 = 16;
/// … and by this, bytes: else all replicas weigh the same.
pub const REBALANCE_APART_BYTES_MIN: u64 = 1 << 20;
/// Bytes on disk of a shard on average from which they count when nodes are evened out; below it the bytes of rows, which
/// leaders know after a walk over all of them.
pub const REBALANCE_STORED_BYTES_MIN: u64 = 256 << 20;
/// What makes nodes even only by a detour must mend so much of what two nodes differ by: one in so many parts.
pub const REBALANCE_DETOUR_PARTS: u64 = 8;
/// Nodes that are looked at for that, of those that hold most and of those that hold least.
pub const REBALANCE_DETOUR_NODES: usize = 16;
/// By bytes, nodes are evened out when one is farther from the mean than this, percent, …
pub const REBALANCE_START_PERCENT: u64 = 6;
/// … until all are as near as this. The space between keeps replicas from going to and fro while shards grow and shrink.
pub const REBALANCE_STOP_PERCENT: u64 = 4;
/// How often nodes are looked at anew for that when nothing but sizes and loads has changed.
pub const REBALANCE_LOOK: Duration = Duration::from_secs(10);
/// What leading a shard costs beside its load when leaders are evened out, thousandths of a core.
pub const REBALANCE_LEADER_PERMILLE: u64 = 50;
/// Leaders are evened out by load when a node is farther above the mean than this, percent, …
pub const REBALANCE_LEADERS_START_PERCENT: u64 = 25;
/// … and by this, thousandths of a core: a little more than one that is idle costs, …
pub const REBALANCE_LEADERS_START_PERMILLE: u64 = 60;
/// … until none is farther above it than this, percent.
pub const REBALANCE_LEADERS_STOP_PERCENT: u64 = 10;
/// How often a node asks the others how they are.
pub const STATUS_PAUSE: Duration = Duration::from_millis(1000);
/// Longest wait for another node's answer to that.
pub const STATUS_WAIT_MAX: Duration = Duration::from_millis(800);
/// How long a replica may be unable to run before it is replaced: a node that restarts may mend it.
pub const LOST_WAIT: Duration = Duration::from_secs(5);
/// How long a disk is full before its node is no target of changes any more, and those on their way to it are taken back.
pub const TARGET_FULL_WAIT: Duration = Duration::from_secs(30);
/// How long a disk must not be full before its node is a target again; twice as long each time that it fills up again, …
pub const TARGET_BACK_OFF: Duration = Duration::from_secs(600);
/// … up to this.
pub const TARGET_BACK_OFF_MAX: Duration = Duration::from_secs(7200);
/// How long a change of members is under way before it holds up no others: it goes on, but nobody waits for it.
pub const CHANGE_OVERDUE: Duration = Duration::from_secs(3600);
/// How long a node is waited for before its replicas are replaced, unless configured otherwise.
pub const DEAD_AFTER_DEFAULT: Duration = Duration::from_secs(300);
/// Shards of a cluster, the meta shard included: each is a group with a log and an engine on every node that holds it.
pub const SHARDS_MAX: usize = 4096;
/// Size of a shard above which it is split, bytes, unless `[shards] split_gib` says otherwise.
pub const SPLIT_BYTES_DEFAULT: u64 = 16 << 30;
/// Splits that the cluster has under way because shards are too large.
pub const SPLITS_MAX: usize = 2;
/// How long a shard is not split again by itself: storage gives the space of what moved away back slowly.
pub const SPLIT_REST: Duration = Duration::from_secs(3600);
/// The same after a split of a shard that was too busy: its load is measured anew, and its rows have had time to go.
pub const SPLIT_LOAD_REST: Duration = Duration::from_secs(600);
/// CPU that requests take at a shard's leader, percent of one core, above which the shard is split, unless
/// `[shards] split_cpu_percent` says otherwise.
pub const SPLIT_CPU_PERCENT_DEFAULT: u32 = 50;
/// Steps of [`LOAD_STEP`] in a row in which a shard has to be above that.
pub const SPLIT_CPU_STEPS: usize = 12;
/// Least part of a shard's load, or of its data, that each half gets, in thousandths: else a split is not worth its cost.
pub const SPLIT_HALF_PERMILLE_MIN: u32 = 250;
/// Keys that are read or written at a shard's leader for one that is sampled. A prime: clients that go round the same keys do
/// not fall into step with it.
pub const LOAD_SAMPLE_EVERY: u64 = 61;
/// Time that one read of a key stands for at most when it is timed for the others: a longer one has waited.
pub const LOAD_TIMED_MAX: Duration = Duration::from_micros(500);
/// Samples of each kind of load that a leader keeps of a [`LOAD_WINDOW`], and of a walk over its data.
pub const LOAD_SAMPLES_KEPT: usize = 256;
/// Samples of a shard below which nobody says where its load is.
pub const LOAD_SAMPLES_MIN: usize = 64;
/// The same for one kind of its load: what fewer samples tell of is left out.
pub const LOAD_SAMPLES_KIND_MIN: usize = 16;
/// How long samples are gathered before newer ones take their place. They count for as long again.
pub const LOAD_WINDOW: Duration = Duration::from_secs(30);
/// How often a node looks what its shards have done since the last time.
pub const LOAD_STEP: Duration = Duration::from_secs(5);
/// Such steps that a rate is the mean of.
pub const LOAD_RATE_STEPS: usize = 6;
/// CPU of the busiest shard, thousandths of a core, below which shards count as quiet: their leaders are evened out by number.
pub const LOAD_QUIET_PERMILLE: u32 = 100;
/// Rows per page of a range from which a shard that is busy with ranges counts as hot by scans.
pub const LOAD_SCAN_ROWS: u64 = 100;
/// How long a leader may take to split its shard: writes under way end, then the entry is replicated.
pub const SPLIT_CALL_WAIT_MAX: Duration = Duration::from_secs(10);
/// Times that the replica beside a split shard's leader stands for election at once, until its new group has a leader.
pub const CHILD_CAMPAIGNS_MAX: u32 = 10;
/// Pause between two of them: an election takes two messages.
pub const CHILD_CAMPAIGN_PAUSE: Duration = Duration::from_millis(100);
/// How long ALTER SHARD … SPLIT waits until the shard map names both halves.
pub const SPLIT_WAIT_MAX: Duration = Duration::from_secs(20);
/// How often it looks.
pub const SPLIT_LOOK: Duration = Duration::from_millis(100);
/// Bytes a second that a shard copies of the neighbour that it takes in.
pub const MERGE_BYTES_A_SECOND: u64 = 64 << 20;
/// Steps of a merge, of about `COLLECT_STEP_BYTES` each, between two questions of the coordinator.
pub const MERGE_STEPS_A_CALL: usize = 64;
/// Changed entries that are left to copy when a merge freezes the right shard.
pub const MERGE_LEFT_MAX: u64 = 512;
/// Changed entries of the right shard that one step of a merge copies.
pub const MERGE_CHANGES_A_STEP: usize = 4096;
/// Changed entries of the right shard, not copied yet, above which the copy begins anew.
pub const MERGE_CHANGES_MAX: usize = 1 << 20;
/// The same, bytes of their keys.
pub const MERGE_CHANGES_BYTES_MAX: usize = 64 << 20;
/// Bytes of entries of unknown outcome above which a leader takes no part in merges until its term is over.
pub const MERGE_UNKNOWN_BYTES_MAX: usize = 64 << 20;
/// How long a shard waits for its writes under way before it is frozen; it serves nobody meanwhile.
pub const MERGE_DRAIN_MAX: Duration = Duration::from_millis(1000);
/// How long the right shard may be frozen before the left one has all of it; then the merge is undone.
pub const MERGE_FREEZE_MAX: Duration = Duration::from_millis(3000);
/// How long the left shard waits for one answer of the right one.
pub const MERGE_ASK_WAIT_MAX: Duration = Duration::from_millis(6000);
/// How long a leader may take for its steps of a merge, before the coordinator asks again.
pub const MERGE_CALL_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a merge may take; then it is undone.
pub const MERGE_TIME_MAX: Duration = Duration::from_secs(3600);
/// Placement policies that a cluster may have: every change of its state writes them.
pub const PLACEMENT_POLICIES_MAX: usize = 256;
/// Regions and constraints that a placement policy may name, all together: each pair is compared.
pub const PLACEMENT_TERMS_MAX: usize = 64;
/// Replicas beside the leader that a placement policy may ask for.
pub const PLACEMENT_FOLLOWERS_MAX: u32 = 6;
/// Merges that the cluster has under way.
pub const MERGES_MAX: usize = 2;
/// Merges that may be under way when the cluster begins one by itself, that one included: a command finds room.
pub const AUTO_MERGES_MAX: usize = 1;
/// Two neighbours are small when both together hold no more than one in so many parts of the size above which a shard is
/// split. The space between keeps shards from being merged and split by turns.
pub const AUTO_MERGE_BYTES_PARTS: u64 = 4;
/// They are idle when the requests of both together take no more than one in so many parts of the CPU above which a shard is
/// split.
pub const AUTO_MERGE_CPU_PARTS: u32 = 10;
/// How long both have to be small and idle, without a break.
pub const AUTO_MERGE_WAIT: Duration = Duration::from_secs(1800);
/// How long a shard is not merged by itself after it was split: whatever it was split for may come again tomorrow.
pub const AUTO_MERGE_SPLIT_REST: Duration = Duration::from_secs(24 * 3600);
/// Data shards for each active node, below which nothing merges by itself: each node is to lead one.
pub const AUTO_MERGE_SHARDS_PER_NODE: usize = 1;
/// How often the coordinator looks for neighbours to merge.
pub const AUTO_MERGE_LOOK: Duration = Duration::from_secs(10);
/// Time between two such looks after which what was seen before does not count any more.
pub const AUTO_MERGE_LOOK_LATE: Duration = Duration::from_secs(30);
/// How long ALTER SHARD … MERGE waits until the shard map names one shard.
pub const MERGE_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a request that met a shard with other slots than it thought waits for a newer shard map.
pub const MAP_WAIT_MAX: Duration = Duration::from_millis(2000);
/// Pause between two attempts of a node with an empty data folder to be let in.
pub const JOIN_RETRY_PAUSE: Duration = Duration::from_millis(300);

const _: () = {
    assert!(ENTRY_BYTES_TARGET <= ENTRY_BYTES_MAX);
    assert!(ROW_BYTES_MAX < ENTRY_BYTES_MAX);
    assert!(ENTRY_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!(SCAN_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!((ENTRY_BYTES_MAX as u64) < LOG_SEGMENT_BYTES);
    assert!(LEASE_READ_MAX.as_millis() < ELECTION_TIMEOUT_MAX.as_millis());
    assert!(
        HEARTBEAT_INTERVAL.as_millis() * 2 + HEARTBEAT_INTERVAL.as_millis() * 13 / 64
            < ELECTION_TIMEOUT_MIN.as_millis()
    );
    assert!(AUTO_INCREMENT_BATCH * AUTO_INCREMENT_BATCH_GROWTH <= AUTO_INCREMENT_BATCH_MAX);
    assert!(AUTO_INCREMENT_BATCH_LIFE.as_millis() < AUTO_INCREMENT_BATCH_LIFE_MAX.as_millis());
    assert!(CATALOG_RENEW.as_millis() * 3 <= CATALOG_LEASE.as_millis());
    assert!(
        TABLE_LOCK_SILENCE_MAX.as_millis()
            >= CATALOG_LEASE.as_millis()
                + ROUTE_WAIT_MAX.as_millis()
                + PROPOSE_WAIT_MAX.as_millis()
    );
    assert!(
        SILENCE_GAP_MAX.as_millis()
            > (TABLE_LOCK_OWNER_LOOK.as_millis() + STATUS_WAIT_MAX.as_millis())
    );
    assert!(
        SILENCE_GAP_MAX.as_millis()
            > (USER_LOCK_OWNER_LOOK.as_millis() + STATUS_WAIT_MAX.as_millis())
    );
    assert!(
        SILENCE_GAP_MAX.as_millis() > (INDEX_JOBS_WATCH.as_millis() + STATUS_WAIT_MAX.as_millis())
    );
    assert!(
        INDEX_JOBS_WATCH.as_millis()
            + LOCK_OWNER_SILENCE_MAX.as_millis()
            + ROUTE_WAIT_MAX.as_millis()
            < TABLE_LOCK_SILENCE_MAX.as_millis(),
        "a job is taken over within 10 s, whatever leader was lost"
    );
    assert!(SILENCE_GAP_MAX.as_millis() < LOCK_OWNER_SILENCE_MAX.as_millis());
    assert!(
        USER_LOCK_TRUST.as_millis() * 2 <= LOCK_OWNER_SILENCE_MAX.as_millis(),
        "who is taken for dead looks before its next statement"
    );
    assert!(ORACLE_STEP_MS < ORACLE_WINDOW_MS / 4 && ORACLE_WINDOW_MS < ORACLE_WINDOW_MAX_MS);
    assert!(ORACLE_WINDOW_MS < ORACLE_IDLE_MS, "a window in use is renewed");
    assert!(PROPOSE_WAIT_MAX.as_millis() < 5000, "a write without quorum answers within 5 s");
    assert!(LOCK_WAIT_YOUNGER_MAX.as_millis() < LOCK_WAIT_MAX.as_millis());
    assert!(LOCK_FLOOR_AGE_MIN.as_millis() > 10 * LOCK_WAIT_MAX.as_millis());
    assert!(
        COLLECT_STEP_BYTES as usize + COLLECT_RECORDS_MAX * WRITE_OVERHEAD_BYTES
            < ENTRY_BYTES_MAX / 2,
        "a step's records must fit one entry"
    );
    assert!(
        LEADER_MOVE_WAIT_MAX.as_millis()
            > LOCK_HANDOVER_WAIT_MAX.as_millis()
                + TRANSFER_WAIT_MAX.as_millis()
                + 2 * ELECTION_TIMEOUT_MAX.as_millis(),
        "a new leader has to be elected while it is waited for"
    );
    assert!(
        LOCK_HELD_UP_KEEP.as_millis() >= 5 * LOCK_RETRY_PAUSE_MAX.as_millis(),
        "who asks again in time has waited all the while"
    );
    assert!(LOCK_HANDOVER_KEEP.as_millis() >= LEADER_MOVE_WAIT_MAX.as_millis());
    assert!(LOCK_HANDOVER_LOCKS_MAX <= ROW_LOCKS_MAX);
    assert!(REBALANCE_MOVES_DEFAULT >= 1 && REBALANCE_MOVES_DEFAULT <= REBALANCE_MOVES_MAX);
    assert!(LOCK_HANDOVER_PART_BYTES + INDEX_KEY_BYTES_MAX < MESSAGE_BYTES_MAX);
    assert!(
        LOCK_WAIT_MAX.as_millis() > 2 * LOCK_TTL.as_millis(),
        "a waiter must outlast the lock of a coordinator that is gone"
    );
    assert!(
        ACTIVITY_ROWS_MAX * ACTIVITY_STATEMENT_CHARS_MAX * 4 + 3 * ACTIVITY_BYTES_MAX
            < MESSAGE_BYTES_MAX
    );
    assert!(XA_ROW_BYTES_TARGET + INDEX_KEY_BYTES_MAX < ROW_BYTES_MAX / 2);
    assert!(2 * XA_KEYS_BYTES_MAX < TRANSACTION_BYTES_MAX);
    assert!(
        TRANSACTION_BUFFER_BYTES > 2 * ROW_BYTES_MAX
            && TRANSACTION_BUFFER_BYTES < TRANSACTION_BYTES_MAX
    );
    assert!(SCAN_PAGE_ROWS <= SCAN_ROWS_MAX);
    assert!(SCAN_TRY_ROWS <= SCAN_PAGE_ROWS && SCAN_GATHER_ROWS <= SCAN_PAGE_ROWS);
    assert!(
        SCAN_BYTES_MAX + 2 * (SCAN_BYTES_MAX + ROW_BYTES_MAX) < MESSAGE_BYTES_MAX,
        "the last page of a message may be a whole one"
    );
    assert!(TABLE_RETENTIONS_MAX * 12 < ENTRY_BYTES_TARGET / 8);
    assert!(
        COMMIT_AGE_MAX.as_millis()
            > COMMIT_SINCE_AGE_MAX.as_millis()
                + 2 * (LOCK_WAIT_MAX.as_millis() + ROUTE_WAIT_MAX.as_millis())
                + PROPOSE_WAIT_MAX.as_millis(),
        "a commit that waits as long as it may is not too late"
    );
    assert!(CLOSE_CALL_WAIT_MAX.as_millis() > CLOSE_WAIT_MAX.as_millis());
    assert!(
        FOLLOWER_CALL_WAIT_MAX.as_millis()
            > CLOSE_CALL_WAIT_MAX.as_millis() + FOLLOWER_CATCH_UP_MAX.as_millis()
    );
    assert!(CLOSE_INTERVAL.as_millis() * 4 <= FOLLOWER_READ_LAG_DEFAULT.as_millis());
    assert!(FOLLOWER_READ_LAG_DEFAULT.as_millis() <= FOLLOWER_READ_LAG_MAX.as_millis());
    assert!(
        FOLLOWER_LOCK_PAUSE.as_millis() * FOLLOWER_LOCK_PAUSES_MAX as u128
            >= LOCK_WAIT_MAX.as_millis(),
        "a read for followers only waits as long for a lock as one at a leader"
    );
    assert!(SPLIT_CALL_WAIT_MAX.as_millis() > 2 * PROPOSE_WAIT_MAX.as_millis());
    assert!(SPLIT_WAIT_MAX.as_millis() > SPLIT_CALL_WAIT_MAX.as_millis());
    assert!(SPLIT_HALF_PERMILLE_MIN < 500, "no cut gives both halves more than a half");
    assert!(
        SPLIT_LOAD_REST.as_millis() > SPLIT_CPU_STEPS as u128 * LOAD_STEP.as_millis(),
        "a shard is split again only by what was measured since"
    );
    assert!(LOAD_SAMPLES_MIN <= LOAD_SAMPLES_KEPT && LOAD_RATE_STEPS <= SPLIT_CPU_STEPS);
    assert!(REBALANCE_STOP_PERCENT < REBALANCE_START_PERCENT);
    assert!(
        REBALANCE_START_PERCENT < 10 && REBALANCE_REPLICA_PARTS >= REBALANCE_STEP_PARTS,
        "nodes are even within a tenth, replicas' own cost left aside"
    );
    assert!(REBALANCE_LEADERS_STOP_PERCENT < REBALANCE_LEADERS_START_PERCENT);
    assert!(MERGE_DRAIN_MAX.as_millis() < MERGE_FREEZE_MAX.as_millis());
    assert!(MERGE_FREEZE_MAX.as_millis() < ROUTE_WAIT_MAX.as_millis());
    assert!(
        MERGE_ASK_WAIT_MAX.as_millis() > PROPOSE_WAIT_MAX.as_millis() + MERGE_DRAIN_MAX.as_millis()
    );
    assert!(MERGE_LEFT_MAX <= MERGE_CHANGES_A_STEP as u64);
    assert!(AUTO_MERGES_MAX < MERGES_MAX, "an administrator's merge finds room");
    assert!(
        AUTO_MERGE_BYTES_PARTS >= 4 && AUTO_MERGE_CPU_PARTS >= 4,
        "what was merged is far from being split, and the halves of what was split from being merged"
    );
    assert!(AUTO_MERGE_SPLIT_REST.as_millis() > SPLIT_REST.as_millis());
    assert!(AUTO_MERGE_LOOK_LATE.as_millis() > 2 * AUTO_MERGE_LOOK.as_millis());
    assert!(
        AUTO_MERGE_LOOK.as_millis() <= LOAD_RATE_STEPS as u128 * LOAD_STEP.as_millis(),
        "no load falls between two looks"
    );
    assert!(
        COLLECT_STEP_BYTES as usize + ENTRY_BYTES_MAX + LOCK_HANDOVER_BYTES_MAX < MESSAGE_BYTES_MAX
    );
    assert!(MAP_WAIT_MAX.as_millis() < ROUTE_WAIT_MAX.as_millis());
    assert!(MAP_WAIT_MAX.as_millis() > 3 * COORDINATE_PAUSE.as_millis());
    assert!(LOG_BYTES_MAX / LOG_SEGMENT_BYTES > 2 * LOG_SEGMENTS_PINNED_MAX);
    assert!(REPLICA_QUEUE_BYTES_MAX > ENTRY_BYTES_MAX);
    assert!(LOG_BALLAST_BYTES < DISK_RESERVE_BYTES / 2);
    assert!(SYNC_SLOW.as_millis() < SYNC_STALLED.as_millis());
    assert!(SYNC_STALLED.as_millis() < SYNC_DEAD.as_millis());
    assert!(DISK_WATCH_INTERVAL.as_millis() * 2 < SYNC_SLOW.as_millis());
    assert!(SCRUB_STEP_BYTES as u64 <= SCRUB_BYTES_PER_SECOND);
    assert!(SNAPSHOT_TAIL_WAIT.as_millis() * 2 < SNAPSHOT_PIECE_WAIT.as_millis());
    assert!(LOGIN_PACKET_BYTES_MAX < PACKET_BYTES_MAX);
};
/// Nested rules while a statement is read: bounds the stack, whatever the text.
pub const PARSE_DEPTH_MAX: usize = 256;
/// Height of a statement's tree: bounds the stack of whoever walks it.
pub const TREE_HEIGHT_MAX: usize = 256;
