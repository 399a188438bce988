//! The dependency graph: two nodes per transaction, and one per answer for the order of time.
//!
//! ```text
//! begin(T) ──own──> commit(T) ──ww | wr──> begin(T')        begin(T) ──rw──> commit(T')
//! commit(T) ──time──> answer 1 ──> answer 2 ──> … ──> begin of everything called after that answer
//! ```

use super::Level;
use super::lists::{Lists, Number, Transaction};

/// Unseen appends of one key that get edges; more would only repeat the same anomaly.
const UNSEEN_MAX: usize = 16;

/// Why one node comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A transaction begins before it commits.
    Own,
    /// `to` appended right after `from`.
    WriteWrite { key: i64, from: i64, to: i64 },
    /// A list ends with `element`.
    WriteRead { key: i64, element: i64 },
    /// A list lacks `element`.
    ReadWrite { key: i64, element: i64 },
    /// Answered before it was called.
    Time,
}

/// An edge of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) to: usize,
    pub(super) reason: Reason,
}

/// The graph.
pub(super) struct Graph {
    /// Node → edges from it.
    pub(super) edges: Vec<Vec<Edge>>,
    /// Number of transactions; nodes from twice that on are answers.
    transactions: usize,
    level: Level,
}

impl Graph {
    /// Draws every edge that is certain.
    pub(super) fn of(transactions: &[Transaction<'_>], lists: &Lists<'_>, level: Level) -> Graph {
        let count = transactions.len();
        let mut graph = Graph { edges: vec![Vec::new(); 2 * count], transactions: count, level };
        for number in 0..count {
            graph.add(begin(number), commit(number), Reason::Own);
        }
        for (key, list) in &lists.keys {
            graph.of_key(*key, list, lists);
        }
        graph.time(transactions, lists);
        graph
    }

    /// The transaction of a node; `None` for an answer.
    pub(super) fn transaction(&self, node: usize) -> Option<Number> {
        (node < 2 * self.transactions).then_some(node / 2)
    }

    fn add(&mut self, from: usize, to: usize, reason: Reason) {
        self.edges[from].push(Edge { to, reason });
    }

    fn depends(&mut self, from: Number, to: Number, reason: Reason) {
        if from == to {
            return;
        }
        match (reason, self.level) {
            (Reason::ReadWrite { .. }, Level::Snapshot) => {
                self.add(begin(from), commit(to), reason)
            }
            _ => self.add(commit(from), begin(to), reason),
        }
    }

    fn of_key(&mut self, key: i64, list: &super::lists::List<'_>, lists: &Lists<'_>) {
        let known: Vec<(i64, Number)> = list
            .order
            .iter()
            .filter_map(|element| Some((*element, lists.effective_writer(key, *element)?)))
            .collect();
        for pair in known.windows(2) {
            let ((from, first), (to, second)) = (pair[0], pair[1]);
            self.depends(first, second, Reason::WriteWrite { key, from, to });
        }
        let unseen: Vec<(i64, Number)> = list
            .unseen()
            .filter(|(writer, _)| lists.counts[*writer])
            .map(|(writer, element)| (element, writer))
            .take(UNSEEN_MAX)
            .collect();
        if let Some((from, last)) = known.last() {
            for (to, writer) in &unseen {
                self.depends(*last, *writer, Reason::WriteWrite { key, from: *from, to: *to });
            }
        }
        for (reader, read) in &list.reads {
            if !list.order.starts_with(read) {
                // Reported as such; its place in the order is not known.
                continue;
            }
            self.of_read(key, *reader, read, list.order, &unseen, lists);
        }
    }

    fn of_read(
        &mut self,
        key: i64,
        reader: Number,
        read: &[i64],
        order: &[i64],
        unseen: &[(i64, Number)],
        lists: &Lists<'_>,
    ) {
        // What the reader itself appended is no dependency.
        let own = |element: &i64| lists.writer(key, *element) == Some(reader);
        let foreign = read.len() - read.iter().rev().take_while(|element| own(element)).count();
        if let Some(element) = read[..foreign].last()
            && let Some(writer) = lists.effective_writer(key, *element)
        {
            self.depends(writer, reader, Reason::WriteRead { key, element: *element });
        }
        let next = order[foreign..]
            .iter()
            .find_map(|element| Some((*element, lists.effective_writer(key, *element)?)));
        match next {
            Some((element, writer)) => {
                self.depends(reader, writer, Reason::ReadWrite { key, element });
            }
            None => {
                for (element, writer) in unseen {
                    let reason = Reason::ReadWrite { key, element: *element };
                    self.depends(reader, *writer, reason);
                }
            }
        }
    }

    /// A chain of all answers: whatever was answered before a call is reached from it by few edges.
    fn time(&mut self, transactions: &[Transaction<'_>], lists: &Lists<'_>) {
        let effective = |number: &Number| lists.counts[*number];
        let mut answers: Vec<(usize, Number)> = (0..transactions.len())
            .filter(effective)
            .filter_map(|number| Some((transactions[number].answer?, number)))
            .collect();
        answers.sort_unstable();
        let first = self.edges.len();
        for (at, (_, number)) in answers.iter().enumerate() {
            self.edges.push(Vec::new());
            self.add(commit(*number), first + at, Reason::Time);
            if at > 0 {
                self.add(first + at - 1, first + at, Reason::Time);
            }
        }
        for (number, transaction) in transactions.iter().enumerate().filter(|(n, _)| effective(n)) {
            let earlier = answers.partition_point(|(line, _)| *line < transaction.call);
            if earlier > 0 {
                self.add(first + earlier - 1, begin(number), Reason::Time);
            }
        }
    }
}

fn begin(number: Number) -> usize {
    2 * number
}

fn commit(number: Number) -> usize {
    2 * number + 1
}
