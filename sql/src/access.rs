//! Access paths: which keys of a table can hold the rows that a condition wants.
//!
//! ```text
//! conjuncts ──terms──> column = values, column in a range ──choose──> Access ──read──> rows
//! ```
//!
//! Of a partitioned table only those partitions are read that can hold such rows (`prune`): each access is that of one physical
//! table, made once for every such partition.
//!
//! Choice by rules, best first: row keys (the primary key and the slot are known), a unique index with
//! all its columns known, the longest run of known leading columns (a range on the next column adds to a run; a tie is
//! won by the primary key, then by an index whose entries carry all that is read, then by one that holds the known columns
//! as a whole), everything.
//!
//! Invariants:
//! 1. An access never leaves out a row that all conjuncts accept; it may bring others, so whoever
//!    reads checks the conjuncts again. `Choice::covered` names the ones that need no second check.
//! 2. Constants are compared with index keys only when the index's order is the comparison's order:
//!    equal domains and equal collations.
//! 3. An index of first characters has bounds only where each character has one weight. Elsewhere equal texts may begin
//!    differently (`ß` is `ss`, `s` is neither): a known value is looked up under every beginning that an equal text can have.
//!
//! Where ANALYZE TABLE has counted the table with all indexes that could be used, the fewest rows by its figures win instead, unless
//! keys or a whole unique index are known. A range counts as a third of what it divides.
//!
//! Not here: how rows are counted (`crate::statistics`).

pub mod hint;
mod prune;
pub mod read;
pub mod term;

use crate::Result;
use crate::broadcast;
use crate::catalog::{IndexDef, TableDef, TableStatistics};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::table_codec;
use crate::value::Value;
use base::key_range::prefix_end;
use base::{KeyRange, Slot, SlotFilter, SlotRange, TableId};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use term::{Range, Terms};

pub use read::{ReadOptions, RowReader, read};

/// Most points of an IN list (or a product of several) that are looked up one by one.
const POINTS_MAX: usize = 4096;
/// What part of rows a range is taken for: one of so many.
const RANGE_PART: u64 = 3;

/// How rows of a table are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// No row can match.
    Nothing,
    /// The rows of these keys, as far as they exist; no key twice.
    Rows(Vec<Bytes>),
    /// Entries of an index that begin with these columns, then their rows.
    Index {
        /// Position of the index in the table.
        index: usize,
        /// Beginnings of entries; none is the beginning of another one.
        points: Vec<IndexPoint>,
    },
    /// A range of an index, then its rows.
    IndexRange {
        /// Position of the index in the table.
        index: usize,
        /// Entries: one range, or one for each partition.
        ranges: Vec<KeyRange>,
    },
    /// Ranges of the primary key that do not overlap; those of one partition in ascending order.
    PrimaryRange(Vec<PlacedRange>),
    /// Every row of a table without partitions.
    Full,
    /// Every row of these partitions.
    Partitions(Vec<TableId>),
}

impl Access {
    /// The same in the copy of a broadcast table that has this slot.
    fn in_copy(&self, slot: Slot) -> Access {
        let moved = |key: &Bytes| broadcast::in_slot(key, slot);
        let point = |point: &IndexPoint| IndexPoint {
            prefix: point.prefix.clone(),
            entry: point.entry.as_ref().map(moved),
            shard: point.shard.as_ref().map(moved),
        };
        let placed = |placed: &PlacedRange| PlacedRange {
            range: placed.range.clone(),
            shard: placed.shard.as_ref().map(moved),
        };
        match self {
            Access::Rows(keys) => Access::Rows(keys.iter().map(moved).collect()),
            Access::Index { index, points } => {
                Access::Index { index: *index, points: points.iter().map(point).collect() }
            }
            Access::PrimaryRange(ranges) => {
                Access::PrimaryRange(ranges.iter().map(placed).collect())
            }
            Access::Nothing | Access::IndexRange { .. } | Access::Full | Access::Partitions(_) => {
                self.clone()
            }
        }
    }
}

/// Index entries with equal leading columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPoint {
    /// How their keys begin.
    pub prefix: Vec<u8>,
    /// The whole key, when there is only one entry and its slot is known.
    pub entry: Option<Bytes>,
    /// A key whose shard holds all of them, when the leading columns decide it.
    pub shard: Option<Bytes>,
}

/// Rows between two bounds of the primary key, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedRange {
    /// Their keys.
    pub range: KeyRange,
    /// A key whose shard holds all of them, when the bounds decide it.
    pub shard: Option<Bytes>,
}

/// An access and what it settles.
#[derive(Clone, Debug)]
pub struct Choice {
    /// How to read.
    pub access: Access,
    /// Positions of conjuncts that every row read this way satisfies.
    pub covered: BTreeSet<usize>,
    /// A key whose shard holds every row that can match.
    pub shard: Option<Bytes>,
    /// Slots that hold every row that can match and that the statement may see; `None` for all.
    pub slots: Option<SlotFilter>,
    /// Columns that have one value in all rows that can match.
    pub fixed: BTreeSet<usize>,
    /// Leading columns of the index that the access knows, for EXPLAIN.
    pub known_columns: usize,
    /// Indexes that could have been used, for EXPLAIN.
    pub possible: Vec<usize>,
    /// Positions of the partitions that can hold such rows; `None` for a table without partitions.
    pub partitions: Option<Vec<usize>>,
    /// Rows that are read, as the table's statistics let expect; `None` without any.
    pub rows: Option<u64>,
}

/// The ids under which rows stand that satisfy all conjuncts: the table's own, or those of partitions.
pub(crate) fn ids(table: &TableDef, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Vec<TableId>> {
    Ok(ids_of(table, plan(table, conjuncts, ctx)?.partitions.as_deref()))
}

/// The access for rows that satisfy all conjuncts. They are conditions over the table's columns.
pub fn choose(table: &TableDef, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Access> {
    Ok(plan(table, conjuncts, ctx)?.access)
}

/// A key whose shard holds every row that satisfies all conjuncts, when the sharding columns are known.
pub fn shard_of(table: &TableDef, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Option<Bytes>> {
    Ok(plan(table, conjuncts, ctx)?.shard)
}

/// The access with everything a planner wants to know about it.
pub fn plan(table: &TableDef, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Choice> {
    plan_of(table, &Terms::of(table, conjuncts, ctx)?, None, ctx)
}

/// The same for a reader of these columns alone: of indexes that are equally good it takes one whose entries carry them.
pub fn plan_for(
    table: &TableDef,
    conjuncts: &[Expr],
    columns: &BTreeSet<usize>,
    ctx: &EvalContext,
) -> Result<Choice> {
    plan_of(table, &Terms::of(table, conjuncts, ctx)?, Some(columns), ctx)
}

/// The access for rows whose column lies in a range.
pub(crate) fn of_range(
    table: &TableDef,
    column: usize,
    range: Range,
    ctx: &EvalContext,
) -> Result<Choice> {
    let ranges = BTreeMap::from([(column, range)]);
    plan_of(table, &Terms { ranges, ..Terms::default() }, None, ctx)
}

fn plan_of(
    table: &TableDef,
    terms: &Terms,
    columns: Option<&BTreeSet<usize>>,
    ctx: &EvalContext,
) -> Result<Choice> {
    let fixed: BTreeSet<usize> = terms
        .points
        .iter()
        .filter(|(_, points)| points.values.len() == 1)
        .map(|(column, _)| *column)
        .collect();
    let partitions = match &table.partitioning {
        Some(partitioning) => Some(prune::partitions(table, partitioning, terms)?),
        None => None,
    };
    let ids = ids_of(table, partitions.as_deref());
    let mut choice = Choice {
        access: match &partitions {
            None => Access::Full,
            Some(_) if ids.is_empty() => Access::Nothing,
            Some(_) => Access::Partitions(ids.clone()),
        },
        covered: BTreeSet::new(),
        shard: shard(table, terms)?,
        slots: slots(table, terms, ctx),
        fixed,
        known_columns: 0,
        possible: Vec::new(),
        rows: None,
        partitions,
    };
    if choice.shard.is_none()
        && let Some([SlotRange { start, end }]) = choice.slots.as_ref().map(SlotFilter::ranges)
        && *end == *start + 1
    {
        // All that can match lies in one slot: a table by ranges of keys.
        choice.shard = Some(table_codec::key_in_slot(table, Slot(*start as u16)));
    }
    if terms.never {
        choice.access = Access::Nothing;
    }
    if choice.access == Access::Nothing {
        return Ok(choice);
    }
    let known = ctx.statistics.get(&table.id);
    let mut candidates: Vec<(Score, Option<u64>, Candidate)> = Vec::new();
    for (position, index) in table.indexes.iter().enumerate() {
        if index.ignored {
            continue;
        }
        let Some(candidate) = candidate(table, &ids, position, terms)? else { continue };
        choice.possible.push(position);
        let carries = columns.is_some_and(|columns| carries(table, &candidate.access, columns));
        let score = candidate.score(index, carries);
        let rows = known.and_then(|known| candidate.rows(index, known));
        candidates.push((score, rows, candidate));
    }
    // Without figures for all of them there is nothing to compare.
    let compares = candidates.iter().all(|(_, rows, _)| rows.is_some());
    let mut best: Option<(Preference, Option<u64>, Candidate)> = None;
    for (score, rows, candidate) in candidates {
        let preference = (score.0, Reverse(rows.filter(|_| compares)), score);
        if best.as_ref().is_none_or(|(before, ..)| preference > *before) {
            best = Some((preference, rows, candidate));
        }
    }
    match best {
        Some((_, rows, candidate)) => {
            choice.rows = rows;
            choice.covered = candidate.covered;
            choice.known_columns = candidate.known_columns;
            choice.access = candidate.access;
        }
        None => choice.rows = known.map(|known| rows_of_partitions(table, ids.len(), known)),
    }
    if let (Access::Rows(keys), Some(slots)) = (&mut choice.access, &choice.slots) {
        // Rows that the statement may not see are not locked either.
        keys.retain(|key| read::is_inside(Some(slots), key));
        if keys.is_empty() {
            choice.access = Access::Nothing;
        }
    }
    Ok(choice)
}

/// The ids of the partitions at these positions; that of the table's rows without partitions.
fn ids_of(table: &TableDef, partitions: Option<&[usize]>) -> Vec<TableId> {
    match (&table.partitioning, partitions) {
        (Some(partitioning), Some(positions)) => {
            positions.iter().map(|position| partitioning.partitions[*position].id).collect()
        }
        _ => vec![table.rows],
    }
}

/// Order of preference; the larger wins, the first index wins a tie.
type Score = (u8, usize, bool, bool, bool, bool);

/// The same where rows are estimated: before the rules below the first one, fewer rows win.
type Preference = (u8, Reverse<Option<u64>>, Score);

/// Rows of so many partitions of a table, as if all had as many.
fn rows_of_partitions(table: &TableDef, partitions: usize, known: &TableStatistics) -> u64 {
    let all = table.partitioning.as_ref().map_or(1, |by| by.partitions.len().max(1));
    known.rows.saturating_mul(partitions as u64).div_ceil(all as u64)
}

/// What one index offers.
struct Candidate {
    access: Access,
    covered: BTreeSet<usize>,
    known_columns: usize,
    /// Runs of known values.
    points: usize,
    has_range: bool,
}

impl Candidate {
    /// Rows that are read; `None` when the index was not counted.
    fn rows(&self, index: &IndexDef, known: &TableStatistics) -> Option<u64> {
        match &self.access {
            Access::Nothing => return Some(0),
            Access::Rows(keys) => return Some(keys.len() as u64),
            _ => {}
        }
        let per_point = match self.known_columns {
            0 => known.rows,
            columns => known.rows.div_ceil(known.distinct(index, columns)?.max(1)),
        };
        let rows = per_point.saturating_mul(self.points as u64).min(known.rows);
        let part = if self.has_range { RANGE_PART } else { 1 };
        Some(rows.div_ceil(part).max(1))
    }

    fn score(&self, index: &IndexDef, carries: bool) -> Score {
        let whole = index.unique && self.known_columns == index.columns.len();
        let rank = match &self.access {
            Access::Rows(_) => 4,
            Access::Index { points, .. } if points.iter().all(|point| point.entry.is_some()) => 3,
            _ if whole && !self.has_range => 2,
            _ => 1,
        };
        let known = &index.columns[..self.known_columns];
        let is_whole = known.iter().all(|part| part.prefix.is_none());
        // The rows of a primary key have all columns.
        let carries = carries || index.primary;
        (rank, self.known_columns, self.has_range, carries, is_whole, index.primary)
    }
}

fn candidate(
    table: &TableDef,
    ids: &[TableId],
    position: usize,
    terms: &Terms,
) -> Result<Option<Candidate>> {
    let index = &table.indexes[position];
    let mut combinations: Vec<Vec<Value>> = vec![Vec::new()];
    let mut covered = BTreeSet::new();
    let mut known_columns = 0;
    for part in &index.columns {
        let Some(points) = terms.points.get(&part.column) else { break };
        let ty = &table.columns[part.column].ty;
        let looked_up = match part.prefix {
            None => points.values.len(),
            prefix => {
                let parts = |value| table_codec::equal_parts(value, ty, prefix).len();
                points.values.iter().map(parts).sum()
            }
        };
        if combinations.len() * looked_up > POINTS_MAX {
            break;
        }
        combinations = combinations
            .iter()
            .flat_map(|known| {
                points.values.iter().map(move |value| {
                    let mut longer = known.clone();
                    longer.push(value.clone());
                    longer
                })
            })
            .collect();
        known_columns += 1;
        if part.prefix.is_some() {
            // More rows than wanted share this beginning, and what follows is not ordered by them.
            break;
        }
        covered.extend(&points.conjuncts);
    }
    let next = index.columns.get(known_columns);
    let range = next.and_then(|part| {
        let ordered = table_codec::keeps_order(&table.columns[part.column].ty, part.prefix);
        terms.ranges.get(&part.column).filter(|range| ordered || range.start.is_some())
    });
    if known_columns == 0 && range.is_none() {
        return Ok(None);
    }
    if let (Some(range), Some(part), [known]) = (range, next, combinations.as_slice())
        && index.columns[..known_columns].iter().all(|part| part.prefix.is_none())
    {
        if part.prefix.is_none() {
            covered.extend(&range.conjuncts);
        }
        let truncated = part.prefix.is_some();
        let of = |id: &TableId| range.key_range(table, *id, index, known, truncated);
        let mut ranges = ids.iter().map(of).collect::<Result<Vec<KeyRange>>>()?;
        ranges.retain(|range| !range.is_empty());
        let access = match (ranges.is_empty(), index.primary) {
            (true, _) => Access::Nothing,
            (false, true) => {
                let shard = shard_of_leading(table, index, known)?;
                let placed = |range: KeyRange| PlacedRange { range, shard: shard.clone() };
                Access::PrimaryRange(ranges.into_iter().map(placed).collect())
            }
            (false, false) => Access::IndexRange { index: position, ranges },
        };
        return Ok(Some(Candidate { access, covered, known_columns, points: 1, has_range: true }));
    }
    let access = points(table, ids, position, &combinations)?;
    let points = combinations.len();
    Ok(Some(Candidate { access, covered, known_columns, points, has_range: false }))
}

fn points(
    table: &TableDef,
    ids: &[TableId],
    position: usize,
    combinations: &[Vec<Value>],
) -> Result<Access> {
    let index = &table.indexes[position];
    if index.primary {
        let keys = combinations
            .iter()
            .map(|values| table_codec::row_key_of_primary(table, values))
            .collect::<Result<Option<BTreeSet<Bytes>>>>()?;
        if let Some(keys) = keys {
            return Ok(Access::Rows(keys.into_iter().collect()));
        }
    }
    let mut found: BTreeMap<Vec<u8>, IndexPoint> = BTreeMap::new();
    for values in combinations {
        for point in index_points(table, ids, index, values)? {
            found.insert(point.prefix.clone(), point);
        }
    }
    Ok(if index.primary {
        Access::PrimaryRange(found.into_values().map(PlacedRange::from).collect())
    } else {
        Access::Index { index: position, points: found.into_values().collect() }
    })
}

/// Entries of an index that begin with these values: one point where the whole key is known, else one for each of these ids,
/// or several where equal values may begin differently.
pub(crate) fn index_points(
    table: &TableDef,
    ids: &[TableId],
    index: &IndexDef,
    values: &[Value],
) -> Result<Vec<IndexPoint>> {
    let shard = shard_of_leading(table, index, values)?;
    if let Some(entry) = table_codec::unique_entry_key(table, index, values)? {
        let id = engine::key::table_of_key(&entry)?;
        let prefix = table_codec::key_prefix(table, id, index, values)?;
        return Ok(vec![IndexPoint { prefix, entry: Some(entry), shard }]);
    }
    let mut points = Vec::with_capacity(ids.len());
    for id in ids {
        for prefix in table_codec::key_prefixes(table, *id, index, values)? {
            points.push(IndexPoint { prefix, entry: None, shard: shard.clone() });
        }
    }
    Ok(points)
}

impl From<IndexPoint> for PlacedRange {
    fn from(point: IndexPoint) -> PlacedRange {
        PlacedRange { range: KeyRange::prefix(point.prefix), shard: point.shard }
    }
}

impl From<KeyRange> for PlacedRange {
    /// Wherever its rows are.
    fn from(range: KeyRange) -> PlacedRange {
        PlacedRange { range, shard: None }
    }
}

/// A key whose shard holds all entries of an index with these leading values, of whatever partition. `None` when the values do
/// not decide it.
fn shard_of_leading(table: &TableDef, index: &IndexDef, values: &[Value]) -> Result<Option<Bytes>> {
    if index.global {
        // Its entries are not where their rows are.
        return Ok(None);
    }
    let mut sharding = Vec::new();
    for column in table.sharding_columns() {
        let mut known = index.columns.iter().zip(values);
        match known.find(|(part, _)| part.column == *column && part.prefix.is_none()) {
            Some((_, value)) => sharding.push(value.clone()),
            None => return Ok(None),
        }
    }
    let slot = table_codec::slot_of_sharding(table, &sharding)?;
    Ok(Some(table_codec::key_in_slot(table, slot)))
}

fn shard(table: &TableDef, terms: &Terms) -> Result<Option<Bytes>> {
    let mut values = Vec::new();
    for column in table.sharding_columns() {
        match terms.points.get(column).map(|points| points.values.as_slice()) {
            Some([value]) => values.push(value.clone()),
            _ => return Ok(None),
        }
    }
    let slot = table_codec::slot_of_sharding(table, &values)?;
    Ok(Some(table_codec::key_in_slot(table, slot)))
}

/// The slots that a statement's sets leave to it and, of a table by RANGE or LIST or by ranges of keys, those that have rows as
/// the terms want them; of a table with a placement policy those of its set.
fn slots(table: &TableDef, terms: &Terms, ctx: &EvalContext) -> Option<SlotFilter> {
    if broadcast::is_broadcast(table) {
        // It is whole in every set; `read` says which copy is looked at.
        return None;
    }
    let own = table.sharding.distribution().and_then(|by| {
        let ty = &table.columns[by.column].ty;
        if let Some(points) = terms.points.get(&by.column) {
            return Some(SlotFilter::new(by.slots_of_values(&points.values, ty)));
        }
        let bounds = terms.ranges.get(&by.column).filter(|range| range.is_bounded());
        let Some(range) = bounds else {
            // A table with a placement policy lies in one set, whatever is asked.
            let all =
                || SlotFilter::new(by.items.iter().map(|item| item.slots).collect::<Vec<_>>());
            return (!table.placement.is_empty()).then(all);
        };
        let (lower, upper) = (range.lower.as_ref(), range.upper.as_ref());
        let between = by.slots_between(lower.map(|(v, _)| v), upper.map(|(v, _)| v), ty);
        Some(SlotFilter::new(between))
    });
    match (own, &ctx.slots) {
        (Some(own), Some(sets)) => Some(own.within(sets)),
        (own, sets) => own.or_else(|| sets.clone()),
    }
}

/// Whether the entries that an access walks carry all these columns, so that nobody looks up their rows. What is no column of
/// the table is passed over: it stands for the result of a subquery.
pub fn carries(table: &TableDef, access: &Access, columns: &BTreeSet<usize>) -> bool {
    match access {
        Access::Index { index, .. } | Access::IndexRange { index, .. } => {
            index_carries(table, *index, columns)
        }
        Access::Nothing
        | Access::Rows(_)
        | Access::PrimaryRange(_)
        | Access::Full
        | Access::Partitions(_) => false,
    }
}

/// The same of the index at this position.
pub fn index_carries(table: &TableDef, index: usize, columns: &BTreeSet<usize>) -> bool {
    let carried = table.carried_columns(&table.indexes[index]);
    let mut own = columns.range(..table.columns.len());
    !carried.is_empty() && own.all(|column| carried.contains(column))
}

/// Whether an access of these rows reads one shard only: it holds all of them, and the entries that lead to them.
pub fn is_in_one_shard(table: &TableDef, choice: &Choice) -> bool {
    let leads_elsewhere = match &choice.access {
        Access::Index { index, .. } | Access::IndexRange { index, .. } => {
            table.indexes[*index].global
        }
        Access::Nothing
        | Access::Rows(_)
        | Access::PrimaryRange(_)
        | Access::Full
        | Access::Partitions(_) => false,
    };
    choice.shard.is_some() && !leads_elsewhere
}

/// A walk over all entries of an index of a table without partitions.
pub fn whole_index(table: &TableDef, index: usize) -> Result<Access> {
    let prefix = table_codec::key_prefix(table, table.rows, &table.indexes[index], &[])?;
    Ok(if table.indexes[index].primary {
        Access::Full
    } else {
        Access::IndexRange { index, ranges: vec![KeyRange::prefix(prefix)] }
    })
}

/// Whether an ordered walk of this access gives rows in the order of these columns (position,
/// descending); `fixed` columns have one value. Answers whether the walk must be descending.
pub fn walk_order(
    table: &TableDef,
    access: &Access,
    fixed: &BTreeSet<usize>,
    keys: &[(usize, bool)],
) -> Option<bool> {
    let index = match access {
        Access::Nothing => return Some(false),
        Access::Rows(rows) if rows.len() <= 1 => return Some(false),
        Access::Rows(_) => return None,
        Access::Full => table.primary(),
        Access::PrimaryRange(ranges) if ranges.len() == 1 => table.primary(),
        Access::Index { index, points } if points.len() == 1 => &table.indexes[*index],
        Access::IndexRange { index, ranges } if ranges.len() == 1 => &table.indexes[*index],
        Access::Partitions(ids) if ids.len() == 1 => table.primary(),
        // Several partitions are read one after the other.
        Access::PrimaryRange(_)
        | Access::Index { .. }
        | Access::IndexRange { .. }
        | Access::Partitions(_) => return None,
    };
    let mut walk =
        index.columns.iter().map(|part| (part.column, part.prefix.is_some())).collect::<Vec<_>>();
    if !index.primary && !index.unique {
        walk.extend(table.primary().columns.iter().map(|part| (part.column, false)));
    }
    let mut walk = walk.into_iter().peekable();
    let mut reverse = None;
    for (column, descending) in keys {
        if fixed.contains(column) {
            continue;
        }
        while walk.next_if(|(walked, _)| walked != column && fixed.contains(walked)).is_some() {}
        match walk.next() {
            Some((walked, false)) if walked == *column => {}
            _ => return None,
        }
        if reverse.is_some_and(|reverse| reverse != *descending) {
            return None;
        }
        reverse = Some(*descending);
    }
    Some(reverse.unwrap_or(false))
}

/// The end of the keys that begin with a prefix.
pub(crate) fn after(prefix: &[u8]) -> Bytes {
    prefix_end(prefix)
}
