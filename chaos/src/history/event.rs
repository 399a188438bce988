//! One line of a history, and the operations of all workloads.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that a client did or learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Microseconds since the recorder was made, by the monotonic clock.
    pub time: u64,
    /// Who: one sequence of operations, one after the other.
    pub process: u64,
    /// Call or answer.
    pub phase: Phase,
    /// What. The answer repeats the call and fills in what was read.
    #[serde(flatten)]
    pub op: Op,
    /// Why it failed or why its outcome is unknown. Absent for `invoke` and `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Where in the life of an operation an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is about to be sent.
    Invoke,
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// Nobody knows: it may happen even later.
    Info,
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("error {code}: {message}")]
pub struct Failure {
    /// MySQL's error number; 2003 no connection, 2013 connection lost, 0 no answer in time.
    pub code: u16,
    /// The server's or the client's words.
    pub message: String,
}

/// An operation. Values that a read brings are `None` until its `ok`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// register: reads a key. In an `ok`, no value means that the key is absent.
    Read {
        /// The register.
        key: i64,
        /// What it held.
        value: Option<i64>,
    },
    /// register: sets a key.
    Write {
        /// The register.
        key: i64,
        /// The new value; no two writes of a key have the same.
        value: i64,
    },
    /// register: sets a key if it has a certain value.
    Cas {
        /// The register.
        key: i64,
        /// The value it must have.
        from: i64,
        /// The new value.
        to: i64,
        /// Whether it had that value.
        swapped: Option<bool>,
    },
    /// set: adds an element.
    Add {
        /// The set.
        key: i64,
        /// The element; never added twice.
        element: i64,
    },
    /// set: takes an element out.
    Remove {
        /// The set.
        key: i64,
        /// The element, once added by the same process.
        element: i64,
    },
    /// set: reads all elements.
    ReadSet {
        /// The set.
        key: i64,
        /// What it held.
        elements: Option<Vec<i64>>,
    },
    /// set: reads all elements twice in one statement, by the primary key and by a secondary index.
    ReadSetBoth {
        /// The set.
        key: i64,
        /// What the rows say.
        rows: Option<Vec<i64>>,
        /// What the index says.
        index: Option<Vec<i64>>,
    },
    /// bank: moves money in one transaction.
    Transfer {
        /// Account that pays.
        from: i64,
        /// Account that receives.
        to: i64,
        /// How much.
        amount: i64,
    },
    /// bank: reads all accounts in one snapshot.
    ReadAccounts {
        /// Accounts and balances, as often as they were shown.
        balances: Option<Vec<(i64, i64)>>,
    },
    /// append: a transaction of reads and appends.
    Txn {
        /// In the order in which they were made.
        actions: Vec<Action>,
    },
    /// counter: adds one to a key.
    Increment {
        /// The counter.
        key: i64,
    },
    /// counter: reads a key.
    ReadCounter {
        /// The counter.
        key: i64,
        /// What it held.
        value: Option<i64>,
    },
    /// ledger: a row gets a version, by INSERT (1) or UPDATE (more).
    Put {
        /// The table.
        table: String,
        /// The row.
        key: i64,
        /// Its version; the versions of a row are written by one process, in order.
        version: i64,
    },
    /// ledger: reads all rows with their versions.
    ReadRows {
        /// The table.
        table: String,
        /// Rows and versions, as often as they were shown.
        rows: Option<Vec<(i64, i64)>>,
    },
    /// monotonic: reads all values of a series and inserts one more than the highest, in one transaction.
    Next {
        /// The series.
        key: i64,
        /// What was inserted.
        value: Option<i64>,
    },
    /// monotonic: reads all values of a series in one snapshot.
    ReadValues {
        /// The series.
        key: i64,
        /// The point in the past that is read, in milliseconds since 1970 by the cluster's clock; none is now.
        at: Option<u64>,
        /// What was there.
        values: Option<Vec<i64>>,
    },
    /// sequential: inserts a step of a chain. Its process does so only when the step before was acknowledged.
    Step {
        /// The chain.
        key: i64,
        /// The step, from 0.
        step: i64,
    },
    /// sequential: reads steps of a chain, one statement after the other.
    ReadSteps {
        /// The chain.
        key: i64,
        /// What was looked for, in this order.
        steps: Vec<i64>,
        /// Which of them were there.
        found: Option<Vec<i64>>,
    },
    /// ddl: changes what tables there are. The number of a table is never used again.
    Define {
        /// How.
        change: Change,
    },
    /// ddl: inserts the two halves of an element, both or none. Called when its COMMIT is about to be sent.
    InsertHalves {
        /// The table of the first and of the second half.
        tables: [i64; 2],
        /// The element; never inserted twice.
        element: i64,
    },
    /// ddl: reads a table twice in one statement, by the primary key and by a secondary index. In an `ok`, no rows and
    /// no index mean that there is no such table.
    ReadTable {
        /// The table.
        table: i64,
        /// Elements and halves (0, 1) that the rows show, as often as they were shown.
        rows: Option<Vec<(i64, i64)>>,
        /// The same by the index.
        index: Option<Vec<(i64, i64)>>,
    },
}

/// A change of an [`Op::Define`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Makes a table.
    Create(i64),
    /// Takes a table away.
    Drop(i64),
    /// Empties a table.
    Truncate(i64),
    /// Gives the first table the number of the second.
    Rename(i64, i64),
}

/// One step of a [`Op::Txn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Appends an element to the list of a key; no element is appended twice to a key.
    Append(i64, i64),
    /// Reads the list of a key.
    Read(i64, Option<Vec<i64>>),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same text as in the file, so that it can be searched there.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
