//! A group of changes that an engine applies atomically.

use bytes::Bytes;

/// One change to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Sets the value of a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key. Removing an absent key changes nothing.
    Delete {
        /// The key.
        key: Bytes,
    },
}

/// Changes that are applied together, in order; a later one wins over an earlier one on the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// The changes, in order.
    mutations: Vec<Mutation>,
    /// Sum of the lengths of keys and values.
    bytes: usize,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// Adds "set `key` to `value`".
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.mutations.push(Mutation::Put { key, value });
    }

    /// Adds "remove `key`".
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        let key = key.into();
        self.bytes += key.len();
        self.mutations.push(Mutation::Delete { key });
    }

    /// The changes, in order.
    pub fn mutations(&self) -> &[Mutation] {
        &self.mutations
    }

    /// The changes, in order, by value.
    pub fn into_mutations(self) -> Vec<Mutation> {
        self.mutations
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.mutations.len()
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.mutations.is_empty()
    }
}
