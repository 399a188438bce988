//! EXPLAIN: what the planner decided, in MySQL's columns or as a tree.
//!
//! Subqueries do not run for it, so what depends on their results is shown as it is before they run.
//! `rows` is known for lookups by key; else ANALYZE TABLE's figures tell it, and `filtered` (`estimate`). NULL and 100.00 without them.
//!
//! Where rows are is told beside what MySQL tells: "one shard" of a table of which one shard has all that is read, "local join on
//! …" of a table whose rows are joined within their shards, "2 of 8 ranges" of a table that is sharded by ranges of keys.

use super::plan::{Join, JoinKind, Plan, Scan, Subqueries, SubqueryKind, subqueries_of};
use super::{estimate, locality};
use crate::access::{self, Access, Choice};
use crate::binder::BoundQuery;
use crate::catalog::{Sharding, TableDef};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::exec::build::is_sorted;
use crate::exec::measure::{Figures, Meter};
use crate::exec::{self, Environment, lookup, subquery};
use crate::expr::Expr;
use crate::session::ColumnMeta;
use crate::sets::{self, Sets};
use crate::types::{SqlType, TypeKind};
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::{Slot, SlotFilter, SlotRange};
use engine::key::slot_of_key;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// What `Extra` says of a table.
type Extra = Vec<Cow<'static, str>>;

/// EXPLAIN of a query: its columns and rows. `format` is TRADITIONAL (also without a format), TREE, or TDSQL: that is
/// TRADITIONAL and a column more, with the sets that a table is read from and the statement, `statement`. `holds_rows`: it
/// changes or locks the rows that it finds, so that no index alone is enough.
pub async fn explain(
    bound: &BoundQuery,
    format: Option<&str>,
    statement: &str,
    holds_rows: bool,
    environment: &Environment,
) -> Result<(Vec<ColumnMeta>, Vec<Row>)> {
    let mut subqueries = bound.subqueries.clone();
    let plan = super::optimise(bound.plan.clone(), &mut subqueries, &environment.ctx)?;
    match format.unwrap_or("TRADITIONAL") {
        format @ ("TRADITIONAL" | "TDSQL") => {
            let sets = match format {
                "TDSQL" => Some(Sets::of_context(&environment.ctx)?),
                _ => None,
            };
            let mut columns = table_columns();
            if sets.is_some() {
                let text = SqlType::varchar(65_535 / 4, CollationId::DEFAULT);
                columns.push(ColumnMeta::computed("info", text));
            }
            let pushed = sets.map(|sets| (sets, statement));
            let mut table = Table {
                subqueries,
                environment,
                pushed,
                rows: Vec::new(),
                last_id: 1,
                limited: false,
                holds_rows,
                shared: BTreeSet::new(),
            };
            let select_type = if has_subqueries(&plan) { "PRIMARY" } else { "SIMPLE" };
            table.select(&plan, 1, select_type)?;
            Ok((columns, table.rows))
        }
        "TREE" => {
            let text = String::new();
            let shared = BTreeSet::new();
            let meter = None;
            let mut tree =
                Tree { subqueries, environment, text, limited: false, holds_rows, shared, meter };
            tree.node(&plan, 0)?;
            Ok(one_text(tree.text))
        }
        other => Err(Error::not_supported(format!(
            "EXPLAIN FORMAT={other}; use FORMAT=TRADITIONAL, FORMAT=TREE or FORMAT=TDSQL"
        ))),
    }
}

/// EXPLAIN ANALYZE of a query: runs it, forgets its rows, and shows the tree with what each operator did.
pub async fn explain_analyze(
    bound: &BoundQuery,
    environment: &Environment,
) -> Result<(Vec<ColumnMeta>, Vec<Row>)> {
    let mut subqueries = bound.subqueries.clone();
    let plan = subquery::resolve(bound.plan.clone(), &mut subqueries, environment).await?;
    let plan = super::optimise(plan, &mut subqueries, &environment.ctx)?;
    let meter = exec::measure_plan(&plan, &subqueries, environment).await?;
    let mut tree = Tree {
        subqueries,
        environment,
        text: String::new(),
        limited: false,
        holds_rows: false,
        shared: BTreeSet::new(),
        meter: Some(meter),
    };
    tree.node(&plan, 0)?;
    Ok(one_text(tree.text))
}

/// A result of one text.
fn one_text(text: String) -> (Vec<ColumnMeta>, Vec<Row>) {
    let ty = SqlType::longtext(CollationId::DEFAULT);
    (vec![ColumnMeta::computed("EXPLAIN", ty)], vec![vec![Value::text(text)]])
}

fn table_columns() -> Vec<ColumnMeta> {
    let text = |length| SqlType::varchar(length, CollationId::DEFAULT);
    [
        ("id", SqlType::bigint().unsigned()),
        ("select_type", text(19)),
        ("table", text(64)),
        ("partitions", text(1024)),
        ("type", text(10)),
        ("possible_keys", text(4096)),
        ("key", text(64)),
        ("key_len", text(393)),
        ("ref", text(1024)),
        ("rows", SqlType::bigint().unsigned()),
        ("filtered", SqlType::double_fixed(2)),
        ("Extra", text(255)),
    ]
    .into_iter()
    .map(|(name, ty)| ColumnMeta::computed(name, ty))
    .collect()
}

fn has_subqueries(plan: &Plan) -> bool {
    let mut found = false;
    plan.for_each_expr(&mut |expr| found |= !subqueries_of(expr).is_empty());
    found || matches!(plan, Plan::Shared { .. }) || plan.inputs().into_iter().any(has_subqueries)
}

/// MySQL's table of table accesses.
struct Table<'a> {
    subqueries: Subqueries,
    environment: &'a Environment,
    /// The cluster's sets and the statement, when they are shown.
    pushed: Option<(Sets, &'a str)>,
    rows: Vec<Row>,
    /// Highest select number so far.
    last_id: u64,
    /// Inside of a LIMIT.
    limited: bool,
    /// Rows are read whatever entries carry.
    holds_rows: bool,
    /// Queries of WITH that have been shown.
    shared: BTreeSet<usize>,
}

/// What one table access looks like.
#[derive(Default)]
struct Line {
    table: Option<String>,
    partitions: Option<String>,
    access: Option<&'static str>,
    possible: Vec<String>,
    key: Option<String>,
    key_bytes: Option<usize>,
    reference: Option<String>,
    rows: Option<u64>,
    /// Which part of these rows is expected to be kept; all of them without statistics.
    filtered: Option<f64>,
    extra: Extra,
    /// Slots that it is read from, of a stored table.
    slots: Option<Vec<SlotRange>>,
}

impl Table<'_> {
    /// One query block: its tables in the order in which they are read, then its subqueries.
    fn select(&mut self, plan: &Plan, id: u64, select_type: &'static str) -> Result<()> {
        let mut numbers = BTreeSet::new();
        if let Some(inputs) = union_inputs(plan) {
            for (i, input) in inputs.iter().enumerate() {
                if i == 0 {
                    let first = if select_type == "SIMPLE" { "PRIMARY" } else { select_type };
                    self.select(input, id, first)?;
                } else {
                    self.last_id += 1;
                    self.select(input, self.last_id, "UNION")?;
                }
            }
            return Ok(());
        }
        let mut extra = Vec::new();
        let first = self.rows.len();
        self.block(plan, id, select_type, &mut extra, &mut numbers)?;
        if self.rows.len() == first {
            let line = Line { extra: vec!["No tables used".into()], ..Line::default() };
            self.push(id, select_type, line);
        }
        for number in numbers {
            let subquery = self.subqueries[number].clone();
            let kind = match subquery.kind {
                SubqueryKind::Working | SubqueryKind::Function(_) => continue,
                SubqueryKind::Table(_) if !self.shared.insert(number) => continue,
                SubqueryKind::Table(_) => "DERIVED",
                SubqueryKind::Lateral if subquery.is_uncorrelated() => "DERIVED",
                SubqueryKind::Lateral => "DEPENDENT DERIVED",
                _ if subquery.is_uncorrelated() => "SUBQUERY",
                _ => "DEPENDENT SUBQUERY",
            };
            for (place, part) in subquery.plans().enumerate() {
                self.last_id += 1;
                let mut plans = self.subqueries.clone();
                let ctx = &self.environment.ctx;
                let inner = super::optimise(part.clone(), &mut plans, ctx)?;
                let before = std::mem::replace(&mut self.subqueries, plans);
                let kind = if place == 0 { kind } else { "UNION" };
                self.select(&inner, self.last_id, kind)?;
                self.subqueries = before;
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        plan: &Plan,
        id: u64,
        select_type: &'static str,
        extra: &mut Extra,
        numbers: &mut BTreeSet<usize>,
    ) -> Result<()> {
        plan.for_each_expr(&mut |expr| numbers.extend(subqueries_of(expr)));
        match plan {
            Plan::OneRow => {}
            Plan::Rows { name, .. } => {
                let line = Line {
                    table: Some(name.clone()),
                    access: Some("ALL"),
                    extra: std::mem::take(extra),
                    ..Line::default()
                };
                self.push(id, select_type, line);
            }
            Plan::Shared { number, name, .. } => {
                numbers.insert(*number);
                let line = Line {
                    table: Some(name.clone()),
                    access: Some("ALL"),
                    extra: std::mem::take(extra),
                    ..Line::default()
                };
                self.push(id, select_type, line);
            }
            Plan::Scan(scan) => {
                let chosen = chosen(scan, self.holds_rows, &self.environment.ctx)?;
                let mut line = scan_line(scan, std::mem::take(extra), &chosen);
                let known = known_conjuncts(scan);
                let ctx = &self.environment.ctx;
                line.filtered = estimate::kept(&scan.table, &known, &chosen.0, ctx);
                self.push(id, select_type, line);
            }
            Plan::Join(join) => {
                self.block(&join.left, id, select_type, extra, numbers)?;
                let mut own = Extra::new();
                let local = locality::local_join(join, &self.subqueries, self.environment)?;
                let local: Option<Cow<'static, str>> = local.map(Cow::from);
                match join.kind {
                    JoinKind::Inner | JoinKind::Left => {}
                    JoinKind::Semi => own.push("FirstMatch".into()),
                    JoinKind::Anti => own.push("Not exists".into()),
                }
                if let Some((scan, mut line)) = self.lookup_line(join)? {
                    line.extra.append(&mut own);
                    scan.conjuncts.iter().for_each(|expr| numbers.extend(subqueries_of(expr)));
                    line.extra.extend(local);
                    self.push(id, select_type, line);
                } else {
                    own.push("Using join buffer (hash join)".into());
                    own.extend(local);
                    self.block(&join.right, id, select_type, &mut own, numbers)?;
                }
            }
            Plan::Lateral(lateral) => {
                self.block(&lateral.input, id, select_type, extra, numbers)?;
                let table = Some(lateral.name.clone());
                let line = Line { table, access: Some("ALL"), ..Line::default() };
                self.push(id, select_type, line);
            }
            Plan::Filter { input, .. } => {
                add(extra, "Using where");
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Sort { input, keys } => {
                let ctx = &self.environment.ctx;
                if !is_sorted(input, keys, self.limited, &known_conjuncts, ctx)? {
                    add(extra, "Using filesort");
                }
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Aggregate { input, keys, .. } => {
                if !keys.is_empty() {
                    add(extra, "Using temporary");
                }
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Distinct { input } => {
                add(extra, "Using temporary");
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Window { input, .. } => {
                add(extra, "Using temporary");
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Limit { input, .. } => {
                self.limited = true;
                self.block(input, id, select_type, extra, numbers)?;
                self.limited = false;
            }
            Plan::Project { input, .. } => {
                self.block(input, id, select_type, extra, numbers)?;
            }
            Plan::Union { inputs, .. } => {
                for input in inputs {
                    self.block(input, id, select_type, extra, numbers)?;
                }
            }
        }
        Ok(())
    }

    fn lookup_line<'p>(&self, join: &'p Join) -> Result<Option<(&'p Scan, Line)>> {
        let Plan::Scan(scan) = &join.right else { return Ok(None) };
        let Some(lookup) = lookup::plan(join, &self.subqueries, self.environment)? else {
            return Ok(None);
        };
        let (index, columns) = lookup.key();
        let definition = &scan.table.indexes[index];
        let whole = definition.unique && columns == definition.columns.len();
        let mut extra = Extra::new();
        if !scan.conjuncts.is_empty() {
            extra.push("Using where".into());
        }
        if !self.holds_rows && lookup.is_carried() {
            extra.push("Using index".into());
        }
        let line = Line {
            table: Some(scan.alias.clone()),
            partitions: lookup.partitions().map(|names| names.join(",")),
            access: Some(if whole { "eq_ref" } else { "ref" }),
            possible: vec![definition.name.clone()],
            key: Some(definition.name.clone()),
            key_bytes: Some(key_bytes(&scan.table, index, columns)),
            reference: Some(vec!["func"; columns].join(",")),
            rows: match whole {
                true => Some(1),
                false => estimate::per_key(&scan.table, definition, columns, &self.environment.ctx),
            },
            filtered: None,
            extra,
            slots: Some(table_slots(&scan.table)),
        };
        Ok(Some((scan, line)))
    }

    fn push(&mut self, id: u64, select_type: &str, line: Line) {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::text);
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        let extra = (!line.extra.is_empty()).then(|| line.extra.join("; "));
        let filtered = match line.table {
            Some(_) => Value::Double(line.filtered.map_or(100.0, |kept| kept * 100.0)),
            None => Value::Null,
        };
        let mut row = vec![
            Value::UInt(id),
            Value::text(select_type),
            text(line.table.clone()),
            text(line.partitions.clone()),
            line.access.map_or(Value::Null, Value::text),
            text(list(&line.possible)),
            text(line.key.clone()),
            text(line.key_bytes.map(|bytes| bytes.to_string())),
            text(line.reference.clone()),
            line.rows.map_or(Value::Null, Value::UInt),
            filtered,
            text(extra),
        ];
        if let Some((sets, statement)) = &self.pushed {
            row.push(match &line.slots {
                Some(slots) => {
                    let names = sets::names(&sets.that_meet(slots));
                    Value::text(format!("{names}: {statement}"))
                }
                None => Value::Null,
            });
        }
        self.rows.push(row);
    }
}

/// The slots that a table has rows in.
fn table_slots(table: &TableDef) -> Vec<SlotRange> {
    match table.sharding.distribution() {
        Some(by) => by.items.iter().map(|item| item.slots).collect(),
        None => vec![SlotRange::ALL],
    }
}

/// The slots that an access reads rows from.
fn access_slots(table: &TableDef, choice: &Choice) -> Vec<SlotRange> {
    let of_key = |key: &[u8]| slot_of_key(key).ok();
    let slots: Option<Vec<Slot>> = match (&choice.access, &choice.shard) {
        (Access::Rows(keys), _) => keys.iter().map(|key| of_key(key)).collect(),
        (_, Some(key)) => of_key(key).map(|slot| vec![slot]),
        (_, None) => None,
    };
    let one = |slot: Slot| SlotRange { start: u32::from(slot.0), end: u32::from(slot.0) + 1 };
    match (slots, &choice.slots) {
        (Some(slots), _) => slots.into_iter().map(one).collect(),
        (None, Some(filter)) => filter.ranges().to_vec(),
        (None, None) => table_slots(table),
    }
}

fn union_inputs(plan: &Plan) -> Option<&[Plan]> {
    match plan {
        Plan::Union { inputs, .. } => Some(inputs),
        Plan::Distinct { input }
        | Plan::Sort { input, .. }
        | Plan::Limit { input, .. }
        | Plan::Project { input, .. } => union_inputs(input),
        _ => None,
    }
}

fn add(extra: &mut Extra, what: &'static str) {
    if !extra.iter().any(|known| known == what) {
        extra.push(what.into());
    }
}

/// The conjuncts whose constants are known before anything has run.
fn known_conjuncts(scan: &Scan) -> Vec<Expr> {
    let known = scan.conjuncts.iter().filter(|conjunct| {
        let mut columns = BTreeSet::new();
        conjunct.columns(&mut columns);
        columns.range(super::plan::SUBQUERY..).next().is_none()
    });
    known.cloned().collect()
}

/// The access of a scan, and whether entries carry all that it reads.
fn chosen(scan: &Scan, holds_rows: bool, ctx: &EvalContext) -> Result<(Choice, bool)> {
    let known = known_conjuncts(scan);
    if holds_rows {
        return Ok((access::plan(&scan.table, &known, ctx)?, false));
    }
    let columns = scan.read_columns();
    let choice = access::plan_for(&scan.table, &known, &columns, ctx)?;
    let carried = access::carries(&scan.table, &choice.access, &columns);
    Ok((choice, carried))
}

fn scan_line(scan: &Scan, mut extra: Extra, (choice, carried): &(Choice, bool)) -> Line {
    let table = &scan.table;
    if choice.covered.len() < scan.conjuncts.len()
        && !extra.iter().any(|known| known == "Using where")
    {
        extra.insert(0, "Using where".into());
    }
    if *carried {
        let before = extra.iter().take_while(|known| *known == "Using where").count();
        extra.insert(before, "Using index".into());
    }
    if access::is_in_one_shard(table, choice) {
        extra.push("one shard".into());
    } else if let Some(ranges) = ranges_of(table, choice) {
        extra.push(ranges.into());
    }
    let name = |index: usize| table.indexes[index].name.clone();
    let possible = choice.possible.iter().map(|&index| name(index)).collect();
    let slots = Some(access_slots(table, choice));
    let table_name = Some(scan.alias.clone());
    let partitions = partitions_of(table, choice);
    let mut line =
        Line { table: table_name, partitions, possible, extra, slots, ..Line::default() };
    // A partitioned table has one point or range for each of its partitions.
    let copies = choice.partitions.as_ref().map_or(1, |partitions| partitions.len().max(1));
    match &choice.access {
        Access::Nothing => {
            return Line { extra: vec!["Impossible WHERE".into()], ..Line::default() };
        }
        Access::Full | Access::Partitions(_) => line.access = Some("ALL"),
        Access::Rows(rows) => {
            line.access = Some(if rows.len() == 1 { "const" } else { "range" });
            line.rows = Some(rows.len() as u64);
        }
        Access::Index { index, points } => {
            let definition = &table.indexes[*index];
            let whole = definition.unique && choice.known_columns == definition.columns.len();
            let copied = points.iter().filter(|point| point.entry.is_none()).count();
            let points = points.len() - copied + copied / copies;
            line.access = Some(match (points, whole) {
                (1, true) => "const",
                (1, false) => "ref",
                _ => "range",
            });
            line.rows = whole.then_some(points as u64);
        }
        Access::IndexRange { .. } => line.access = Some("range"),
        Access::PrimaryRange(ranges) => {
            let point = ranges.len() <= copies && choice.known_columns > 0;
            line.access = Some(if point { "ref" } else { "range" });
        }
    }
    line.rows = line.rows.or(choice.rows);
    if let Some((index, columns)) = used_key(choice) {
        line.key = Some(name(index));
        line.key_bytes = Some(key_bytes(table, index, columns));
        if matches!(line.access, Some("const" | "ref")) {
            line.reference = Some(vec!["const"; choice.known_columns].join(","));
        }
    }
    line
}

/// How many of its ranges are read, of a table that is sharded by ranges of keys.
fn ranges_of(table: &TableDef, choice: &Choice) -> Option<String> {
    let Sharding::Keys(by) = &table.sharding else { return None };
    let slots = SlotFilter::new(access_slots(table, choice));
    let read = by.items.iter().filter(|item| slots.meets(item.slots)).count();
    Some(format!("{read} of {} ranges", by.items.len()))
}

/// The names of the partitions that are read; `None` for a table without any.
fn partitions_of(table: &TableDef, choice: &Choice) -> Option<String> {
    let partitioning = table.partitioning.as_ref()?;
    let positions = choice.partitions.iter().flatten();
    let names = positions.map(|position| partitioning.partitions[*position].name.as_str());
    Some(names.collect::<Vec<_>>().join(","))
}

/// The index that an access walks, and how many of its columns bound the walk.
fn used_key(choice: &Choice) -> Option<(usize, usize)> {
    Some(match &choice.access {
        Access::Nothing | Access::Full | Access::Partitions(_) => return None,
        Access::Rows(_) => (0, choice.known_columns),
        Access::PrimaryRange(_) => (0, choice.known_columns.max(1)),
        Access::Index { index, .. } => (*index, choice.known_columns),
        Access::IndexRange { index, .. } => (*index, choice.known_columns + 1),
    })
}

/// Bytes of the leading columns of a key, as MySQL counts them.
fn key_bytes(table: &TableDef, index: usize, columns: usize) -> usize {
    let parts = table.indexes[index].columns.iter().take(columns);
    parts
        .map(|part| {
            let ty = &table.columns[part.column].ty;
            let length = part.prefix.unwrap_or(ty.length) as usize;
            let bytes = match ty.kind {
                TypeKind::Null => 0,
                TypeKind::TinyInt | TypeKind::Year => 1,
                TypeKind::Enum => {
                    1 + usize::from(ty.members.is_some_and(|m| m.names().len() > 255))
                }
                TypeKind::Set => match ty.members.map_or(0, |m| m.names().len()).div_ceil(8) {
                    5.. => 8,
                    bytes => bytes,
                },
                TypeKind::Bit => length.div_ceil(8),
                TypeKind::SmallInt => 2,
                TypeKind::MediumInt | TypeKind::Date => 3,
                TypeKind::Int | TypeKind::Float => 4,
                TypeKind::BigInt | TypeKind::Double => 8,
                TypeKind::Decimal => (length + 2) / 9 * 4 + 1,
                TypeKind::Time => 3 + usize::from(ty.decimals).div_ceil(2),
                TypeKind::DateTime => 5 + usize::from(ty.decimals).div_ceil(2),
                TypeKind::Timestamp => 4 + usize::from(ty.decimals).div_ceil(2),
                TypeKind::Char => length * ty.collation.bytes_per_char() as usize,
                _ => length * ty.collation.bytes_per_char() as usize + 2,
            };
            bytes + usize::from(ty.nullable)
        })
        .sum()
}

/// The plan as an indented text.
struct Tree<'a> {
    subqueries: Subqueries,
    environment: &'a Environment,
    text: String,
    /// Right below a LIMIT.
    limited: bool,
    /// Rows are read whatever entries carry.
    holds_rows: bool,
    /// Queries of WITH that have been shown.
    shared: BTreeSet<usize>,
    /// What the operators did, of a plan that has run.
    meter: Option<Meter>,
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

    fn node(&mut self, plan: &Plan, depth: usize) -> Result<()> {
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
            let inner = super::optimise(part.clone(), &mut plans, &self.environment.ctx)?;
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
            let inner = super::optimise((*subquery.plan).clone(), &mut plans, ctx)?;
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

fn list(exprs: &[Expr], separator: &str) -> String {
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
