//! Which joins stay within shards.
//!
//! ```text
//! person  shardkey=person_id ─┐  equal values ─> equal bytes ─> one slot ─> one shard
//! offence shardkey=person_id ─┘  ON offence.person_id = person.person_id: partners are in one shard
//! ```
//!
//! Two tables are *co-located* when their sharding keys have as many columns, in pairs of types whose equal values have equal key
//! bytes, and their hash chooses among the same slots: all of them, or those of one set, as in tables under one placement policy.
//! A join of them is *local* when it equates the keys column by column. It is then computed shard by shard, or by
//! look-ups that ask the one shard of each row. Partitions play no part: a row's slot does not depend on its partition.
//!
//! A broadcast table is wherever it is read, so a join of one with anything is local, too: nothing goes to where its rows are. Inside
//! of a join that is computed shard by shard it is read once for each shard.
//!
//! Invariants:
//! 1. No row that a local join pairs has its partner in another slot: types and collations that would allow it are not alike here.
//! 2. A row whose sharding key has a NULL has no partner, wherever it is.
//!
//! Not here: how such a join is run (`exec::local`, `exec::lookup`).

use super::plan::{Join, JoinKind, Plan, SUBQUERY, Scan, Subqueries, subqueries_of};
use crate::Result;
use crate::access::{self, Access};
use crate::broadcast;
use crate::catalog::{ItemValues, SetItem, Sharding};
use crate::exec::build::equality;
use crate::exec::{Environment, lookup, plain_column};
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::types::{Domain, SqlType, TypeKind};
use base::SlotRange;

/// Columns of a plan's output by whose values its rows are placed: a table's sharding key.
struct Placement {
    /// Positions in the output, in the order of the key.
    columns: Vec<usize>,
    /// Their types in the table.
    types: Vec<SqlType>,
    /// Their names in the table.
    names: Vec<String>,
    /// The slots among which their hash chooses.
    slots: SlotRange,
}

/// How a join is local, as EXPLAIN says it: on which columns of the second input, or by a broadcast table. `None` when it is not.
pub fn local_join(
    join: &Join,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<Option<String>> {
    if is_broadcast(&join.left) || is_broadcast(&join.right) {
        return Ok(Some("local join (broadcast)".into()));
    }
    let Some(names) = tie(join, subqueries) else { return Ok(None) };
    let is_local = match lookup::plan(join, subqueries, environment)? {
        Some(lookup) => lookup.knows_shards(),
        None => is_divisible(join, subqueries, environment)?,
    };
    Ok(is_local.then(|| format!("local join on {}", names.join(", "))))
}

/// Whether a join, and each join below it, can be computed from the rows of some slots at a time.
pub fn is_divisible(
    join: &Join,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<bool> {
    if tie(join, subqueries).is_none() || !is_hashed(join, subqueries, environment)? {
        return Ok(false);
    }
    Ok(is_input_divisible(&join.left, subqueries, environment)?
        && is_input_divisible(&join.right, subqueries, environment)?)
}

/// Whether a join reads both of its inputs, without subqueries. What is looked up is asked for by keys, of whatever shard.
fn is_hashed(join: &Join, subqueries: &Subqueries, environment: &Environment) -> Result<bool> {
    Ok(is_plain(&join.on) && lookup::plan(join, subqueries, environment)?.is_none())
}

/// Whether a join below another one is of rows that can be read some slots at a time with those of a broadcast table, which are
/// then all read each time. Of an outer join those must be the second input, or each time would keep the rows without partner.
fn adds_broadcast(join: &Join, subqueries: &Subqueries, environment: &Environment) -> Result<bool> {
    let spread = match (is_read_whole(&join.left), is_read_whole(&join.right)) {
        (false, true) => &join.left,
        (true, false) if join.kind == JoinKind::Inner => &join.right,
        _ => return Ok(false),
    };
    let width = join.left.width();
    let has_keys = join.on.iter().any(|on| equality(on, width, subqueries).is_some());
    Ok(has_keys
        && is_hashed(join, subqueries, environment)?
        && is_input_divisible(spread, subqueries, environment)?)
}

fn is_plain(exprs: &[Expr]) -> bool {
    exprs.iter().all(|expr| subqueries_of(expr).is_empty())
}

/// Whether a plan is a scan of a broadcast table, which can be read again for each part of the slots.
fn is_read_whole(plan: &Plan) -> bool {
    match plan {
        Plan::Scan(scan) => broadcast::is_broadcast(&scan.table),
        Plan::Filter { input, conjuncts } => is_plain(conjuncts) && is_read_whole(input),
        Plan::Project { input, exprs } => is_plain(exprs) && is_read_whole(input),
        _ => false,
    }
}

/// Whether all rows of a plan are of broadcast tables.
fn is_broadcast(plan: &Plan) -> bool {
    match plan {
        Plan::Scan(scan) => broadcast::is_broadcast(&scan.table),
        Plan::Filter { input, .. } | Plan::Project { input, .. } => is_broadcast(input),
        Plan::Join(join) => is_broadcast(&join.left) && is_broadcast(&join.right),
        Plan::OneRow
        | Plan::Rows { .. }
        | Plan::Shared { .. }
        | Plan::Lateral(_)
        | Plan::Aggregate { .. }
        | Plan::Distinct { .. }
        | Plan::Window { .. }
        | Plan::Sort { .. }
        | Plan::Limit { .. }
        | Plan::Union { .. } => false,
    }
}

fn is_input_divisible(
    plan: &Plan,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<bool> {
    match plan {
        Plan::Scan(scan) => is_scan_divisible(scan, environment),
        Plan::Filter { input, conjuncts } if is_plain(conjuncts) => {
            is_input_divisible(input, subqueries, environment)
        }
        Plan::Project { input, exprs } if is_plain(exprs) => {
            is_input_divisible(input, subqueries, environment)
        }
        Plan::Join(join) => Ok(is_divisible(join, subqueries, environment)?
            || adds_broadcast(join, subqueries, environment)?),
        _ => Ok(false),
    }
}

/// Whether the rows of some slots can be read without those of others: entries of a global index are not with their rows, and a
/// broadcast table is read whole.
fn is_scan_divisible(scan: &Scan, environment: &Environment) -> Result<bool> {
    if broadcast::is_broadcast(&scan.table) {
        return Ok(false);
    }
    let columns = scan.read_columns();
    let choice = access::plan_for(&scan.table, &scan.conjuncts, &columns, &environment.ctx)?;
    Ok(match choice.access {
        Access::Index { index, .. } | Access::IndexRange { index, .. } => {
            !scan.table.indexes[index].global
        }
        Access::Nothing
        | Access::Rows(_)
        | Access::PrimaryRange(_)
        | Access::Full
        | Access::Partitions(_) => true,
    })
}

/// The names of a sharding key of the second input that the join equates with one of the first, column by column.
fn tie(join: &Join, subqueries: &Subqueries) -> Option<Vec<String>> {
    let left = placements(&join.left, subqueries);
    let right = placements(&join.right, subqueries);
    let is_tied = |key: &Placement| ties_any(join, &left, key, subqueries);
    right.into_iter().find(is_tied).map(|key| key.names)
}

/// Whether a join equates a sharding key of its second input with any of these of the first.
fn ties_any(join: &Join, left: &[Placement], right: &Placement, subqueries: &Subqueries) -> bool {
    let width = join.left.width();
    let ties_column = |left: &Placement, place: usize| {
        let types = (&left.types[place], &right.types[place]);
        join.on.iter().any(|condition| {
            equal_columns(condition, width) == Some((left.columns[place], right.columns[place]))
                && compares_as(condition, types)
                && equality(condition, width, subqueries).is_some()
        })
    };
    left.iter().any(|left| {
        let length = left.columns.len();
        left.slots == right.slots
            && length == right.columns.len()
            && (0..length).all(|place| ties_column(left, place))
    })
}

/// By which sharding keys the rows of a plan are placed.
fn placements(plan: &Plan, subqueries: &Subqueries) -> Vec<Placement> {
    match plan {
        Plan::Scan(scan) => of_scan(scan).into_iter().collect(),
        Plan::Filter { input, .. } => placements(input, subqueries),
        Plan::Project { input, exprs } => {
            let place =
                |column: usize| exprs.iter().position(|expr| plain_column(expr) == Some(column));
            let inner = placements(input, subqueries).into_iter();
            inner
                .filter_map(|placement| {
                    let columns = placement.columns.iter().map(|&column| place(column));
                    Some(Placement { columns: columns.collect::<Option<_>>()?, ..placement })
                })
                .collect()
        }
        Plan::Join(join) => {
            let width = join.left.width();
            let mut all = placements(&join.left, subqueries);
            if !join.kind.shows_right() {
                return all;
            }
            let right = placements(&join.right, subqueries);
            let repeats = join.kind == JoinKind::Inner && is_broadcast(&join.left);
            if repeats || right.iter().any(|key| ties_any(join, &all, key, subqueries)) {
                // Also those of an outer join's second input: where it has no row they are NULL and equal nothing.
                all.extend(right.into_iter().map(|key| {
                    let columns = key.columns.iter().map(|column| column + width).collect();
                    Placement { columns, ..key }
                }));
            }
            all
        }
        _ => Vec::new(),
    }
}

fn of_scan(scan: &Scan) -> Option<Placement> {
    let (columns, slots) = hashed(&scan.table.sharding)?;
    let place = |column: &usize| scan.columns.iter().position(|other| other == column);
    let definitions = &scan.table.columns;
    Some(Placement {
        columns: columns.iter().map(place).collect::<Option<_>>()?,
        types: columns.iter().map(|column| definitions[*column].ty).collect(),
        names: columns.iter().map(|column| definitions[*column].name.clone()).collect(),
        slots,
    })
}

/// The columns whose hash alone chooses a row's slot, and the slots among which it does; `None` where values choose a set or a slot.
fn hashed(sharding: &Sharding) -> Option<(&[usize], SlotRange)> {
    match sharding {
        Sharding::Hash(columns) => Some((columns.as_slice(), SlotRange::ALL)),
        // One set takes all values: a table with a placement policy lies so.
        Sharding::Range(by) => match by.items.as_slice() {
            [SetItem { slots, values: ItemValues::Rest, .. }] => {
                Some((by.spread.as_slice(), *slots))
            }
            _ => None,
        },
        Sharding::List(_) | Sharding::Keys(_) | Sharding::Single | Sharding::Broadcast(_) => None,
    }
}

/// The columns that a condition equates, one of each input of a join, each by its position in its own input.
pub(super) fn equal_columns(condition: &Expr, left_width: usize) -> Option<(usize, usize)> {
    let ExprKind::Compare { op: CompareOp::Equal, args, .. } = &condition.kind else { return None };
    let (a, b) = (plain_column(&args[0])?, plain_column(&args[1])?);
    match (a < left_width, b < left_width) {
        (true, false) if b < SUBQUERY => Some((a, b - left_width)),
        (false, true) if a < SUBQUERY => Some((b, a - left_width)),
        _ => None,
    }
}

/// Whether an equality of columns of these types, as tables have them, holds for values of equal key bytes and no others.
pub(super) fn compares_as(condition: &Expr, (left, right): (&SqlType, &SqlType)) -> bool {
    let ExprKind::Compare { domain, args, .. } = &condition.kind else { return false };
    // A comparison may have another collation than its columns.
    let is_theirs = |arg: &Expr| arg.ty.collation == left.collation;
    *domain == left.domain()
        && are_alike(left, right)
        && (*domain != Domain::Text || args.iter().all(is_theirs))
}

/// Whether equal values of two types have equal key bytes, and so one slot.
fn are_alike(a: &SqlType, b: &SqlType) -> bool {
    match (a.domain(), b.domain()) {
        // Whatever their width; a sign turns the first bit.
        (Domain::Integer, Domain::Integer) => a.unsigned == b.unsigned,
        // As many bytes as the precision takes, of the value without its point.
        (Domain::Decimal, Domain::Decimal) => a.length == b.length && a.decimals == b.decimals,
        // Weights, whatever the length.
        (Domain::Text, Domain::Text) => a.collation == b.collation,
        // A TIMESTAMP is in UTC.
        (Domain::DateTime, Domain::DateTime) => {
            a.kind == TypeKind::DateTime && b.kind == TypeKind::DateTime
        }
        (Domain::Double, Domain::Double)
        | (Domain::Bytes, Domain::Bytes)
        | (Domain::Date, Domain::Date)
        | (Domain::Time, Domain::Time) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::CollationId;
    use crate::expr::key_bytes;
    use crate::value::Value;

    #[test]
    fn alike_are_types_whose_equal_values_have_equal_bytes() {
        let binary = CollationId::BINARY;
        let types = [
            (SqlType::int(), Value::Int(5)),
            (SqlType::bigint(), Value::Int(5)),
            (SqlType::int().unsigned(), Value::UInt(5)),
            (SqlType::year(), Value::UInt(5)),
            (SqlType::decimal(5, 0), Value::Decimal(5_i64.into())),
            (SqlType::decimal(30, 0), Value::Decimal(5_i64.into())),
            (SqlType::float(), Value::Double(5.0)),
            (SqlType::double(), Value::Double(5.0)),
            (SqlType::char(4, CollationId::DEFAULT), Value::text("5")),
            (SqlType::text(CollationId::DEFAULT), Value::text("5")),
            (SqlType::varbinary(4), Value::Bytes(b"5".to_vec())),
            (SqlType::char(1, binary), Value::Bytes(b"5".to_vec())),
        ];
        for (a, x) in &types {
            for (b, y) in &types {
                let same = key_bytes(x, a) == key_bytes(y, b);
                // Types of two domains meet in a cast, which no sharding key has.
                let comparable = a.domain() == b.domain();
                assert_eq!(are_alike(a, b), comparable && same, "{a:?} and {b:?}");
            }
        }
        assert!(!are_alike(&SqlType::timestamp(0), &SqlType::timestamp(0)));
        assert!(!are_alike(&SqlType::timestamp(0), &SqlType::datetime(0)));
        assert!(!are_alike(&SqlType::decimal(9, 2), &SqlType::decimal(9, 3)));
    }
}
