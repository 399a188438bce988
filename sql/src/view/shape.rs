//! What kind of query a view is: whether it can be a part of the query that names it, and which tables it reads.
//!
//! The rules are MySQL's for ALGORITHM = MERGE, and for the column IS_UPDATABLE, which follows from them.

use crate::ast::{Expr, ExprKind, Query, QueryBody, Select, SelectItem, TableName, TableRef};
use crate::dml::bind::visit;

/// Whether the rows of a query are rows of its tables, one for one, with values computed from them.
pub(crate) fn is_mergeable(query: &Query) -> bool {
    let QueryBody::Select(select) = &query.body else { return false };
    query.with.is_none() && query.limit.is_none() && has_own_rows(select) && !computes(select)
}

/// Whether a SELECT reads tables, and neither groups nor drops equal rows.
fn has_own_rows(select: &Select) -> bool {
    !select.distinct
        && select.group_by.is_empty()
        && select.having.is_none()
        && select.windows.is_empty()
        && !select.from.is_empty()
}

/// Whether the select list has aggregates, windows or subqueries.
fn computes(select: &Select) -> bool {
    let mut found = false;
    for item in &select.items {
        let SelectItem::Expr { expr, .. } = item else { continue };
        visit(&mut expr.clone(), &mut |part: &mut Expr| {
            found |= matches!(
                part.kind,
                ExprKind::Aggregate(_)
                    | ExprKind::Window { .. }
                    | ExprKind::Grouping(_)
                    | ExprKind::Subquery(_)
                    | ExprKind::Exists(_)
                    | ExprKind::InSubquery { .. }
                    | ExprKind::Quantified { .. }
            );
            found
        });
    }
    found
}

/// The tables and views that a query names in its FROM; those of derived tables are not among them.
pub(crate) fn sources(query: &Query) -> Vec<&TableName> {
    let mut names = Vec::new();
    if let QueryBody::Select(select) = &query.body {
        select.from.iter().for_each(|table| add_sources(table, &mut names));
    }
    names
}

fn add_sources<'q>(table: &'q TableRef, names: &mut Vec<&'q TableName>) {
    match table {
        TableRef::Table(source) => names.push(&source.name),
        TableRef::Derived { .. } => {}
        TableRef::Join { left, right, .. } => {
            add_sources(left, names);
            add_sources(right, names);
        }
    }
}
