//! The text of views: what is kept of a query, and how it is shown.
//!
//! ```text
//! SELECT *, b+1 FROM t JOIN u USING (a)
//!    │ names: every name resolved, `*` and USING written out, items named
//!    ▼
//! select `d`.`t`.`a` AS `a`,(`d`.`t`.`b` + 1) AS `b+1` from (`d`.`t` join `d`.`u` on((`d`.`t`.`a` = `d`.`u`.`a`)))
//!    │ text: MySQL's own layout, byte for byte
//!    ▼
//! the record; SHOW CREATE VIEW leaves out the database where MySQL does
//! ```
//!
//! Invariant: the text reads back, in the default mode, as a query with the same columns and rows, whatever session reads it.
//!
//! Not here: what may be a view (`ddl::view`), rows (`binder::view`), the layout of other statements (`printer`).

mod expression;
mod names;
mod shape;
mod text;

pub(crate) use expression::is_condition;
pub(crate) use names::resolve;
pub(crate) use shape::{is_mergeable, sources};
pub(crate) use text::{expression as text_of_expression, shown, stored};

use crate::ast::{Query, Statement};
use crate::catalog::ViewDef;
use crate::lexer::ParseMode;
use crate::{Error, Result, parser};

/// The query of a view.
///
/// # Errors
/// Its text is corrupt.
pub(crate) fn query_of(view: &ViewDef) -> Result<Query> {
    match parser::parse_statement(&view.text, &ParseMode::default()) {
        Ok(Statement::Query(query)) => Ok(*query),
        Ok(_) | Err(_) => {
            Err(Error::storage(format!("corrupt query of view {}", view.qualified_name())))
        }
    }
}
