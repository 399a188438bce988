//! XA statements, and the names of the transactions that they speak of.

/// Longest part of an xid, bytes.
pub const XID_PART_BYTES_MAX: usize = 64;

/// The name of an XA transaction, as its transaction manager gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xid {
    /// The global transaction; at most [`XID_PART_BYTES_MAX`].
    pub gtrid: Vec<u8>,
    /// The branch of it; at most [`XID_PART_BYTES_MAX`].
    pub bqual: Vec<u8>,
    /// How the manager makes its names; 1 when it is not said, at most 2,147,483,647.
    pub format_id: u32,
}

/// An XA statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XaStatement {
    /// XA START, XA BEGIN.
    Start {
        /// The name.
        xid: Xid,
        /// JOIN or RESUME.
        join: Option<XaJoin>,
    },
    /// XA END.
    End {
        /// The name.
        xid: Xid,
        /// SUSPEND.
        suspend: Option<XaSuspend>,
    },
    /// XA PREPARE.
    Prepare(Xid),
    /// XA COMMIT.
    Commit {
        /// The name.
        xid: Xid,
        /// ONE PHASE.
        one_phase: bool,
    },
    /// XA ROLLBACK.
    Rollback(Xid),
    /// XA RECOVER.
    Recover {
        /// CONVERT XID: names as hexadecimal.
        convert_xid: bool,
    },
    /// XA SHOW, TDSQL's: the open and the prepared transactions of the cluster.
    Show,
    /// XA LOCKWAIT, TDSQL's: who waits for whose row locks, as a graph.
    LockWait,
    /// XA BOOST, TDSQL's: settles the transaction of a token now.
    Boost(String),
}

/// What XA START says behind the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XaJoin {
    /// JOIN.
    Join,
    /// RESUME.
    Resume,
}

/// What XA END says behind the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XaSuspend {
    /// SUSPEND.
    Suspend,
    /// SUSPEND FOR MIGRATE.
    ForMigrate,
}
