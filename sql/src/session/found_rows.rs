//! SQL_CALC_FOUND_ROWS: a query runs without its LIMIT, and its rows are counted before they are cut.

use super::RowSource;
use crate::ast::{self, QueryBody};
use crate::context::EvalContext;
use crate::dml::bind;
use crate::value::Row;
use crate::{Error, Result};
use futures::StreamExt;

/// The query without its LIMIT, and that, when the rows which it leaves out are to be counted.
pub(super) fn without_limit(query: &ast::Query) -> Option<(ast::Query, ast::Limit)> {
    let QueryBody::Select(select) = &query.body else { return None };
    let limit = query.limit.as_ref().filter(|_| select.options.calc_found_rows)?;
    Some((ast::Query { limit: None, ..query.clone() }, limit.clone()))
}

/// The rows that a LIMIT lets pass, and how many there are in all.
///
/// # Errors
/// 1210 for a limit that is no number.
pub(super) async fn cut(
    rows: RowSource,
    limit: &ast::Limit,
    ctx: &EvalContext,
) -> Result<(Vec<Row>, u64)> {
    let number = |expr: &ast::Expr| {
        let value = bind::literal(expr, ctx).and_then(|value| value.as_integer());
        let value = value.and_then(|value| u64::try_from(value).ok());
        value.ok_or_else(|| Error::wrong_arguments("LIMIT"))
    };
    let offset = limit.offset.as_ref().map_or(Ok(0), number)?;
    let end = offset.saturating_add(number(&limit.count)?);
    let (mut kept, mut found) = (Vec::new(), 0);
    let mut take = |page: Vec<Row>| {
        for row in page {
            if (offset..end).contains(&found) {
                kept.push(row);
            }
            found += 1;
        }
    };
    match rows {
        RowSource::Ready(rows) => take(rows),
        RowSource::Stream(mut pages) => {
            while let Some(page) = pages.next().await {
                take(page?);
            }
        }
    }
    Ok((kept, found))
}
