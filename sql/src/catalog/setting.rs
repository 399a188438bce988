//! Global values of system variables that SET GLOBAL and SET PERSIST have set: the same on every node, for sessions that
//! begin from now on.
//!
//! They are part of the catalog, so that a node has them as soon as it may serve statements of after the change, and nobody has
//! to be asked when a session begins.
//!
//! Not here: which variables there are and what they take (`sysvar`), who sets them (`ddl::setting`).

use super::store;
use crate::{Error, Result};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use txn::Transaction;

/// What was set, by the variables' names.
pub type Settings = BTreeMap<String, Setting>;

/// A global value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name, in small letters.
    pub name: String,
    /// The value as text; `None` for NULL.
    pub value: Option<String>,
    /// Whether SET PERSIST has set it, and RESET PERSIST has not come since.
    pub persisted: bool,
    /// Who has set it, `user@host`.
    pub set_by: String,
    /// Unix seconds when that was.
    pub set_unix: u64,
}

/// A setting on disk (`docs/formats.md`, "Catalog", table 148).
#[derive(Clone, PartialEq, Message)]
struct SettingRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
    #[prost(bool, tag = "3")]
    persisted: bool,
    #[prost(string, tag = "4")]
    set_by: String,
    #[prost(uint64, tag = "5")]
    set_unix: u64,
}

impl Setting {
    pub(super) fn encode(&self) -> Vec<u8> {
        SettingRecord {
            name: self.name.clone(),
            value: self.value.clone(),
            persisted: self.persisted,
            set_by: self.set_by.clone(),
            set_unix: self.set_unix,
        }
        .encode_to_vec()
    }

    fn decode(record: &[u8]) -> Result<Setting> {
        let record = SettingRecord::decode(record)
            .map_err(|_| Error::storage("corrupt record of a global variable"))?;
        Ok(Setting {
            name: record.name,
            value: record.value,
            persisted: record.persisted,
            set_by: record.set_by,
            set_unix: record.set_unix,
        })
    }
}

/// The key of a variable's record.
pub(super) fn key(name: &str) -> Bytes {
    store::meta_key(store::SETTINGS, |key| key.put_bytes(name.as_bytes()))
}

/// All that was set, as a transaction sees it.
pub(super) async fn all_in(txn: &mut Transaction) -> Result<Settings> {
    let all = store::scan_table(txn, store::SETTINGS, |_, record| Setting::decode(record)).await?;
    Ok(all.into_iter().map(|setting| (setting.name.clone(), setting)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        for value in [None, Some(String::new()), Some("utf8mb4".to_string())] {
            let setting = Setting {
                name: "sql_mode".to_string(),
                value,
                persisted: true,
                set_by: "ann@%".to_string(),
                set_unix: 1_700_000_000,
            };
            assert_eq!(Setting::decode(&setting.encode()).unwrap(), setting);
        }
        assert!(Setting::decode(b"\xff").is_err());
    }
}
