//! Writes statements and expressions as text that parses to the same tree.
//!
//! Names stand in backticks, keywords in capitals, parentheses only where the tree needs them. The text
//! is meant for the default sql_mode, whatever mode the tree was read in: `||` that concatenated is
//! `concat(…)`, strings have their backslashes doubled.
//!
//! ```text
//! select a+b*c from t where not x   →   SELECT `a` + `b` * `c` FROM `t` WHERE NOT `x`
//! ```
//!
//! Invariant: `parse(print(tree)) == tree` for every tree that the parser makes (the grammar tests hold
//! it over their corpus).
//!
//! Not here: SHOW CREATE TABLE, whose text follows the catalog and MySQL's own layout.

mod change;
mod definition;
mod expression;
mod partition;
mod placement;
mod program;
mod query;
mod sequence;
mod session;
mod view;
mod xa;

use crate::ast::{Expr, Query, Statement, TableName};
use crate::lexer;
use std::fmt::{self, Write as _};

/// The text of a statement.
pub fn statement(statement: &Statement) -> String {
    let mut printer = Printer::default();
    printer.statement(statement);
    printer.out
}

/// The text of an expression.
pub fn expr(expr: &Expr) -> String {
    let mut printer = Printer::default();
    printer.expr(expr);
    printer.out
}

/// The text of a query.
pub fn query(query: &Query) -> String {
    let mut printer = Printer::default();
    printer.query(query);
    printer.out
}

/// A name in backticks.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal in single quotes.
pub fn string_literal(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('\'');
    for character in value.chars() {
        match character {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{1a}' => out.push_str("\\Z"),
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&statement(self))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&expr(self))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&query(self))
    }
}

/// Text under construction.
#[derive(Default)]
struct Printer {
    out: String,
}

impl Printer {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn value(&mut self, value: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
    }

    /// `text` when `condition` holds.
    fn when(&mut self, condition: bool, text: &str) {
        if condition {
            self.text(text);
        }
    }

    fn name(&mut self, name: &str) {
        self.text(&identifier(name));
    }

    fn string(&mut self, value: &str) {
        self.text(&string_literal(value));
    }

    /// A name without backticks where it needs none.
    fn word(&mut self, name: &str) {
        let simple = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && (!lexer::is_reserved(name) || name.eq_ignore_ascii_case("binary"));
        if simple { self.text(name) } else { self.name(name) }
    }

    fn table(&mut self, table: &TableName) {
        if let Some(database) = &table.database {
            self.name(database);
            self.text(".");
        }
        self.name(&table.name);
    }

    fn list<T>(&mut self, items: &[T], mut print: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            self.when(index > 0, ", ");
            print(self, item);
        }
    }

    fn parenthesised<T>(&mut self, items: &[T], print: impl FnMut(&mut Self, &T)) {
        self.text("(");
        self.list(items, print);
        self.text(")");
    }

    fn names(&mut self, names: &[String]) {
        self.parenthesised(names, |printer, name| printer.name(name));
    }

    /// `before` and the value, when there is one.
    fn optional<T>(&mut self, before: &str, value: &Option<T>, print: impl FnOnce(&mut Self, &T)) {
        if let Some(value) = value {
            self.text(before);
            print(self, value);
        }
    }

    fn optional_string(&mut self, before: &str, value: &Option<String>) {
        self.optional(before, value, |printer, value| printer.string(value));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::LoadData(load) => self.load_data(load),
            Statement::Do(exprs) => {
                self.text("DO ");
                self.list(exprs, Self::expr);
            }
            Statement::Call { name, args } => {
                self.text("CALL ");
                self.table(name);
                self.parenthesised(args, Self::expr);
            }
            Statement::Sequence(sequence) => self.sequence(sequence),
            Statement::View(view) => self.view(view),
            Statement::Program(program) => self.program(program),
            Statement::Placement(placement) => self.placement(placement),
            Statement::Unsupported(unsupported) => self.text(&unsupported.text),
            Statement::CreateDatabase(_)
            | Statement::AlterDatabase(_)
            | Statement::DropDatabase { .. }
            | Statement::Use { .. }
            | Statement::CreateTable(_)
            | Statement::CreateTableLike(_)
            | Statement::AlterTable(_)
            | Statement::DropTable(_)
            | Statement::TruncateTable { .. }
            | Statement::RenameTable(_)
            | Statement::CreateIndex(_)
            | Statement::DropIndex(_) => self.definition(statement),
            _ => self.session_statement(statement),
        }
    }
}
