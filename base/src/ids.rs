//! Identities. Each is a newtype, so that a shard id can never stand where a node id is wanted.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id! {
    /// A process and its disk. Chosen once, kept in the node's data folder.
    NodeId(u64), "n"
}
id! {
    /// A unit of replication and placement: one Raft group. Shard 0 is the meta shard.
    ShardId(u64), "s"
}
id! {
    /// One copy of a shard on a node. Unique in the cluster and never reused (`docs/formats.md`).
    ReplicaId(u64), "r"
}
id! {
    /// Version of a shard's bounds, or of its members and their order. A request with an old one is answered `NotServing`.
    ShardEpoch(u64), "e"
}
id! {
    /// A database (MySQL's schema).
    DatabaseId(u32), "d"
}
id! {
    /// A table. Ids below [`TableId::FIRST_USER`] belong to the meta shard's own records.
    TableId(u32), "t"
}
id! {
    /// An index of a table. 0 is the primary key: the rows themselves.
    IndexId(u32), "i"
}

impl ShardId {
    /// The meta shard: catalog, shard map, timestamp oracle, accounts.
    pub const META: ShardId = ShardId(0);
}

impl TableId {
    /// The first id that a user's table may get.
    pub const FIRST_USER: TableId = TableId(1000);
}

impl IndexId {
    /// The rows of the table, ordered by primary key.
    pub const PRIMARY: IndexId = IndexId(0);
}
