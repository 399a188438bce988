//! Who has locked which tables: with LOCK TABLES, with FLUSH TABLES WITH READ LOCK, or for a schema change that takes
//! tables away from their users.
//!
//! ```text
//! ticket 7  session A  t READ            has it
//! ticket 8  session B  t WRITE, u WRITE  waits: A is ahead of it
//! ticket 9  session C  t READ            waits: B is ahead of it
//! ```
//!
//! Every session that locks tables has one record with all of them; the version of the locks that its record made is its
//! ticket. Whoever finds nobody ahead that it conflicts with, and no statement or transaction that still uses its tables,
//! has them. Tickets are an order, so sessions that lock tables never wait for each other in a circle. Other statements
//! keep away from the tables of every record, also of one that still waits: else it could wait for ever. Only the session
//! that has a table goes on with it, whoever waits behind.
//!
//! FLUSH TABLES WITH READ LOCK comes in stages, so that what it waits for can end: a transaction whose statement waits for
//! another one's row must see that one commit.
//!
//! ```text
//!           lets pass                                       until
//! wanted    commits, statements of transactions under way   nobody ahead, nothing that changes runs
//! closing   commits, what runs already                      nothing that changes runs
//! closed    nothing                                         no commit runs: then it is had
//! ```
//!
//! Tables are known by their names, which stay when TRUNCATE gives a table a new id.
//!
//! Invariants:
//! 1. A record is made, changed and removed together with a new version of the locks (`store::LockChange`). That of a schema
//!    change is removed by the change itself (`store::SchemaChange`): whoever does not see it any more sees the new catalog.
//! 2. READ goes with READ; nothing else goes together. FLUSH TABLES WITH READ LOCK is READ of every table.
//! 3. What a session has, and its record stands, nobody else has in a way that does not go together: they wait for it.
//!
//! Not here: who may still use a table (`session::table_uses`), waiting (`session::table_gate`).

use crate::{Error, Result};
use base::NodeId;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use txn::command::LockOwner;

/// The owners that a session locks tables as: LOCK TABLES, FLUSH TABLES WITH READ LOCK.
pub(crate) type Owners = [Option<LockOwner>; 2];

/// Tables by database and name; whether each is locked with WRITE.
pub(crate) type LockSet = BTreeMap<String, BTreeMap<String, bool>>;

/// What a session waits for, in MySQL's words: a table, or the permission to change something, or to commit it.
pub(crate) const WAITS_FOR_TABLE: &str = "Waiting for table metadata lock";
pub(crate) const WAITS_FOR_CHANGES: &str = "Waiting for global read lock";
pub(crate) const WAITS_FOR_COMMITS: &str = "Waiting for commit lock";

/// How far FLUSH TABLES WITH READ LOCK is. LOCK TABLES has no stages: it is always the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It keeps new changes away.
    Wanted,
    /// It keeps all statements that change something away.
    Closing,
    /// It keeps commits away as well.
    Closed,
}

/// What somebody is about to do, as FLUSH TABLES WITH READ LOCK looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// To change something; nobody can wait for it yet.
    New,
    /// To change something in a transaction that others may wait for.
    Ongoing,
    /// To go on in a statement that changes something already.
    Running,
    /// To commit, or prepare, what was changed.
    Commit,
}

/// What a session has locked, or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockHolder {
    /// Who; the locks are over when it is gone.
    pub(crate) owner: LockOwner,
    /// Its connection, for people.
    pub(crate) connection: u32,
    /// Its place in the order of all who lock tables.
    pub(crate) ticket: u64,
    /// A node did not say what its sessions use: whoever wrote these tables there before must not commit any more.
    pub(crate) forced: bool,
    /// Which nodes; none when it is forced for all of them.
    pub(crate) forced_for: BTreeSet<NodeId>,
    /// FLUSH TABLES WITH READ LOCK.
    pub(crate) everything: bool,
    /// How far it is.
    pub(crate) stage: Stage,
    /// LOCK TABLES, or the tables of a schema change.
    pub(crate) tables: LockSet,
}

/// All of them at one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableLocks {
    /// Grows with every change.
    pub(crate) version: u64,
    /// The records.
    pub(crate) holders: Vec<LockHolder>,
}

/// A record on disk.
#[derive(Clone, PartialEq, Message)]
struct HolderMessage {
    #[prost(uint64, tag = "1")]
    owner: u64,
    #[prost(uint32, tag = "2")]
    connection: u32,
    #[prost(uint64, tag = "3")]
    ticket: u64,
    #[prost(bool, tag = "4")]
    forced: bool,
    #[prost(bool, tag = "5")]
    everything: bool,
    #[prost(message, repeated, tag = "6")]
    tables: Vec<LockMessage>,
    /// Stages that are left; a record without it is in the last one.
    #[prost(uint32, tag = "7")]
    stages_left: u32,
    #[prost(uint64, repeated, tag = "8")]
    forced_for: Vec<u64>,
}

/// One table of it.
#[derive(Clone, PartialEq, Message)]
struct LockMessage {
    #[prost(string, tag = "1")]
    database: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "3")]
    write: bool,
}

impl Stage {
    /// The next one, unless this is the last.
    pub(crate) fn next(self) -> Option<Stage> {
        match self {
            Stage::Wanted => Some(Stage::Closing),
            Stage::Closing => Some(Stage::Closed),
            Stage::Closed => None,
        }
    }

    /// Stages that are left.
    fn left(self) -> u32 {
        match self {
            Stage::Closed => 0,
            Stage::Closing => 1,
            Stage::Wanted => 2,
        }
    }

    fn with_left(left: u32) -> Result<Stage> {
        match left {
            0 => Ok(Stage::Closed),
            1 => Ok(Stage::Closing),
            2 => Ok(Stage::Wanted),
            _ => Err(Error::storage(format!("corrupt record of table locks: {left} stages left"))),
        }
    }
}

impl LockHolder {
    /// Its tables: database, name, whether WRITE.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.tables.iter().flat_map(|(database, tables)| {
            tables.iter().map(move |(name, write)| (database.as_str(), name.as_str(), *write))
        })
    }

    fn named(&self, database: &str, name: &str) -> Option<bool> {
        self.tables.get(database).and_then(|tables| tables.get(name)).copied()
    }

    /// Whether nobody else may write (or, without `write`, read) a table, because it is among the tables of this record.
    pub(crate) fn is_against(&self, database: &str, name: &str, write: bool) -> bool {
        self.named(database, name).is_some_and(|exclusive| exclusive || write)
    }

    /// Whether nobody else may change anything this way.
    pub(crate) fn is_against_change(&self, change: Change) -> bool {
        self.everything
            && match change {
                Change::New => true,
                Change::Ongoing => self.stage != Stage::Wanted,
                Change::Running | Change::Commit => self.stage == Stage::Closed,
            }
    }

    /// Whether it was locked without a node, or will be.
    pub(crate) fn is_forced_for(&self, node: NodeId) -> bool {
        self.forced && (self.forced_for.is_empty() || self.forced_for.contains(&node))
    }

    /// Whether nobody else may drop a database.
    pub(crate) fn is_against_database(&self, database: &str) -> bool {
        self.everything || self.tables.contains_key(database)
    }

    fn writes(&self) -> bool {
        self.tables().any(|(_, _, write)| write)
    }

    /// Whether it keeps everybody else from all of these tables.
    pub(crate) fn has_alone(&self, tables: &LockSet) -> bool {
        tables.iter().all(|(database, tables)| {
            tables.keys().all(|name| self.is_against(database, name, false))
        })
    }

    fn conflicts(&self, other: &LockHolder) -> bool {
        other.tables().any(|(database, name, write)| self.is_against(database, name, write))
            || other.everything && self.writes()
            || self.everything && other.writes()
    }

    /// What its session waits for, as PROCESSLIST says it.
    pub(crate) fn state_of_waiter(&self) -> &'static str {
        match (self.everything, self.stage) {
            (false, _) => WAITS_FOR_TABLE,
            (true, Stage::Wanted | Stage::Closing) => WAITS_FOR_CHANGES,
            (true, Stage::Closed) => WAITS_FOR_COMMITS,
        }
    }

    /// Whether it has an earlier ticket, and locks that do not go with those of the other one.
    pub(crate) fn is_ahead_of(&self, later: &LockHolder) -> bool {
        self.ticket < later.ticket && self.conflicts(later)
    }

    /// Whether who has this may write (or, without `write`, read) a table, whoever waits for it.
    fn covers(&self, database: &str, name: &str, write: bool) -> bool {
        match self.named(database, name) {
            Some(exclusive) => exclusive || !write,
            None => self.everything && !write,
        }
    }

    /// The record's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let tables = self.tables().map(|(database, name, write)| LockMessage {
            database: database.to_string(),
            name: name.to_string(),
            write,
        });
        let message = HolderMessage {
            owner: self.owner.0,
            connection: self.connection,
            ticket: self.ticket,
            forced: self.forced,
            everything: self.everything,
            tables: tables.collect(),
            stages_left: self.stage.left(),
            forced_for: self.forced_for.iter().map(|node| node.0).collect(),
        };
        message.encode_to_vec()
    }

    /// The record of these bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<LockHolder> {
        let message = HolderMessage::decode(bytes)
            .map_err(|error| Error::storage(format!("corrupt record of table locks: {error}")))?;
        let mut tables = LockSet::new();
        for lock in message.tables {
            tables.entry(lock.database).or_default().insert(lock.name, lock.write);
        }
        Ok(LockHolder {
            owner: LockOwner(message.owner),
            connection: message.connection,
            ticket: message.ticket,
            forced: message.forced,
            forced_for: message.forced_for.into_iter().map(NodeId).collect(),
            everything: message.everything,
            stage: Stage::with_left(message.stages_left)?,
            tables,
        })
    }
}

impl TableLocks {
    /// Whether nobody locks anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// The record of an owner.
    pub(crate) fn of(&self, owner: LockOwner) -> Option<&LockHolder> {
        self.holders.iter().find(|holder| holder.owner == owner)
    }

    fn others(&self, own: Owners) -> impl Iterator<Item = &LockHolder> {
        self.holders.iter().filter(move |holder| !own.contains(&Some(holder.owner)))
    }

    /// The records of what a session has.
    fn own(&self, own: Owners) -> impl Iterator<Item = &LockHolder> {
        own.into_iter().flatten().filter_map(move |owner| self.of(owner))
    }

    /// Whether others have removed a record of what a session has.
    pub(crate) fn has_lost(&self, own: Owners) -> bool {
        own.into_iter().flatten().any(|owner| self.of(owner).is_none())
    }

    /// Who else keeps a session from using a table, by LOCK TABLES.
    pub(crate) fn against(
        &self,
        own: Owners,
        database: &str,
        name: &str,
        write: bool,
    ) -> Option<&LockHolder> {
        self.all_against(own, database, name, write).next()
    }

    fn all_against(
        &self,
        own: Owners,
        database: &str,
        name: &str,
        write: bool,
    ) -> impl Iterator<Item = &LockHolder> {
        let covered = self.own(own).any(|holder| holder.covers(database, name, write));
        let others = self.others(own);
        others.filter(move |holder| !covered && holder.is_against(database, name, write))
    }

    /// Whether one of them was forced for the session's node.
    pub(crate) fn is_forced_against(
        &self,
        own: Owners,
        node: NodeId,
        (database, name): (&str, &str),
        write: bool,
    ) -> bool {
        let mut against = self.all_against(own, database, name, write);
        against.any(|holder| holder.is_forced_for(node))
    }

    /// Who else keeps a session from changing anything, by FLUSH TABLES WITH READ LOCK.
    pub(crate) fn against_changes(&self, own: Owners, change: Change) -> Option<&LockHolder> {
        self.all_against_changes(own, change).next()
    }

    fn all_against_changes(
        &self,
        own: Owners,
        change: Change,
    ) -> impl Iterator<Item = &LockHolder> {
        // Who has locked a table with WRITE is waited for.
        let passes = self.own(own).any(LockHolder::writes);
        self.others(own).filter(move |holder| !passes && holder.is_against_change(change))
    }

    /// Whether what a session of this node has written to a table must not be committed any more.
    pub(crate) fn is_too_late(
        &self,
        own: Owners,
        node: NodeId,
        database: &str,
        name: &str,
    ) -> bool {
        let mut of_all = self.all_against_changes(own, Change::Commit);
        self.is_forced_against(own, node, (database, name), true)
            || of_all.any(|holder| holder.is_forced_for(node))
    }

    /// Who else has locked or waits for a table of a database, so that it cannot be dropped.
    pub(crate) fn against_database(&self, own: Owners, database: &str) -> Option<&LockHolder> {
        self.others(own).find(|holder| holder.is_against_database(database))
    }

    /// Whether the session of a record may wait for other records: not after FLUSH TABLES WITH READ LOCK, unless it locks
    /// tables besides.
    pub(crate) fn may_wait(&self, holder: &LockHolder) -> bool {
        let mut others = self.holders.iter().filter(|other| other.owner != holder.owner);
        !holder.everything || others.any(|other| other.connection == holder.connection)
    }

    /// The first in line of those that have an earlier ticket and locks that do not go with these.
    pub(crate) fn ahead_of(&self, holder: &LockHolder) -> Option<&LockHolder> {
        let ahead = self.holders.iter().filter(|other| other.is_ahead_of(holder));
        ahead.min_by_key(|other| other.ticket)
    }

    /// The owners of all of those.
    pub(crate) fn owners_ahead_of(&self, holder: &LockHolder) -> BTreeSet<LockOwner> {
        let ahead = self.holders.iter().filter(|other| other.is_ahead_of(holder));
        ahead.map(|other| other.owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(ticket: u64, tables: &[(&str, bool)]) -> LockHolder {
        let tables = tables.iter().map(|(name, write)| (name.to_string(), *write)).collect();
        LockHolder {
            owner: LockOwner(ticket),
            connection: 1,
            ticket,
            forced: false,
            forced_for: BTreeSet::new(),
            everything: false,
            stage: Stage::Closed,
            tables: LockSet::from([("d".to_string(), tables)]),
        }
    }

    const HERE: NodeId = NodeId(1);

    fn everything(ticket: u64) -> LockHolder {
        LockHolder { everything: true, tables: LockSet::new(), ..holder(ticket, &[]) }
    }

    #[test]
    fn a_record_comes_back() {
        let forced = LockHolder { forced: true, ..holder(7, &[("t", true), ("u", false)]) };
        let wanted = LockHolder { stage: Stage::Wanted, ..everything(9) };
        let closing = LockHolder { stage: Stage::Closing, ..everything(10) };
        let for_one = LockHolder { forced_for: BTreeSet::from([NodeId(3)]), ..forced.clone() };
        for record in [forced, for_one, everything(8), wanted, closing] {
            assert_eq!(LockHolder::decode(&record.encode()).unwrap(), record);
        }
    }

    #[test]
    fn read_goes_with_read_only() {
        let read = holder(1, &[("t", false)]);
        assert!(!read.is_against("d", "t", false));
        assert!(read.is_against("d", "t", true));
        assert!(!read.is_against("d", "u", true));
        assert!(holder(1, &[("t", true)]).is_against("d", "t", false));
    }

    #[test]
    fn all_tables_are_shut_in_stages() {
        let at = |stage| {
            let holders = vec![LockHolder { stage, forced: true, ..everything(1) }];
            let locks = TableLocks { version: 1, holders };
            let stops = |change| locks.against_changes([None, None], change).is_some();
            let stops = [Change::New, Change::Ongoing, Change::Running, Change::Commit].map(stops);
            (stops, locks.is_too_late([None, None], HERE, "d", "t"))
        };
        assert_eq!(at(Stage::Wanted), ([true, false, false, false], false));
        assert_eq!(at(Stage::Closing), ([true, true, false, false], false));
        assert_eq!(at(Stage::Closed), ([true, true, true, true], true));
    }

    #[test]
    fn who_has_a_table_goes_on_whoever_waits() {
        let forced = LockHolder { forced: true, ..holder(3, &[("t", true), ("u", true)]) };
        let holders = vec![holder(1, &[("t", true)]), forced, everything(4)];
        let locks = TableLocks { version: 4, holders };
        let own = [Some(LockOwner(1)), None];
        assert!(locks.against(own, "d", "t", true).is_none());
        assert!(locks.against_changes(own, Change::New).is_none());
        let too_late = |name| locks.is_too_late(own, HERE, "d", name);
        assert!(!too_late("t") && too_late("u"));

        // Its record is gone: it has nothing.
        let lost = [Some(LockOwner(2)), None];
        assert!(locks.has_lost(lost) && !locks.has_lost(own));
        assert!(locks.against(lost, "d", "t", false).is_some());
        assert!(locks.against_changes(lost, Change::Commit).is_some());
    }

    #[test]
    fn only_nodes_that_a_lock_is_forced_for_are_too_late() {
        let forced_for = |node| LockHolder {
            forced: true,
            forced_for: BTreeSet::from([NodeId(node)]),
            ..holder(node, &[("t", true)])
        };
        let holders = vec![forced_for(2), forced_for(3)];
        let locks = TableLocks { version: 3, holders };
        let too_late = |node| locks.is_too_late([None, None], NodeId(node), "d", "t");
        assert_eq!([1, 2, 3].map(too_late), [false, true, true]);
    }

    #[test]
    fn who_has_a_table_to_read_does_not_change_others() {
        let holders = vec![holder(1, &[("t", false)]), everything(2), holder(3, &[("t", true)])];
        let locks = TableLocks { version: 3, holders };
        let reader = [Some(LockOwner(1)), None];
        assert!(locks.against(reader, "d", "t", false).is_none());
        assert!(locks.against(reader, "d", "t", true).is_some());
        assert!(locks.against_changes(reader, Change::Commit).is_some());
        let all = [None, Some(LockOwner(2))];
        assert!(locks.against(all, "d", "t", false).is_none());
        assert!(locks.against(all, "d", "t", true).is_some());
    }

    #[test]
    fn only_write_has_tables_alone() {
        let tables = |name: &str| holder(1, &[(name, true)]).tables;
        let both = holder(1, &[("t", true), ("u", false)]);
        assert!(both.has_alone(&tables("t")) && both.has_alone(&LockSet::new()));
        assert!(!both.has_alone(&tables("u")) && !both.has_alone(&tables("v")));
        assert!(!everything(1).has_alone(&tables("t")));
    }

    #[test]
    fn whoever_comes_later_waits_for_those_ahead_that_conflict() {
        let holders = vec![
            holder(1, &[("t", false)]),
            holder(2, &[("t", true), ("u", true)]),
            holder(3, &[("u", false)]),
            everything(4),
        ];
        let locks = TableLocks { version: 4, holders };
        let ahead = |at: usize| locks.ahead_of(&locks.holders[at]).map(|holder| holder.ticket);
        assert_eq!([ahead(0), ahead(1), ahead(2), ahead(3)], [None, Some(1), Some(2), Some(2)]);
    }

    #[test]
    fn own_locks_are_not_in_the_way() {
        let locks = TableLocks { version: 1, holders: vec![holder(1, &[("t", true)])] };
        let own = [Some(LockOwner(1)), None];
        assert!(locks.against(own, "d", "t", true).is_none());
        assert!(locks.against([None, None], "d", "t", false).is_some());
        assert!(locks.against_database([None, None], "d").is_some());
        assert!(locks.against_changes([None, None], Change::New).is_none());
    }
}
