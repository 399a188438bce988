//! Statements about views, as text.

use super::Printer;
use crate::ast::{AccountName, CheckOption, ViewDefinition, ViewStatement};

impl Printer {
    pub(super) fn view(&mut self, statement: &ViewStatement) {
        match statement {
            ViewStatement::Create { or_replace, view } => {
                self.text("CREATE ");
                self.when(*or_replace, "OR REPLACE ");
                self.view_definition(view);
            }
            ViewStatement::Alter(view) => {
                self.text("ALTER ");
                self.view_definition(view);
            }
            ViewStatement::Drop { if_exists, names } => {
                self.text("DROP VIEW ");
                self.when(*if_exists, "IF EXISTS ");
                self.list(names, Self::table);
            }
        }
    }

    /// `DEFINER = account ` before the kind of a stored object.
    pub(super) fn definer(&mut self, definer: &Option<AccountName>) {
        if let Some(definer) = definer {
            self.text("DEFINER = ");
            self.account(definer);
            self.text(" ");
        }
    }

    fn view_definition(&mut self, view: &ViewDefinition) {
        if let Some(algorithm) = view.algorithm {
            self.value(format_args!("ALGORITHM = {} ", algorithm.name()));
        }
        self.definer(&view.definer);
        if let Some(security) = view.security {
            self.value(format_args!("SQL SECURITY {} ", security.name()));
        }
        self.text("VIEW ");
        self.table(&view.name);
        if !view.columns.is_empty() {
            self.text(" ");
            self.names(&view.columns);
        }
        self.text(" AS ");
        self.query(&view.query);
        self.text(match view.check {
            None => "",
            Some(CheckOption::Local) => " WITH LOCAL CHECK OPTION",
            Some(CheckOption::Cascaded) => " WITH CASCADED CHECK OPTION",
        });
    }
}
