//! EXPLAIN: what the planner decided, in MySQL's columns or as a tree.
//!
//! Subqueries do not run for it, so what depends on their results is shown as it is before they run.
//! `rows` is known for lookups by key; else ANALYZE TABLE's figures tell it, and `filtered` (`estimate`). NULL and 100.00 without them.
//!
//! Where rows are is told beside what MySQL tells: "one shard" of a table of which one shard has all that is read, "local join on
//! …" of a table whose rows are joined within their shards, "2 of 8 ranges" of a table that is sharded by ranges of keys.

mod json;
mod tree;

use super::plan::{Join, JoinKind, Plan, Scan, Subqueries, SubqueryKind, subqueries_of};
use super::{estimate, locality};
use crate::access::{self, Access, Choice};
use crate::binder::BoundQuery;
use crate::catalog::{Sharding, TableDef};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::exec::build::is_sorted;
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
use std::collections::{BTreeMap, BTreeSet};
use tree::{Tree, list};

/// What `Extra` says of a table.
type Extra = Vec<Cow<'static, str>>;

/// EXPLAIN of a query: its columns and rows. `format` is TRADITIONAL (also without a format), TREE, JSON, or TDSQL: that is
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
            let table = Table::of(&plan, subqueries, environment, holds_rows)?;
            let rows = table.entries.iter().map(|entry| entry.row(pushed.as_ref()));
            Ok((columns, rows.collect()))
        }
        "JSON" => {
            let table = Table::of(&plan, subqueries, environment, holds_rows)?;
            Ok(one_text(json::document(&table)))
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
            "EXPLAIN FORMAT={other}; use FORMAT=TRADITIONAL, FORMAT=TREE, FORMAT=JSON or FORMAT=TDSQL"
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
    entries: Vec<Entry>,
    /// The select that a subquery or a further part of a UNION stands in.
    parents: BTreeMap<u64, u64>,
    /// Highest select number so far.
    last_id: u64,
    /// Inside of a LIMIT.
    limited: bool,
    /// Rows are read whatever entries carry.
    holds_rows: bool,
    /// Queries of WITH that have been shown.
    shared: BTreeSet<usize>,
}

/// A table access and the select that it stands in.
struct Entry {
    id: u64,
    select_type: &'static str,
    line: Line,
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
    /// Columns of `key` that bound the walk.
    key_parts: Vec<String>,
    /// Columns that are read.
    columns: Vec<String>,
    /// What rows are compared with.
    condition: Option<String>,
}

impl<'a> Table<'a> {
    fn of(
        plan: &Plan,
        subqueries: Subqueries,
        environment: &'a Environment,
        holds_rows: bool,
    ) -> Result<Table<'a>> {
        let mut table = Table {
            subqueries,
            environment,
            entries: Vec::new(),
            parents: BTreeMap::new(),
            last_id: 1,
            limited: false,
            holds_rows,
            shared: BTreeSet::new(),
        };
        let select_type = if has_subqueries(plan) { "PRIMARY" } else { "SIMPLE" };
        table.select(plan, 1, select_type)?;
        Ok(table)
    }

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
                    self.parents.insert(self.last_id, id);
                    self.select(input, self.last_id, "UNION")?;
                }
            }
            return Ok(());
        }
        let mut extra = Vec::new();
        let first = self.entries.len();
        self.block(plan, id, select_type, &mut extra, &mut numbers)?;
        if self.entries.len() == first {
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
                self.parents.insert(self.last_id, id);
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
        let (read, condition) = read_by(scan);
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
            key_parts: key_parts(&scan.table, index, columns),
            columns: read,
            condition,
        };
        Ok(Some((scan, line)))
    }

    fn push(&mut self, id: u64, select_type: &'static str, line: Line) {
        self.entries.push(Entry { id, select_type, line });
    }
}

impl Entry {
    /// As a row, with the cluster's sets and the statement when they are shown.
    fn row(&self, pushed: Option<&(Sets, &str)>) -> Row {
        let line = &self.line;
        let text = |text: Option<String>| text.map_or(Value::Null, Value::text);
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(","));
        let extra = (!line.extra.is_empty()).then(|| line.extra.join("; "));
        let filtered = match line.table {
            Some(_) => Value::Double(line.filtered.map_or(100.0, |kept| kept * 100.0)),
            None => Value::Null,
        };
        let mut row = vec![
            Value::UInt(self.id),
            Value::text(self.select_type),
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
        if let Some((sets, statement)) = pushed {
            row.push(match &line.slots {
                Some(slots) => {
                    let names = sets::names(&sets.that_meet(slots));
                    Value::text(format!("{names}: {statement}"))
                }
                None => Value::Null,
            });
        }
        row
    }
}

/// The names of the columns that a scan reads, and its condition.
fn read_by(scan: &Scan) -> (Vec<String>, Option<String>) {
    let columns = scan.read_columns();
    let names = columns.iter().map(|&column| scan.table.columns[column].name.clone());
    let condition = (!scan.conjuncts.is_empty()).then(|| list(&scan.conjuncts, " and "));
    (names.collect(), condition)
}

/// The names of the leading columns of an index.
fn key_parts(table: &TableDef, index: usize, columns: usize) -> Vec<String> {
    let parts = table.indexes[index].columns.iter().take(columns);
    parts.map(|part| table.columns[part.column].name.clone()).collect()
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
    let (columns, condition) = read_by(scan);
    let mut line = Line {
        table: table_name,
        partitions,
        possible,
        extra,
        slots,
        columns,
        condition,
        ..Line::default()
    };
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
        line.key_parts = key_parts(table, index, columns);
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
