//! Expressions that definitions keep, CHECK and generated columns: which may be, under what names, and in which words.
//!
//! ```text
//! CHECK (A > 0 AND name <> 'x')  ──every name one of the table, nothing that changes──> ((`a` > 0) and (`name` <> _utf8mb4'x'))
//! ```
//!
//! The text is MySQL's, as SHOW CREATE TABLE and information_schema print it, and reads back as the same expression.
//!
//! Pure: nothing is read or written here. Not here: evaluation (`catalog::rules`), existing rows (`alter::row_check`).

use super::create_table::check_identifier;
use crate::ast::{self, Expr, ExprKind, Literal};
use crate::catalog::{Catalog, CheckDef, Generated, Rule, TableDef};
use crate::dml::bind::visit;
use crate::{Error, Result, view};

/// Functions whose value is not the same for all time and every session. Others of MySQL's are not here at all.
const CHANGING: &[&str] = &[
    "BENCHMARK",
    "CONNECTION_ID",
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURTIME",
    "DATABASE",
    "FOUND_ROWS",
    "GET_LOCK",
    "ICU_VERSION",
    "IS_FREE_LOCK",
    "IS_USED_LOCK",
    "LAST_INSERT_ID",
    "LOAD_FILE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NAME_CONST",
    "NOW",
    "RAND",
    "RANDOM_BYTES",
    "RELEASE_ALL_LOCKS",
    "RELEASE_LOCK",
    "ROW_COUNT",
    "SCHEMA",
    "SESSION_USER",
    "SLEEP",
    "SOURCE_POS_WAIT",
    "STATEMENT_DIGEST",
    "STATEMENT_DIGEST_TEXT",
    "SYSDATE",
    "SYSTEM_USER",
    "USER",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "UUID",
    "UUID_SHORT",
    "VERSION",
];

/// What an expression belongs to.
#[derive(Clone, Copy, Debug)]
enum Owner<'a> {
    /// A CHECK; of a column, that alone may be named.
    Check { name: &'a str, column: Option<&'a str> },
    /// A generated column.
    Generated(&'a str),
}

impl Owner<'_> {
    fn unknown_column(self, column: &str) -> Error {
        match self {
            Owner::Check { name, .. } => Error::check_of_unknown_column(name, column),
            Owner::Generated(_) => Error::unknown_column(column, "generated column function"),
        }
    }

    fn of_auto_increment(self) -> Error {
        match self {
            Owner::Check { name, .. } => Error::check_of_auto_increment(name),
            Owner::Generated(name) => Error::generated_of_auto_increment(name),
        }
    }

    fn of_variable(self) -> Error {
        match self {
            Owner::Check { name, .. } => Error::check_of_variable(name),
            Owner::Generated(name) => Error::generated_of_variable(name),
        }
    }

    fn named_function(self, function: &str) -> Error {
        let function = function.to_ascii_lowercase();
        match self {
            Owner::Check { name, .. } => Error::check_named_function(name, function),
            Owner::Generated(name) => Error::generated_named_function(name, function),
        }
    }

    fn function(self) -> Error {
        match self {
            Owner::Check { name, .. } => Error::check_function(name),
            Owner::Generated(name) => Error::generated_function(name),
        }
    }

    /// Refuses a part of the expression, and gives names of columns as they were declared.
    fn settle(self, part: &mut Expr, table: &TableDef) -> Result<()> {
        if let ExprKind::JsonPath { column, path, unquote } = &part.kind {
            part.kind = spelled_out(column, path, *unquote);
        }
        match &mut part.kind {
            ExprKind::Column(name) => {
                let is_own = name.table.as_ref().is_none_or(|named| *named == table.name);
                let position = table.column(&name.column).filter(|_| is_own);
                let position = position.ok_or_else(|| self.unknown_column(&name.column))?;
                let column = &table.columns[position];
                if column.auto_increment {
                    return Err(self.of_auto_increment());
                }
                if let Owner::Check { name, column: Some(own) } = self
                    && !column.name.eq_ignore_ascii_case(own)
                {
                    return Err(Error::check_of_other_column(name));
                }
                (name.database, name.table) = (None, None);
                name.column.clone_from(&column.name);
            }
            ExprKind::Literal(Literal::String { charset: charset @ None, .. }) => {
                *charset = Some("utf8mb4".to_string());
            }
            ExprKind::Function { database: Some(_), .. } => return Err(self.function()),
            ExprKind::Function { name, args, .. } => {
                let is_clock = name.eq_ignore_ascii_case("UNIX_TIMESTAMP") && args.is_empty();
                if is_clock || CHANGING.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                    return Err(self.named_function(name));
                }
            }
            ExprKind::UserVariable(_)
            | ExprKind::SystemVariable { .. }
            | ExprKind::Assign { .. } => return Err(self.of_variable()),
            ExprKind::Param(_)
            | ExprKind::Aggregate(_)
            | ExprKind::Window { .. }
            | ExprKind::Grouping(_)
            | ExprKind::Subquery(_)
            | ExprKind::Exists(_)
            | ExprKind::InSubquery { .. }
            | ExprKind::Quantified { .. }
            | ExprKind::Sequence { .. }
            | ExprKind::Values(_)
            | ExprKind::Default(_)
            | ExprKind::Match { .. } => return Err(self.function()),
            _ => {}
        }
        Ok(())
    }

    /// The text of an expression over a table that has all its columns.
    fn text(self, expr: &Expr, table: &TableDef) -> Result<String> {
        let mut expr = expr.clone();
        let mut refused = None;
        visit(&mut expr, &mut |part| {
            if refused.is_none() {
                refused = self.settle(part, table).err();
            }
            refused.is_some()
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(view::text_of_expression(&expr)),
        }
    }
}

/// `column -> path` and `column ->> path` as MySQL keeps them: by the names of their functions.
fn spelled_out(column: &ast::ColumnName, path: &str, unquote: bool) -> ExprKind {
    let call = |name: &str, args: Vec<Expr>| ExprKind::Function {
        database: None,
        name: name.to_string(),
        args,
    };
    let literal = Literal::String {
        value: path.to_string(),
        charset: None,
        first: ast::SourceText::default(),
    };
    let args =
        vec![Expr::new(ExprKind::Column(column.clone())), Expr::new(ExprKind::Literal(literal))];
    let extract = call("json_extract", args);
    match unquote {
        true => call("json_unquote", vec![Expr::new(extract)]),
        false => extract,
    }
}

/// How a column of a table is computed.
///
/// # Errors
/// 1054, 3102, 3109, 3763, 3765; 1221 beside DEFAULT and the like.
pub(super) fn generated(
    definition: &ast::ColumnDefinition,
    table: &TableDef,
) -> Result<Option<Generated>> {
    let Some(generated) = &definition.generated else { return Ok(None) };
    let name = definition.name.as_str();
    for (is_there, what) in [
        (definition.default.is_some(), "DEFAULT"),
        (definition.on_update_now.is_some(), "ON UPDATE"),
        (definition.auto_increment, "AUTO_INCREMENT"),
    ] {
        if is_there {
            return Err(Error::wrong_usage(what, "generated column"));
        }
    }
    let text = Owner::Generated(name).text(&generated.expr, table)?;
    Ok(Some(Generated { rule: Rule::new(text), stored: generated.stored }))
}

/// A constraint of a table, under this name; `column` is that of a column's own.
///
/// # Errors
/// 3812 to 3820; 1059 for a name that is too long.
pub(super) fn check(
    check: &ast::Check,
    name: String,
    column: Option<&str>,
    table: &TableDef,
) -> Result<CheckDef> {
    check_identifier(&name, |name| Error::wrong_column_name(name))?;
    if !view::is_condition(&check.expr) {
        return Err(Error::check_not_boolean(&name));
    }
    let text = Owner::Check { name: &name, column }.text(&check.expr, table)?;
    Ok(CheckDef { name, rule: Rule::new(text), enforced: check.enforced })
}

/// The number in a name that a constraint of this table was given by itself.
fn number_of(name: &str, table: &str) -> Option<u64> {
    name.strip_prefix(table)?.strip_prefix("_chk_")?.parse().ok()
}

/// The name of a table's next constraint that is given none.
pub(super) fn next_name(table: &TableDef) -> String {
    let numbers = table.checks.iter().filter_map(|check| number_of(&check.name, &table.name));
    format!("{}_chk_{}", table.name, numbers.max().map_or(1, |highest| highest + 1))
}

/// Puts constraints into the order in which they are listed.
pub(super) fn sort(checks: &mut [CheckDef]) {
    checks.sort_by_key(|check| check.name.to_lowercase());
}

/// Gives constraints that were named after their table another table's name.
pub(super) fn rename(table: &mut TableDef, old: &str) {
    for check in &mut table.checks {
        if let Some(number) = number_of(&check.name, old) {
            check.name = format!("{}_chk_{number}", table.name);
        }
    }
    sort(&mut table.checks);
}

/// Gives all constraints of a table names of its own: it is like another one.
pub(super) fn number(table: &mut TableDef) {
    for (at, check) in table.checks.iter_mut().enumerate() {
        check.name = format!("{}_chk_{}", table.name, at + 1);
    }
    sort(&mut table.checks);
}

/// Refuses a name of a constraint that its database has already.
pub(super) fn check_names(catalog: &Catalog, table: &TableDef) -> Result<()> {
    for (at, check) in table.checks.iter().enumerate() {
        let is_same = |other: &CheckDef| other.name.eq_ignore_ascii_case(&check.name);
        let mut others = catalog.tables(&table.database).filter(|other| other.id != table.id);
        if table.checks[..at].iter().any(is_same)
            || others.any(|other| other.checks.iter().any(is_same))
        {
            return Err(Error::duplicate_check_name(&check.name));
        }
    }
    Ok(())
}
