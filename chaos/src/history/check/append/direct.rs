//! Anomalies that a single read or a pair of them shows.

use super::lists::{List, Lists, Number, Transaction};
use crate::history::check::Violation;
use crate::history::{Action, Event, Phase};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that needs no cycle to be seen.
pub(super) fn violations(
    history: &[Event],
    transactions: &[Transaction<'_>],
    lists: &Lists<'_>,
) -> Vec<Violation> {
    let mut found = Found { history, transactions, violations: Vec::new() };
    for (number, transaction) in transactions.iter().enumerate() {
        for (key, list) in transaction.lists_read() {
            found.elements(number, key, list, lists);
        }
        if transaction.outcome == Phase::Ok {
            found.internal(number, transaction);
        }
    }
    for (key, list) in &lists.keys {
        found.order(*key, list);
        found.unseen(*key, list);
    }
    found.violations
}

struct Found<'a> {
    history: &'a [Event],
    transactions: &'a [Transaction<'a>],
    violations: Vec<Violation>,
}

impl Found<'_> {
    fn tell(&mut self, anomaly: &'static str, what: String, who: &[Number]) {
        let events = events_of(self.history, self.transactions, who);
        self.violations.push(Violation { anomaly, what, events });
    }

    /// Where the elements of a list come from.
    fn elements(&mut self, reader: Number, key: i64, list: &[i64], lists: &Lists<'_>) {
        let mut seen = BTreeSet::new();
        for element in list {
            if !seen.insert(element) {
                let what = format!("key {key}: element {element} stands twice in one list");
                self.tell("duplicate", what, &[reader]);
            }
            let Some(writer) = lists.writer(key, *element) else {
                let what = format!("key {key}: nobody appended element {element}");
                self.tell("out of nothing", what, &[reader]);
                continue;
            };
            if self.transactions[writer].outcome == Phase::Fail {
                let what =
                    format!("key {key}: element {element} was read, but its transaction failed");
                self.tell("G1a", what, &[writer, reader]);
            }
        }
        let Some(last) = list.last() else { return };
        let Some(writer) = lists.writer(key, *last).filter(|writer| *writer != reader) else {
            return;
        };
        let its_last = self.transactions[writer].appends().filter(|(k, _)| *k == key).last();
        if let Some((_, element)) = its_last.filter(|(_, element)| element != last) {
            let what = format!(
                "key {key}: a list ends with {last}, in the middle of a transaction that went on to append {element}"
            );
            self.tell("G1b", what, &[writer, reader]);
        }
    }

    /// Whether a transaction agrees with itself.
    fn internal(&mut self, number: Number, transaction: &Transaction<'_>) {
        let mut known: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let mut own: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for action in transaction.actions {
            match action {
                Action::Append(key, element) => {
                    own.entry(*key).or_default().push(*element);
                    if let Some(list) = known.get_mut(key) {
                        list.push(*element);
                    }
                }
                Action::Read(key, Some(list)) => {
                    let appended = own.get(key).map(Vec::as_slice).unwrap_or_default();
                    let agrees = match known.get(key) {
                        Some(known) => known == list,
                        None => list.ends_with(appended),
                    };
                    if !agrees {
                        let expected = match known.get(key) {
                            Some(known) => format!("{known:?}"),
                            None => format!("a list that ends with {appended:?}"),
                        };
                        let what = format!(
                            "key {key}: a transaction reads {list:?}, by its own actions it must be {expected}"
                        );
                        self.tell("internal", what, &[number]);
                    }
                    known.insert(*key, list.clone());
                }
                Action::Read(_, None) => {}
            }
        }
    }

    /// Whether all lists of a key extend each other.
    fn order(&mut self, key: i64, list: &List<'_>) {
        let Some(longest) = list.shown_by else { return };
        let other = list.reads.iter().find(|(_, read)| !list.order.starts_with(read));
        if let Some((reader, read)) = other {
            let what =
                format!("key {key}: neither list extends the other: {read:?} and {:?}", list.order);
            self.tell("incompatible order", what, &[*reader, longest]);
        }
    }

    /// Acknowledged appends that nobody sees, though somebody looked afterwards.
    fn unseen(&mut self, key: i64, list: &List<'_>) {
        let last = list.reads.iter().max_by_key(|(reader, _)| self.transactions[*reader].call);
        let Some((reader, _)) = last.copied() else { return };
        let called = self.transactions[reader].call;
        let lost: Vec<(Number, i64)> = list
            .unseen()
            .filter(|(writer, _)| self.transactions[*writer].outcome == Phase::Ok)
            .filter(|(writer, _)| self.transactions[*writer].answer < Some(called))
            .collect();
        if let Some((writer, element)) = lost.first() {
            let what = format!(
                "key {key}: element {element} was acknowledged, a read called afterwards and all others lack it ({} such elements)",
                lost.len()
            );
            self.tell("lost append", what, &[*writer, reader]);
        }
    }
}

/// Calls and answers of some transactions, in the order of time.
pub(super) fn events_of(
    history: &[Event],
    transactions: &[Transaction<'_>],
    who: &[Number],
) -> Vec<Event> {
    let lines: BTreeSet<usize> = who
        .iter()
        .flat_map(|number| {
            let transaction = &transactions[*number];
            std::iter::once(transaction.call).chain(transaction.answer)
        })
        .collect();
    lines.into_iter().map(|line| history[line].clone()).collect()
}
