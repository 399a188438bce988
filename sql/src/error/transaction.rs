//! Transactions and locks.

use super::{Error, errors};

errors! {
    /// Lost a deadlock or a write conflict: the transaction is rolled back, try it again.
    deadlock() = 1213, "40001", "Deadlock found when trying to get lock; try restarting transaction";
    /// A lock was held for too long.
    lock_wait_timeout() = 1205, "HY000", "Lock wait timeout exceeded; try restarting transaction";
    /// NOWAIT at a row that is locked.
    lock_not_available() = 3572, "HY000", "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set.";
    /// A write to a table that this session has locked with READ.
    table_locked_for_read(name) = 1099, "HY000", "Table '{name}' was locked with a READ lock and can't be updated";
    /// A table that a session under LOCK TABLES has not locked by this name.
    table_not_locked(name) = 1100, "HY000", "Table '{name}' was not locked with LOCK TABLES";
    /// What is not done while tables are locked.
    lock_or_active_transaction() = 1192, "HY000", "Can't execute the given command because you have active locked tables or an active transaction";
    /// A write in the session that has said FLUSH TABLES WITH READ LOCK.
    conflicting_read_lock() = 1223, "HY000", "Can't execute the query because you have a conflicting read lock";
    /// GET_LOCK and its family with a name that cannot be.
    wrong_user_lock_name(name) = 3057, "42000", "Incorrect user-level lock name '{name}'.";
    /// Sessions that wait for each other's user locks.
    user_lock_deadlock() = 3058, "HY000", "Deadlock found when trying to get user-level lock; try rolling back transaction/releasing locks and restarting lock acquisition.";
    /// The transaction reads versions that are not kept any more.
    snapshot_too_old() = 9006, "HY000", "What is read is no longer kept: the point in time that is read lies before the retention, or the transaction runs for more than a day, or its node did not answer the others for a while; roll it back and begin anew, or read a later point";
    /// AS OF TIMESTAMP where it cannot be, or of a time that cannot be read (TiDB's number).
    invalid_as_of(what) = 8135, "HY000", "invalid as of timestamp: {what}";
    /// A table whose definition is younger than the point that is read.
    table_younger(name) = 1412, "HY000", "Table definition has changed: {name} was created or changed after the point in time that is read; read a later one";
    /// The table's definition changed under the transaction.
    table_changed() = 1412, "HY000", "Table definition has changed, please retry transaction";
    /// A statement that changes data in a read-only transaction.
    read_only_transaction() = 1792, "25006", "Cannot execute statement in a READ ONLY transaction.";
    /// SET TRANSACTION within a transaction.
    transaction_in_progress() = 1568, "25001", "Transaction characteristics can't be changed while a transaction is in progress";
    /// A savepoint that does not exist.
    no_savepoint(name) = 1305, "42000", "SAVEPOINT {name} does not exist";
    /// A transaction that was rolled back as a whole, because the part that was to be undone had left memory. `cause` is
    /// empty or a sentence with a blank before it.
    transaction_undone(cause) = 9010, "40000", "The whole transaction was rolled back: it was larger than memory, so that no single statement and no savepoint of it can be undone.{cause}";
}
