//! EXPLAIN FORMAT=TREE and EXPLAIN ANALYZE: a line for each operator, below the one that reads it.

use super::{access_slots, chosen, known_conjuncts, partitions_of, ranges_of};
use crate::access::{self, Access, Choice};
use crate::exec::build::is_sorted;
use crate::exec::measure::{Figures, Meter};
use crate::exec::{Environment, lookup};
use crate::expr::Expr;
use crate::planner::locality;
use crate::planner::plan::{Join, JoinKind, Plan, Scan, Subqueries, SubqueryKind, subqueries_of};
use crate::{Error, Result};
use base::SlotFilter;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// The plan as an indented text.
pub(super) struct Tree<'a> {
    pub(super) subqueries: Subqueries,
    pub(super) environment: &'a Environment,
    pub(super) text: String,
    /// Right below a LIMIT.
    pub(super) limited: bool,
    /// Rows are read whatever entries carry.
    pub(super) holds_rows: bool,
    /// Queries of WITH that have been shown.
    pub(super) shared: BTreeSet<usize>,
    /// What the operators did, of a plan that has run.
    pub(super) meter: Option<Meter>,
}

impl Tree<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}-> {text}", "", indent = depth * 4);
    }

    /// Writes what the operator of a node did behind its line, which begins at `start` of the text.
    fn actual(&mut self, plan: &Plan, start: usize) -> Result<()> {
        let Some(meter) = &self.meter else { return Ok(()) };
        let mut actual = match meter.figures(plan) {
            Some(figures) if figures.loops > 0 => figures_text(&figures),
            Some(_) => " (never executed)".to_string(),
            None => return Ok(()),
        };
        if let Plan::Scan(scan) = plan {
            let (choice, _) = chosen(scan, self.holds_rows, &self.environment.ctx)?;
            let slots = SlotFilter::new(access_slots(&scan.table, &choice));
            let shards = self.environment.slots_by_shard()?;
            let read = shards.iter().filter(|shard| slots.meets(**shard)).count();
            let _ = write!(actual, " (shards={read})");
        }
        let end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        self.text.insert_str(end, &actual);
        Ok(())
    }

    pub(super) fn node(&mut self, plan: &Plan, depth: usize) -> Result<()> {
        let start = self.text.len();
        self.describe(plan, depth)?;
        self.actual(plan, start)
    }

    fn describe(&mut self, plan: &Plan, depth: usize) -> Result<()> {
        match plan {
            Plan::OneRow => self.line(depth, "One row"),
            Plan::Rows { name, rows, .. } => {
                self.line(depth, &format!("Computed table {name} ({} rows)", rows.len()));
            }
            Plan::Shared { number, name, .. } => {
                self.line(depth, &format!("Rows of the query {name}"));
                return self.shared_query(*number, name, depth + 1);
            }
            Plan::Scan(scan) => {
                let text = scan_text(scan, &chosen(scan, self.holds_rows, &self.environment.ctx)?);
                self.line(depth, &text);
            }
            Plan::Filter { conjuncts, .. } => {
                self.line(depth, &format!("Filter: {}", list(conjuncts, " and ")));
            }
            Plan::Project { exprs, .. } => {
                self.line(depth, &format!("Compute: {}", list(exprs, ", ")));
            }
            Plan::Join(join) => return self.join(join, depth),
            Plan::Lateral(lateral) => {
                let mut text = match lateral.kind {
                    JoinKind::Inner => format!("Inner lateral join with {}", lateral.name),
                    JoinKind::Left => format!("Left lateral join with {}", lateral.name),
                    JoinKind::Semi | JoinKind::Anti => {
                        return Err(Error::internal("a semi join with a lateral query"));
                    }
                };
                if !lateral.on.is_empty() {
                    let _ = write!(text, ": {}", list(&lateral.on, " and "));
                }
                self.line(depth, &text);
            }
            Plan::Aggregate { keys, aggregates, .. } => {
                let functions: Vec<String> = aggregates
                    .iter()
                    .map(|aggregate| {
                        let distinct = if aggregate.distinct { "distinct " } else { "" };
                        let args = list(&aggregate.args, ", ");
                        format!("{:?}({distinct}{args})", aggregate.function)
                    })
                    .collect();
                let by = if keys.is_empty() {
                    String::new()
                } else {
                    format!(" by {}", list(keys, ", "))
                };
                self.line(depth, &format!("Aggregate{by}: {}", functions.join(", ")));
            }
            Plan::Distinct { .. } => self.line(depth, "Distinct"),
            Plan::Window { window, .. } => {
                let calls: Vec<String> =
                    window.calls.iter().map(|call| format!("{:?}", call.function)).collect();
                self.line(depth, &format!("Window: {}", calls.join(", ")));
            }
            Plan::Sort { input, keys } => {
                let ctx = &self.environment.ctx;
                let sorted = is_sorted(input, keys, self.limited, &known_conjuncts, ctx)?;
                let what = if sorted { "Sorted by the walk" } else { "Sort" };
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let order = if key.descending { " desc" } else { "" };
                        format!("{}{order}", key.expr)
                    })
                    .collect();
                self.line(depth, &format!("{what}: {}", keys.join(", ")));
            }
            Plan::Limit { offset, count, .. } => {
                let count = count.as_ref().map_or(String::new(), |count| format!(" {count}"));
                let offset =
                    offset.as_ref().map_or(String::new(), |offset| format!(" offset {offset}"));
                self.line(depth, &format!("Limit{count}{offset}"));
            }
            Plan::Union { .. } => self.line(depth, "Union all"),
        }
        self.subqueries_of(plan, depth + 1)?;
        self.limited = matches!(plan, Plan::Limit { .. });
        for input in plan.inputs() {
            self.node(input, depth + 1)?;
        }
        self.limited = false;
        Ok(())
    }

    fn join(&mut self, join: &Join, depth: usize) -> Result<()> {
        let kind = match join.kind {
            JoinKind::Inner => "Inner",
            JoinKind::Left => "Left",
            JoinKind::Semi => "Semi",
            JoinKind::Anti => "Anti",
        };
        let mut on = if join.on.is_empty() {
            String::new()
        } else {
            format!(": {}", list(&join.on, " and "))
        };
        if let Some(local) = locality::local_join(join, &self.subqueries, self.environment)? {
            let _ = write!(on, ", {local}");
        }
        if let (Some(lookup), Plan::Scan(scan)) =
            (lookup::plan(join, &self.subqueries, self.environment)?, &join.right)
        {
            let (index, _) = lookup.key();
            let name = &scan.table.indexes[index].name;
            self.line(depth, &format!("{kind} lookup join{on}"));
            self.node(&join.left, depth + 1)?;
            let conditions = if scan.conjuncts.is_empty() {
                String::new()
            } else {
                format!(", condition: {}", list(&scan.conjuncts, " and "))
            };
            let is_alone = !self.holds_rows && lookup.is_carried();
            let alone = if is_alone { ", index alone" } else { "" };
            let text = format!("Look up {} by {name}{conditions}{alone}", scan.alias);
            self.line(depth + 1, &text);
            return Ok(());
        }
        let width = join.left.width();
        let hashed = join
            .on
            .iter()
            .any(|on| crate::exec::build::equality(on, width, &self.subqueries).is_some());
        let how = if hashed { "hash join" } else { "nested loop join" };
        self.line(depth, &format!("{kind} {how}{on}"));
        self.node(&join.left, depth + 1)?;
        self.node(&join.right, depth + 1)
    }

    /// A query of WITH, where it is read first.
    fn shared_query(&mut self, number: usize, name: &str, depth: usize) -> Result<()> {
        let subquery = self.subqueries[number].clone();
        if matches!(subquery.kind, SubqueryKind::Working) || !self.shared.insert(number) {
            return Ok(());
        }
        for (place, part) in subquery.plans().enumerate() {
            let what = if place == 0 { "run once" } else { "run until it finds no new rows" };
            self.line(depth, &format!("Query {name} ({what})"));
            let mut plans = self.subqueries.clone();
            let inner = crate::planner::optimise(part.clone(), &mut plans, &self.environment.ctx)?;
            let before = std::mem::replace(&mut self.subqueries, plans);
            self.node(&inner, depth + 1)?;
            self.subqueries = before;
        }
        Ok(())
    }

    fn subqueries_of(&mut self, plan: &Plan, depth: usize) -> Result<()> {
        let mut numbers = BTreeSet::new();
        plan.for_each_expr(&mut |expr| numbers.extend(subqueries_of(expr)));
        for number in numbers {
            let subquery = self.subqueries[number].clone();
            let kind = match &subquery.kind {
                SubqueryKind::Function(call) => {
                    self.line(depth, &format!("Function {} (called per row)", call.name()));
                    continue;
                }
                SubqueryKind::Scalar => "value",
                SubqueryKind::Exists => "exists",
                SubqueryKind::Quantified { .. } => "in",
                SubqueryKind::Table(_) | SubqueryKind::Lateral | SubqueryKind::Working => "rows",
            };
            let when = if subquery.is_uncorrelated() { "run once" } else { "run per row" };
            self.line(depth, &format!("Subquery ({kind}, {when})"));
            let mut plans = self.subqueries.clone();
            let ctx = &self.environment.ctx;
            let inner = crate::planner::optimise((*subquery.plan).clone(), &mut plans, ctx)?;
            let before = std::mem::replace(&mut self.subqueries, plans);
            self.node(&inner, depth + 1)?;
            self.subqueries = before;
        }
        Ok(())
    }
}

/// As MySQL shows them; `bytes` is ours.
fn figures_text(figures: &Figures) -> String {
    let millis = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let Figures { loops, rows, bytes, first, last } = *figures;
    let first = millis(first.unwrap_or(last));
    format!(" (actual time={first}..{} rows={rows} loops={loops} bytes={bytes})", millis(last))
}

pub(super) fn list(exprs: &[Expr], separator: &str) -> String {
    exprs.iter().map(Expr::to_string).collect::<Vec<_>>().join(separator)
}

fn scan_text(scan: &Scan, (choice, carried): &(Choice, bool)) -> String {
    let index = |index: usize| scan.table.indexes[index].name.clone();
    let how = match &choice.access {
        Access::Nothing => "No rows of".to_string(),
        Access::Full | Access::Partitions(_) => "Scan".to_string(),
        Access::Rows(rows) => format!("{} rows by key of", rows.len()),
        Access::PrimaryRange(ranges) => format!("{} ranges of the primary key of", ranges.len()),
        Access::Index { index: number, points } => {
            format!("{} points of index {} of", points.len(), index(*number))
        }
        Access::IndexRange { index: number, .. } => format!("Range of index {} of", index(*number)),
    };
    let columns: Vec<&str> =
        scan.columns.iter().map(|&column| scan.table.columns[column].name.as_str()).collect();
    let mut text = format!("{how} {} ({})", scan.alias, columns.join(", "));
    if !scan.conjuncts.is_empty() {
        let _ = write!(text, ", condition: {}", list(&scan.conjuncts, " and "));
    }
    if let Some(partitions) = partitions_of(&scan.table, choice) {
        let _ = write!(text, ", partitions: {partitions}");
    }
    if *carried {
        text.push_str(", index alone");
    }
    if access::is_in_one_shard(&scan.table, choice) {
        text.push_str(", one shard");
    } else if let Some(ranges) = ranges_of(&scan.table, choice) {
        let _ = write!(text, ", {ranges}");
    }
    text
}
