//! The order of appends to each key, as reads have shown it.

use crate::history::{Action, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// One transaction of a history.
pub(super) struct Transaction<'a> {
    pub(super) process: u64,
    /// Line of its call.
    pub(super) call: usize,
    /// Line of its answer; `None` when the outcome is unknown.
    pub(super) answer: Option<usize>,
    pub(super) outcome: Phase,
    pub(super) actions: &'a [Action],
}

/// Number of a transaction in the history, from 0.
pub(super) type Number = usize;

/// What reads have shown of all keys.
pub(super) struct Lists<'a> {
    /// Key → what is known of its list.
    pub(super) keys: BTreeMap<i64, List<'a>>,
    /// (key, element) → who appends it.
    writers: BTreeMap<(i64, i64), Number>,
    /// Transactions whose effects count: acknowledged ones, and those of which an append was seen.
    pub(super) counts: Vec<bool>,
}

/// What is known of a key's list.
#[derive(Default)]
pub(super) struct List<'a> {
    /// The longest list read.
    pub(super) order: &'a [i64],
    /// Who read it.
    pub(super) shown_by: Option<Number>,
    /// Every list read: reader and elements.
    pub(super) reads: Vec<(Number, &'a [i64])>,
    /// Who appended, and which elements.
    pub(super) appends: Vec<(Number, i64)>,
}

impl<'a> Transaction<'a> {
    /// Keys and lists of its reads, when they are known.
    pub(super) fn lists_read(&self) -> impl Iterator<Item = (i64, &'a [i64])> + use<'a> {
        let answered = self.outcome == Phase::Ok;
        self.actions.iter().filter(move |_| answered).filter_map(|action| match action {
            Action::Read(key, Some(list)) => Some((*key, list.as_slice())),
            _ => None,
        })
    }

    /// Keys and elements of its appends.
    pub(super) fn appends(&self) -> impl Iterator<Item = (i64, i64)> + use<'a> {
        self.actions.iter().filter_map(|action| match action {
            Action::Append(key, element) => Some((*key, *element)),
            Action::Read(..) => None,
        })
    }
}

impl<'a> Lists<'a> {
    /// Gathers what all transactions appended and read.
    ///
    /// # Errors
    /// When an element is appended twice to a key: then lists do not tell who wrote them.
    pub(super) fn of(transactions: &[Transaction<'a>]) -> Result<Lists<'a>, String> {
        let mut keys: BTreeMap<i64, List<'a>> = BTreeMap::new();
        let mut writers = BTreeMap::new();
        for (number, transaction) in transactions.iter().enumerate() {
            for (key, element) in transaction.appends() {
                if writers.insert((key, element), number).is_some() {
                    return Err(format!("element {element} is appended twice to key {key}"));
                }
                keys.entry(key).or_default().appends.push((number, element));
            }
            for (key, list) in transaction.lists_read() {
                let known = keys.entry(key).or_default();
                known.reads.push((number, list));
                if list.len() > known.order.len() {
                    known.order = list;
                    known.shown_by = Some(number);
                }
            }
        }
        let mut counts: Vec<bool> =
            transactions.iter().map(|txn| txn.outcome == Phase::Ok).collect();
        for (key, list) in &keys {
            for element in list.order {
                if let Some(writer) = writers.get(&(*key, *element)) {
                    counts[*writer] |= transactions[*writer].outcome == Phase::Info;
                }
            }
        }
        Ok(Lists { keys, writers, counts })
    }

    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Who appends an element, whatever came of it.
    pub(super) fn writer(&self, key: i64, element: i64) -> Option<Number> {
        self.writers.get(&(key, element)).copied()
    }

    /// Who appended an element, when the append counts.
    pub(super) fn effective_writer(&self, key: i64, element: i64) -> Option<Number> {
        self.writer(key, element).filter(|writer| self.counts[*writer])
    }
}

impl List<'_> {
    /// Appends that no read of the key shows: they come after all that was read.
    pub(super) fn unseen(&self) -> impl Iterator<Item = (Number, i64)> + '_ {
        let seen: BTreeSet<i64> = self.order.iter().copied().collect();
        self.appends.iter().copied().filter(move |(_, element)| !seen.contains(element))
    }
}
