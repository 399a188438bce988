//! Cycles of the dependency graph, the gravest kind first.

use super::Level;
use super::direct::events_of;
use super::graph::{Edge, Graph, Reason};
use super::lists::{Lists, Number, Transaction};
use crate::history::Event;
use crate::history::check::Violation;
use std::collections::{BTreeMap, VecDeque};

/// Nodes of a component from which a cycle is looked for; a component's cycles mostly share nodes.
const STARTS_MAX: usize = 256;

/// One step along a cycle.
#[derive(Clone, Copy)]
struct Step {
    from: usize,
    edge: Edge,
}

/// One violation per strongly connected component.
pub(super) fn violations(
    history: &[Event],
    transactions: &[Transaction<'_>],
    lists: &Lists<'_>,
    level: Level,
) -> Vec<Violation> {
    let graph = Graph::of(transactions, lists, level);
    let components = components(&graph);
    components
        .iter()
        .filter_map(|nodes| {
            let (anomaly, cycle) = gravest(&graph, nodes)?;
            let who: Vec<Number> =
                cycle.iter().filter_map(|step| graph.transaction(step.from)).collect();
            let events = events_of(history, transactions, &who);
            let what = in_words(&graph, transactions, &cycle);
            Some(Violation { anomaly, what, events })
        })
        .collect()
}

/// How many strongly connected components there are.
pub(super) fn count(transactions: &[Transaction<'_>], lists: &Lists<'_>, level: Level) -> u64 {
    components(&Graph::of(transactions, lists, level)).len() as u64
}

/// Strongly connected components of at least two nodes (Tarjan 1972, without recursion).
fn components(graph: &Graph) -> Vec<Vec<usize>> {
    const NONE: usize = usize::MAX;
    let count = graph.edges.len();
    let (mut index, mut low) = (vec![NONE; count], vec![0; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut found) = (Vec::new(), Vec::new());
    let mut next = 0;
    for root in 0..count {
        if index[root] != NONE {
            continue;
        }
        // (node, edges already followed)
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((node, followed)) = path.last_mut() {
            let node = *node;
            if *followed == 0 {
                index[node] = next;
                low[node] = next;
                next += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(edge) = graph.edges[node].get(*followed) {
                *followed += 1;
                if index[edge.to] == NONE {
                    path.push((edge.to, 0));
                } else if on_stack[edge.to] {
                    low[node] = low[node].min(index[edge.to]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
            if low[node] == index[node] {
                let from = stack.iter().rposition(|other| *other == node).unwrap_or(0);
                let component: Vec<usize> = stack.drain(from..).collect();
                component.iter().for_each(|member| on_stack[*member] = false);
                if component.len() > 1 {
                    found.push(component);
                }
            }
        }
    }
    found
}

/// The gravest cycle within a component, and its name.
fn gravest(graph: &Graph, nodes: &[usize]) -> Option<(&'static str, Vec<Step>)> {
    let inside = Inside::of(graph, nodes);
    let names = [
        (false, ["G0", "G1c", "G-single", "G-nonadjacent", "G2-item"]),
        (
            true,
            [
                "G0-realtime",
                "G1c-realtime",
                "G-single-realtime",
                "G-nonadjacent-realtime",
                "G2-item-realtime",
            ],
        ),
    ];
    for (time, [ww, wr, single, several, adjacent]) in names {
        let timed = |reason: &Reason| time && *reason == Reason::Time;
        let writes = |reason: &Reason| {
            matches!(reason, Reason::Own | Reason::WriteWrite { .. }) || timed(reason)
        };
        let reads = |reason: &Reason| writes(reason) || matches!(reason, Reason::WriteRead { .. });
        let any = |reason: &Reason| reads(reason) || matches!(reason, Reason::ReadWrite { .. });
        if let Some(cycle) = inside.shortest(&writes) {
            return Some((ww, cycle));
        }
        if let Some(cycle) = inside.shortest(&reads) {
            return Some((wr, cycle));
        }
        if let Some(cycle) = inside.with_one_read_write(&reads) {
            let name = if is_lost_update(&cycle) { "lost update" } else { single };
            return Some((name, cycle));
        }
        if let Some(cycle) = inside.shortest(&any) {
            let name = match has_adjacent(&cycle) {
                true => adjacent,
                false if is_long_fork(&cycle) => "long fork",
                false => several,
            };
            return Some((name, cycle));
        }
    }
    None
}

/// Two transactions read the same list and both append to it.
fn is_lost_update(cycle: &[Step]) -> bool {
    let keys = |wanted: fn(&Reason) -> Option<i64>| {
        cycle.iter().filter_map(|step| wanted(&step.edge.reason)).collect::<Vec<i64>>()
    };
    let appended = keys(|reason| match reason {
        Reason::WriteWrite { key, .. } => Some(*key),
        _ => None,
    });
    let missed = keys(|reason| match reason {
        Reason::ReadWrite { key, .. } => Some(*key),
        _ => None,
    });
    let others = cycle
        .iter()
        .any(|step| matches!(step.edge.reason, Reason::WriteRead { .. } | Reason::Time));
    !others && missed.len() == 1 && appended.iter().all(|key| *key == missed[0])
}

/// Readers see the appends of others in different orders: in turn somebody reads an append and misses one.
fn is_long_fork(cycle: &[Step]) -> bool {
    let kinds: Vec<bool> = cycle
        .iter()
        .filter_map(|step| match step.edge.reason {
            Reason::WriteRead { .. } => Some(true),
            Reason::ReadWrite { .. } => Some(false),
            Reason::Own | Reason::WriteWrite { .. } | Reason::Time => None,
        })
        .collect();
    let others = cycle
        .iter()
        .any(|step| matches!(step.edge.reason, Reason::WriteWrite { .. } | Reason::Time));
    !others && (0..kinds.len()).all(|at| kinds[at] != kinds[(at + 1) % kinds.len()])
}

/// Whether two rw edges follow each other, which only Serializable forbids.
fn has_adjacent(cycle: &[Step]) -> bool {
    let kinds: Vec<bool> = cycle
        .iter()
        .filter(|step| step.edge.reason != Reason::Own)
        .map(|step| matches!(step.edge.reason, Reason::ReadWrite { .. }))
        .collect();
    (0..kinds.len()).any(|at| kinds[at] && kinds[(at + 1) % kinds.len()])
}

/// A component.
struct Inside<'a> {
    graph: &'a Graph,
    nodes: &'a [usize],
    member: BTreeMap<usize, ()>,
}

impl<'a> Inside<'a> {
    fn of(graph: &'a Graph, nodes: &'a [usize]) -> Inside<'a> {
        Inside { graph, nodes, member: nodes.iter().map(|node| (*node, ())).collect() }
    }

    /// A cycle of few edges of permitted reasons.
    fn shortest(&self, permitted: &dyn Fn(&Reason) -> bool) -> Option<Vec<Step>> {
        let starts = self.nodes.iter().take(STARTS_MAX);
        starts.filter_map(|node| self.path(*node, *node, permitted)).min_by_key(Vec::len)
    }

    /// A cycle with exactly one rw edge.
    fn with_one_read_write(&self, others: &dyn Fn(&Reason) -> bool) -> Option<Vec<Step>> {
        let steps = self.nodes.iter().flat_map(|node| {
            self.graph.edges[*node].iter().map(|edge| Step { from: *node, edge: *edge })
        });
        steps
            .filter(|step| matches!(step.edge.reason, Reason::ReadWrite { .. }))
            .filter(|step| self.member.contains_key(&step.edge.to))
            .take(STARTS_MAX)
            .filter_map(|step| {
                let mut cycle = vec![step];
                cycle.extend(self.path(step.edge.to, step.from, others)?);
                Some(cycle)
            })
            .min_by_key(Vec::len)
    }

    /// The shortest path of at least one edge.
    fn path(
        &self,
        from: usize,
        to: usize,
        permitted: &dyn Fn(&Reason) -> bool,
    ) -> Option<Vec<Step>> {
        let mut reached: BTreeMap<usize, Step> = BTreeMap::new();
        let mut waiting = VecDeque::from([from]);
        while let Some(node) = waiting.pop_front() {
            for edge in &self.graph.edges[node] {
                let new = self.member.contains_key(&edge.to) && !reached.contains_key(&edge.to);
                if !new || !permitted(&edge.reason) {
                    continue;
                }
                reached.insert(edge.to, Step { from: node, edge: *edge });
                if edge.to == to {
                    return Some(walk_back(&reached, from, to));
                }
                waiting.push_back(edge.to);
            }
        }
        None
    }
}

fn walk_back(reached: &BTreeMap<usize, Step>, from: usize, to: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = to;
    loop {
        let step = reached[&at];
        steps.push(step);
        at = step.from;
        if at == from {
            steps.reverse();
            return steps;
        }
    }
}

fn in_words(graph: &Graph, transactions: &[Transaction<'_>], cycle: &[Step]) -> String {
    let name = |number: Number| {
        let transaction = &transactions[number];
        format!("T{} (process {}, line {})", number, transaction.process, transaction.call + 1)
    };
    // Start where a transaction's own step ends nothing: at a node of a transaction.
    let at = cycle.iter().position(|step| graph.transaction(step.from).is_some()).unwrap_or(0);
    let turned: Vec<Step> = cycle[at..].iter().chain(&cycle[..at]).copied().collect();
    let mut words = Vec::new();
    let mut answered: Option<Number> = None;
    for step in &turned {
        let (from, to) = (graph.transaction(step.from), graph.transaction(step.edge.to));
        match step.edge.reason {
            Reason::Own => {}
            Reason::Time => {
                answered = from.or(answered);
                if let (Some(to), Some(before)) = (to, answered) {
                    words.push(format!(
                        "{} was answered before {} was called",
                        name(before),
                        name(to)
                    ));
                }
            }
            Reason::WriteWrite { key, from: first, to: second } => {
                let (Some(from), Some(to)) = (from, to) else { continue };
                words.push(format!(
                    "{} appended {first} to key {key} before {} appended {second}",
                    name(from),
                    name(to)
                ));
            }
            Reason::WriteRead { key, element } => {
                let (Some(from), Some(to)) = (from, to) else { continue };
                words.push(format!(
                    "{} appended {element} to key {key}, which {} read",
                    name(from),
                    name(to)
                ));
            }
            Reason::ReadWrite { key, element } => {
                let (Some(from), Some(to)) = (from, to) else { continue };
                words.push(format!(
                    "{} read key {key} without {element}, which {} appended",
                    name(from),
                    name(to)
                ));
            }
        }
    }
    words.join("; ")
}
