//! Records of prepared XA transactions, in the meta shard.
//!
//! ```text
//! table 108  (gtrid, bqual)       → record: decision, tables, owner, where its key list is
//! table 109  (gtrid, bqual, row)  → a part of the key list: keys that are locked
//! ```
//!
//! A record and its key list are written, and removed, by one transaction. In between only the decision changes, from
//! none to one of two, once. Values are protobuf messages; field numbers are never reused (`docs/formats.md`,
//! "Catalog").
//!
//! Invariants:
//! 1. There is at most one record of a name; the format id is no part of it, as for MySQL.
//! 2. A key list is used only when all of its rows are there and have the checksum that the record says.

use crate::ast::{XID_PART_BYTES_MAX, Xid};
use crate::{Error, Result};
use base::limits::{ACTIVITY_BYTES_MAX, ACTIVITY_ROWS_MAX, XA_KEYS_BYTES_MAX, XA_ROW_BYTES_TARGET};
use base::{IndexId, KeyRange, NodeId, Slot, TableId, Timestamp};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;
use txn::command::Expect;
use txn::transaction::{Mode, ScanOptions};
use txn::{PreparedTransaction, ShardClient, Transaction};

/// Where records are (docs/formats.md).
const RECORDS: TableId = TableId(108);
/// Where key lists are (docs/formats.md).
const KEY_LISTS: TableId = TableId(109);
/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// Tries to change a record that others change too.
const CHANGE_ATTEMPTS: u32 = 32;

/// What is to become of a prepared transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// XA COMMIT.
    Commit,
    /// XA ROLLBACK.
    RollBack,
}

/// A prepared transaction, as the cluster remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct XaRecord {
    /// Its name.
    pub(super) xid: Xid,
    /// Tells this transaction from later ones of its name.
    pub(super) id: Timestamp,
    /// What was decided; `None` while it is only prepared.
    pub(super) decision: Option<Decision>,
    /// Tables that it has written.
    pub(super) tables: BTreeSet<TableId>,
    /// The node that prepared it.
    pub(super) node: NodeId,
    /// The connection that prepared it.
    pub(super) connection: u32,
    /// When, Unix milliseconds.
    pub(super) prepared_unix_ms: u64,
    /// Its locks; `None` when it has written and locked nothing.
    pub(super) transaction: Option<KeyList>,
}

/// Where a transaction's locks are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyList {
    /// Identity of the locks.
    start_ts: Timestamp,
    /// The lock that decides.
    primary: Bytes,
    /// Rows of the list.
    rows: u32,
    /// CRC-32 of all rows, one after the other.
    checksum: u32,
}

/// A prepared transaction as lists of transactions and locks show it.
#[derive(Debug)]
pub(crate) struct ListedPrepared {
    /// Identity of its locks.
    pub(crate) start_ts: Timestamp,
    /// When it was prepared, Unix milliseconds.
    pub(crate) prepared_unix_ms: u64,
    /// Whether it writes; else it has only locked rows.
    pub(crate) has_written: bool,
    /// Tables that it has written.
    pub(crate) tables: BTreeSet<TableId>,
    /// Keys that it writes; where it writes none, one that decides it.
    pub(crate) keys: Vec<Bytes>,
    /// Keys that it has locked and does not write.
    pub(crate) kept: Vec<Bytes>,
}

/// Some prepared transactions.
#[derive(Debug, Default)]
pub(crate) struct PreparedList {
    /// Those that have locked something.
    pub(crate) transactions: Vec<ListedPrepared>,
    /// Whether there are more, or more keys of them, than there was room for.
    pub(crate) cut: bool,
}

/// A record on disk.
#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// 0 none, 1 commit, 2 rollback.
    #[prost(uint32, tag = "2")]
    decision: u32,
    #[prost(bytes = "vec", tag = "3")]
    gtrid: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bqual: Vec<u8>,
    #[prost(uint32, tag = "5")]
    format_id: u32,
    #[prost(uint64, tag = "6")]
    id: u64,
    #[prost(uint32, repeated, tag = "7")]
    tables: Vec<u32>,
    #[prost(uint64, tag = "8")]
    node: u64,
    #[prost(uint32, tag = "9")]
    connection: u32,
    #[prost(uint64, tag = "10")]
    prepared_unix_ms: u64,
    #[prost(message, optional, tag = "11")]
    transaction: Option<KeyListMessage>,
}

/// A [`KeyList`] on disk.
#[derive(Clone, PartialEq, Message)]
struct KeyListMessage {
    #[prost(uint64, tag = "1")]
    start_ts: u64,
    #[prost(bytes = "vec", tag = "2")]
    primary: Vec<u8>,
    #[prost(uint32, tag = "3")]
    rows: u32,
    #[prost(uint32, tag = "4")]
    checksum: u32,
}

/// A row of a key list on disk.
#[derive(Clone, PartialEq, Message)]
struct KeysMessage {
    /// Keys that are written.
    #[prost(bytes = "vec", repeated, tag = "1")]
    keys: Vec<Vec<u8>>,
    /// Keys that are locked and stay as they are.
    #[prost(bytes = "vec", repeated, tag = "2")]
    kept: Vec<Vec<u8>>,
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::storage(format!("corrupt record of an XA transaction: {what}"))
}

/// The columns that all keys of a name begin with.
fn key_head(table: TableId, xid: &Xid) -> KeyBuilder {
    let mut key = KeyBuilder::new(table, IndexId::PRIMARY);
    key.put_bytes(&xid.gtrid);
    key.put_bytes(&xid.bqual);
    key
}

fn record_key(xid: &Xid) -> Bytes {
    key_head(RECORDS, xid).finish(Slot(0))
}

fn key_list_key(xid: &Xid, row: u32) -> Bytes {
    let mut key = key_head(KEY_LISTS, xid);
    key.put_u64(u64::from(row));
    key.finish(Slot(0))
}

impl XaRecord {
    fn encode(&self) -> Vec<u8> {
        let transaction = self.transaction.as_ref().map(|list| KeyListMessage {
            start_ts: list.start_ts.0,
            primary: list.primary.to_vec(),
            rows: list.rows,
            checksum: list.checksum,
        });
        RecordMessage {
            format: FORMAT,
            decision: match self.decision {
                None => 0,
                Some(Decision::Commit) => 1,
                Some(Decision::RollBack) => 2,
            },
            gtrid: self.xid.gtrid.clone(),
            bqual: self.xid.bqual.clone(),
            format_id: self.xid.format_id,
            id: self.id.0,
            tables: self.tables.iter().map(|table| table.0).collect(),
            node: self.node.0,
            connection: self.connection,
            prepared_unix_ms: self.prepared_unix_ms,
            transaction,
        }
        .encode_to_vec()
    }

    /// Reads the record that stands under `key`.
    fn decode(key: &[u8], value: &[u8]) -> Result<XaRecord> {
        let message = RecordMessage::decode(value).map_err(corrupt)?;
        if message.format != FORMAT {
            return Err(corrupt(format!("format {}, not {FORMAT}", message.format)));
        }
        let decision = match message.decision {
            0 => None,
            1 => Some(Decision::Commit),
            2 => Some(Decision::RollBack),
            other => return Err(corrupt(format!("decision {other}"))),
        };
        if message.gtrid.len().max(message.bqual.len()) > XID_PART_BYTES_MAX {
            return Err(corrupt("a name that is too long"));
        }
        let xid = Xid { gtrid: message.gtrid, bqual: message.bqual, format_id: message.format_id };
        if record_key(&xid) != key {
            return Err(corrupt("it stands under the name of another one"));
        }
        let transaction = message.transaction.map(|list| KeyList {
            start_ts: Timestamp(list.start_ts),
            primary: list.primary.into(),
            rows: list.rows,
            checksum: list.checksum,
        });
        Ok(XaRecord {
            xid,
            id: Timestamp(message.id),
            decision,
            tables: message.tables.into_iter().map(TableId).collect(),
            node: NodeId(message.node),
            connection: message.connection,
            prepared_unix_ms: message.prepared_unix_ms,
            transaction,
        })
    }
}

/// The key list of a transaction, and its rows.
///
/// # Errors
/// 1197 when it is too long.
fn cut(prepared: &PreparedTransaction) -> Result<(KeyList, Vec<Vec<u8>>)> {
    let keys = prepared.keys.iter().map(|key| (key, false));
    let all = keys.chain(prepared.kept.iter().map(|key| (key, true)));
    let (mut rows, mut row) = (Vec::new(), KeysMessage::default());
    let (mut row_bytes, mut bytes) = (0, 0);
    for (key, kept) in all {
        bytes += key.len();
        if row_bytes > 0 && row_bytes + key.len() > XA_ROW_BYTES_TARGET {
            rows.push(std::mem::take(&mut row).encode_to_vec());
            row_bytes = 0;
        }
        row_bytes += key.len();
        match kept {
            true => row.kept.push(key.to_vec()),
            false => row.keys.push(key.to_vec()),
        }
    }
    if bytes > XA_KEYS_BYTES_MAX {
        return Err(Error::too_large(format!(
            "the XA transaction has locked too many rows: their keys take {bytes} bytes, at most \
             {XA_KEYS_BYTES_MAX} can be prepared; change less in one transaction"
        )));
    }
    if row_bytes > 0 {
        rows.push(row.encode_to_vec());
    }
    let list = KeyList {
        start_ts: prepared.start_ts,
        primary: prepared.primary.clone(),
        rows: u32::try_from(rows.len()).map_err(|_| Error::internal("too many rows of keys"))?,
        checksum: checksum(&rows),
    };
    Ok((list, rows))
}

/// The transaction that a key list and its rows describe.
fn join<R: AsRef<[u8]>>(list: &KeyList, rows: &[R]) -> Result<PreparedTransaction> {
    if rows.len() != list.rows as usize {
        return Err(corrupt(format!("{} rows of keys, not {}", rows.len(), list.rows)));
    }
    if checksum(rows) != list.checksum {
        return Err(corrupt("its list of keys does not have its checksum"));
    }
    let (mut keys, mut kept) = (Vec::new(), Vec::new());
    for row in rows {
        let row = KeysMessage::decode(row.as_ref()).map_err(corrupt)?;
        keys.extend(row.keys.into_iter().map(Bytes::from));
        kept.extend(row.kept.into_iter().map(Bytes::from));
    }
    let (start_ts, primary) = (list.start_ts, list.primary.clone());
    Ok(PreparedTransaction { start_ts, primary, keys, kept })
}

fn checksum<R: AsRef<[u8]>>(rows: &[R]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    rows.iter().for_each(|row| hasher.update(row.as_ref()));
    hasher.finalize()
}

/// Writes the record of a transaction that is prepared, and its key list, which `record` names from then on.
///
/// # Errors
/// 1440 when there is one of this name; 1197 when it is too large.
pub(super) async fn insert(
    client: &Arc<dyn ShardClient>,
    record: &mut XaRecord,
    prepared: Option<&PreparedTransaction>,
) -> Result<()> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    if let Some(prepared) = prepared {
        let (list, rows) = cut(prepared)?;
        for (number, row) in (0..list.rows).zip(rows) {
            txn.put(key_list_key(&record.xid, number), row, Expect::Absent)?;
        }
        record.transaction = Some(list);
    }
    txn.put(record_key(&record.xid), record.encode(), Expect::Absent)?;
    match txn.commit().await {
        Ok(_) => Ok(()),
        Err(txn::Error::AlreadyExists { .. }) => Err(Error::xa_duplicate()),
        Err(error) => Err(error.into()),
    }
}

/// Whether there is a record of this name, whatever its format id.
pub(super) async fn exists(client: &Arc<dyn ShardClient>, xid: &Xid) -> Result<bool> {
    let mut txn = Transaction::begin(client.clone(), Mode::Latest);
    Ok(txn.get(&record_key(xid)).await?.is_some())
}

/// The record of a transaction.
pub(super) async fn find(client: &Arc<dyn ShardClient>, xid: &Xid) -> Result<Option<XaRecord>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Latest);
    find_in(&mut txn, xid).await
}

async fn find_in(txn: &mut Transaction, xid: &Xid) -> Result<Option<XaRecord>> {
    let key = record_key(xid);
    let value = txn.get(&key).await?;
    let record = value.map(|value| XaRecord::decode(&key, &value)).transpose()?;
    Ok(record.filter(|record| record.xid == *xid))
}

/// All records.
pub(super) async fn list(client: &Arc<dyn ShardClient>) -> Result<Vec<XaRecord>> {
    list_in(&mut Transaction::begin(client.clone(), Mode::Snapshot)).await
}

async fn list_in(txn: &mut Transaction) -> Result<Vec<XaRecord>> {
    let key = KeyBuilder::new(RECORDS, IndexId::PRIMARY).finish(Slot(0));
    let rows = scan(txn, KeyRange::prefix(table_prefix(RECORDS)), key).await?;
    rows.iter().map(|(key, value)| XaRecord::decode(key, value)).collect()
}

/// The transactions that have locked something, with or without a decision, and as many of their keys as a list has
/// room for.
pub(crate) async fn list_prepared(client: &Arc<dyn ShardClient>) -> Result<PreparedList> {
    let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
    let mut list = PreparedList::default();
    let (mut count, mut bytes) = (0, 0);
    let records = list_in(&mut txn).await?;
    for record in records {
        let Some(KeyList { start_ts, .. }) = record.transaction else { continue };
        let mut listed = ListedPrepared {
            start_ts,
            prepared_unix_ms: record.prepared_unix_ms,
            has_written: !record.tables.is_empty(),
            tables: record.tables,
            keys: Vec::new(),
            kept: Vec::new(),
        };
        let range = KeyRange::prefix(key_head(KEY_LISTS, &record.xid).into_prefix());
        let shard = Some(key_list_key(&record.xid, 0));
        let options = ScanOptions { shard, ordered: true, ..ScanOptions::default() };
        let mut scan = txn.scan(range, options).await?;
        while !list.cut
            && let Some(page) = scan.next_page().await?
        {
            for (_, row) in page {
                let row = KeysMessage::decode(&row[..]).map_err(corrupt)?;
                let written = row.keys.into_iter().map(|key| (key, false));
                for (key, is_kept) in written.chain(row.kept.into_iter().map(|key| (key, true))) {
                    count += 1;
                    bytes += key.len();
                    if count > ACTIVITY_ROWS_MAX || bytes > ACTIVITY_BYTES_MAX {
                        list.cut = true;
                        break;
                    }
                    let keys = if is_kept { &mut listed.kept } else { &mut listed.keys };
                    keys.push(Bytes::from(key));
                }
            }
        }
        list.transactions.push(listed);
        if list.cut {
            break;
        }
    }
    Ok(list)
}

/// When the oldest transaction began that has a record, with or without a decision.
///
/// # Errors
/// When the meta shard does not answer.
pub async fn oldest_prepared(client: &Arc<dyn ShardClient>) -> Result<Option<Timestamp>> {
    let records = list(client).await?;
    Ok(records.into_iter().filter_map(|record| record.transaction).map(|keys| keys.start_ts).min())
}

/// Whether a transaction still has its record.
pub(super) async fn stands(client: &Arc<dyn ShardClient>, record: &XaRecord) -> Result<bool> {
    let found = find(client, &record.xid).await?;
    Ok(found.is_some_and(|found| found.id == record.id))
}

/// Rows of a range of the meta shard; `key` is any key of it.
async fn scan(txn: &mut Transaction, range: KeyRange, key: Bytes) -> Result<Vec<(Bytes, Bytes)>> {
    let options = ScanOptions { shard: Some(key), ordered: true, ..ScanOptions::default() };
    let mut scan = txn.scan(range, options).await?;
    let mut rows = Vec::new();
    while let Some(page) = scan.next_page().await? {
        rows.extend(page);
    }
    Ok(rows)
}

/// Decides what becomes of a transaction, unless somebody has decided before. The record says what was decided; `None`
/// when there is none of this name (and, if it is given, of this id).
pub(super) async fn decide(
    client: &Arc<dyn ShardClient>,
    xid: &Xid,
    id: Option<Timestamp>,
    decision: Decision,
) -> Result<Option<(XaRecord, Option<PreparedTransaction>)>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let record = find_in(&mut txn, xid).await?;
        let Some(mut record) = record.filter(|record| id.is_none_or(|id| id == record.id)) else {
            return Ok(None);
        };
        let prepared = keys_of(&mut txn, &record).await?;
        if record.decision.is_some() {
            return Ok(Some((record, prepared)));
        }
        record.decision = Some(decision);
        let key = record_key(xid);
        let expect = txn.expect_unchanged(&key);
        txn.put(key, record.encode(), expect)?;
        match txn.commit().await {
            Ok(_) => return Ok(Some((record, prepared))),
            Err(txn::Error::WriteConflict { .. }) if attempt < CHANGE_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the locks of a recorded transaction.
async fn keys_of(txn: &mut Transaction, record: &XaRecord) -> Result<Option<PreparedTransaction>> {
    let Some(list) = &record.transaction else { return Ok(None) };
    let range = KeyRange::prefix(key_head(KEY_LISTS, &record.xid).into_prefix());
    let rows = scan(txn, range, key_list_key(&record.xid, 0)).await?;
    let rows: Vec<Bytes> = rows.into_iter().map(|(_, row)| row).collect();
    join(list, &rows).map(Some)
}

/// Removes a record and its key list. Done already is fine.
pub(super) async fn remove(client: &Arc<dyn ShardClient>, record: &XaRecord) -> Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = Transaction::begin(client.clone(), Mode::Snapshot);
        let found = find_in(&mut txn, &record.xid).await?;
        if found.is_none_or(|found| found.id != record.id) {
            return Ok(());
        }
        let key = record_key(&record.xid);
        let expect = txn.expect_unchanged(&key);
        txn.delete(key, expect)?;
        for row in 0..record.transaction.as_ref().map_or(0, |list| list.rows) {
            txn.delete(key_list_key(&record.xid, row), Expect::Any)?;
        }
        match txn.commit().await {
            Ok(_) => return Ok(()),
            Err(txn::Error::WriteConflict { .. }) if attempt < CHANGE_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(keys: usize, kept: usize) -> PreparedTransaction {
        let key = |number: usize| Bytes::from(format!("{number:0>3000}"));
        PreparedTransaction {
            start_ts: Timestamp(7),
            primary: key(0),
            keys: (0..keys).map(key).collect(),
            kept: (keys..keys + kept).map(key).collect(),
        }
    }

    fn record(transaction: Option<KeyList>) -> XaRecord {
        XaRecord {
            xid: Xid { gtrid: b"g\0".to_vec(), bqual: vec![0xff], format_id: 9 },
            id: Timestamp(5),
            decision: Some(Decision::RollBack),
            tables: [TableId(1000), TableId(1001)].into(),
            node: NodeId(3),
            connection: 4,
            prepared_unix_ms: 6,
            transaction,
        }
    }

    #[test]
    fn a_record_comes_back() {
        let (list, _) = cut(&prepared(2, 1)).unwrap();
        for record in [record(None), record(Some(list))] {
            let key = record_key(&record.xid);
            assert_eq!(XaRecord::decode(&key, &record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_record_under_another_name_is_refused() {
        let other = Xid { gtrid: b"g".to_vec(), ..record(None).xid };
        let error = XaRecord::decode(&record_key(&other), &record(None).encode()).unwrap_err();
        assert!(error.message.contains("under the name of another one"), "{error}");
    }

    #[test]
    fn a_key_list_of_several_rows_comes_back() {
        let prepared = prepared(XA_ROW_BYTES_TARGET / 3000 + 2, 10);
        let (list, rows) = cut(&prepared).unwrap();
        assert_eq!((list.rows, rows.len()), (2, 2));
        assert_eq!(join(&list, &rows), Ok(prepared));
    }

    #[test]
    fn a_key_list_with_a_row_missing_or_changed_is_refused() {
        let (list, mut rows) = cut(&prepared(XA_ROW_BYTES_TARGET / 3000 + 2, 0)).unwrap();
        assert!(join(&list, &rows[..1]).unwrap_err().message.contains("1 rows of keys, not 2"));
        rows.swap(0, 1);
        assert!(join(&list, &rows).unwrap_err().message.contains("checksum"));
    }

    #[test]
    fn too_many_keys_are_refused() {
        assert_eq!(cut(&prepared(XA_KEYS_BYTES_MAX / 3000 + 1, 0)).unwrap_err().code, 1197);
    }
}
