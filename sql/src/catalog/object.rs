//! Objects: definitions that have a name in a database and a record in a meta table of their kind.
//!
//! ```text
//! meta table of the kind: (id) → record        read with every catalog, written by schema changes
//!                           │
//! Objects<T>: database → name → Arc<T>          what a statement looks a name up in
//! ```
//!
//! A new kind of object takes four things: an id of a meta table in `store`, a struct with its [`Object`], a field of `Catalog`, and
//! its line in `store::load_in`. Storing and removing (`SchemaChange::put_object`, `remove_object`), key and lookup are the
//! same for all.
//!
//! Invariant: the catalog's version is written with every change of an object, so plans that were made of an old one are not
//! used again.
//!
//! Not here: tables, which have rows and so much more, and databases, whose key is their name (`record`).

use super::store;
use crate::Result;
use base::TableId;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::Transaction;

/// A definition that has a name in a database.
pub(crate) trait Object: Sized {
    /// The meta table of its kind.
    const TABLE: TableId;

    /// Identity, never reused: `store::new_table_ids` gives it.
    fn id(&self) -> TableId;

    /// Exact name of its database.
    fn database(&self) -> &str;

    /// Its name as it was written.
    fn name(&self) -> &str;

    /// What a name of this kind is looked up as: itself, unless the kind's names are found in any case.
    fn lookup_name(name: &str) -> Cow<'_, str> {
        Cow::Borrowed(name)
    }

    /// Its record.
    fn encode(&self) -> Vec<u8>;

    /// The object of a record.
    ///
    /// # Errors
    /// The record is corrupt.
    fn decode(record: &[u8]) -> Result<Self>;
}

/// The objects of one kind. Immutable as the catalog that has them.
#[derive(Clone, Debug)]
pub(crate) struct Objects<T> {
    /// By exact name of the database, then by [`Object::lookup_name`].
    by_name: BTreeMap<String, BTreeMap<String, Arc<T>>>,
}

impl<T> Default for Objects<T> {
    fn default() -> Objects<T> {
        Objects { by_name: BTreeMap::new() }
    }
}

impl<T: Object> FromIterator<T> for Objects<T> {
    fn from_iter<I: IntoIterator<Item = T>>(objects: I) -> Objects<T> {
        let mut all = Objects::default();
        for object in objects {
            let name = T::lookup_name(object.name()).into_owned();
            let of_database = all.by_name.entry(object.database().to_string()).or_default();
            of_database.insert(name, Arc::new(object));
        }
        all
    }
}

impl<T: Object> Objects<T> {
    /// The object of this name.
    pub(super) fn get(&self, database: &str, name: &str) -> Option<&Arc<T>> {
        self.by_name.get(database)?.get(&*T::lookup_name(name))
    }

    /// The objects of a database, by name.
    pub(super) fn of(&self, database: &str) -> impl Iterator<Item = &Arc<T>> {
        self.by_name.get(database).into_iter().flat_map(|objects| objects.values())
    }
}

/// The key of an object's record.
pub(super) fn key<T: Object>(id: TableId) -> Bytes {
    store::meta_key(T::TABLE, |key| key.put_u64(u64::from(id.0)))
}

/// All objects of a kind.
pub(super) async fn all_in<T: Object>(txn: &mut Transaction) -> Result<Vec<T>> {
    store::scan_table(txn, T::TABLE, |_, record| T::decode(record)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind whose names are found in any case.
    #[derive(Debug, PartialEq, Eq)]
    struct Note {
        id: TableId,
        database: &'static str,
        name: &'static str,
    }

    impl Object for Note {
        const TABLE: TableId = TableId(999);

        fn id(&self) -> TableId {
            self.id
        }

        fn database(&self) -> &str {
            self.database
        }

        fn name(&self) -> &str {
            self.name
        }

        fn lookup_name(name: &str) -> Cow<'_, str> {
            Cow::Owned(name.to_lowercase())
        }

        fn encode(&self) -> Vec<u8> {
            Vec::new()
        }

        fn decode(_: &[u8]) -> Result<Note> {
            Err(crate::Error::internal("notes are not stored"))
        }
    }

    fn notes() -> Objects<Note> {
        let note = |id, database, name| Note { id: TableId(id), database, name };
        [note(1, "d", "Zebra"), note(2, "d", "ant"), note(3, "D", "ant")].into_iter().collect()
    }

    #[test]
    fn names_are_found_as_the_kind_says_and_databases_exactly() {
        let notes = notes();
        assert_eq!(notes.get("d", "ZEBRA").map(|note| note.name()), Some("Zebra"));
        assert_eq!(notes.get("D", "Ant").map(|note| note.id()), Some(TableId(3)));
        assert_eq!(notes.get("D", "zebra"), None);
        assert_eq!(notes.get("e", "ant"), None);
    }

    #[test]
    fn the_objects_of_a_database_are_in_the_order_of_their_names() {
        let names: Vec<&str> = notes().of("d").map(|note| note.name).collect();
        assert_eq!(names, ["ant", "Zebra"]);
    }
}
