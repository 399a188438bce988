//! Statements that change rows, as text.

use super::Printer;
use crate::ast::{
    Assignment, Delete, DeleteTarget, FileFormat, Insert, InsertSource, LoadData, LoadDuplicates,
    LoadField, Priority, Update,
};

impl Printer {
    pub(super) fn insert(&mut self, insert: &Insert) {
        self.text(if insert.replace { "REPLACE " } else { "INSERT " });
        self.priority(insert.priority);
        self.when(insert.ignore, "IGNORE ");
        self.text("INTO ");
        self.table(&insert.table);
        self.partitions(&insert.partitions);
        if let Some(columns) = &insert.columns {
            self.text(" ");
            self.parenthesised(columns, Self::column);
        }
        match &insert.source {
            InsertSource::Values(rows) => {
                self.text(" VALUES ");
                self.list(rows, |printer, row| printer.parenthesised(row, Self::expr));
            }
            InsertSource::Query(query) => {
                self.text(" ");
                self.query(query);
            }
        }
        if let Some(alias) = &insert.row_alias {
            self.text(" AS ");
            self.name(&alias.name);
            if !alias.columns.is_empty() {
                self.text(" ");
                self.names(&alias.columns);
            }
        }
        if !insert.on_duplicate.is_empty() {
            self.text(" ON DUPLICATE KEY UPDATE ");
            self.assignments(&insert.on_duplicate);
        }
    }

    fn priority(&mut self, priority: Option<Priority>) {
        self.text(match priority {
            None => "",
            Some(Priority::Low) => "LOW_PRIORITY ",
            Some(Priority::Delayed) => "DELAYED ",
            Some(Priority::High) => "HIGH_PRIORITY ",
            Some(Priority::Concurrent) => "CONCURRENT ",
        });
    }

    fn assignments(&mut self, assignments: &[Assignment]) {
        self.list(assignments, |printer, assignment| {
            printer.column(&assignment.column);
            printer.text(" = ");
            printer.expr(&assignment.value);
        });
    }

    pub(super) fn update(&mut self, update: &Update) {
        if let Some(with) = &update.with {
            self.with(with);
        }
        self.text("UPDATE ");
        self.when(update.low_priority, "LOW_PRIORITY ");
        self.when(update.ignore, "IGNORE ");
        self.list(&update.tables, Self::table_ref);
        self.text(" SET ");
        self.assignments(&update.assignments);
        self.optional(" WHERE ", &update.filter, Self::expr);
        self.order_by(&update.order_by);
        self.limit(&update.limit);
    }

    pub(super) fn delete(&mut self, delete: &Delete) {
        if let Some(with) = &delete.with {
            self.with(with);
        }
        self.text("DELETE ");
        self.when(delete.low_priority, "LOW_PRIORITY ");
        self.when(delete.quick, "QUICK ");
        self.when(delete.ignore, "IGNORE ");
        match &delete.target {
            DeleteTarget::Single(source) => {
                self.text("FROM ");
                self.table(&source.name);
                self.optional(" AS ", &source.alias, |printer, alias| printer.name(alias));
                self.as_of(&source.as_of);
                self.partitions(&source.partitions);
            }
            DeleteTarget::Multi { targets, from } => {
                self.list(targets, Self::table);
                self.text(" FROM ");
                self.list(from, Self::table_ref);
            }
        }
        self.optional(" WHERE ", &delete.filter, Self::expr);
        self.order_by(&delete.order_by);
        self.limit(&delete.limit);
    }

    pub(super) fn load_data(&mut self, load: &LoadData) {
        self.text(if load.xml { "LOAD XML " } else { "LOAD DATA " });
        self.priority(load.priority);
        self.when(load.local, "LOCAL ");
        self.text("INFILE ");
        self.string(&load.file);
        self.text(match load.duplicates {
            LoadDuplicates::Default => "",
            LoadDuplicates::Replace => " REPLACE",
            LoadDuplicates::Ignore => " IGNORE",
        });
        self.text(" INTO TABLE ");
        self.table(&load.table);
        self.partitions(&load.partitions);
        self.optional(" CHARACTER SET ", &load.charset, |printer, name| printer.word(name));
        self.file_format(&load.format);
        self.optional_string(" ROWS IDENTIFIED BY ", &load.rows_identified_by);
        if load.ignore_lines > 0 {
            self.value(format_args!(" IGNORE {} LINES", load.ignore_lines));
        }
        if !load.fields.is_empty() {
            self.text(" ");
            self.parenthesised(&load.fields, |printer, field| match field {
                LoadField::Column(column) => printer.column(column),
                LoadField::Variable(name) => printer.user_variable(name),
            });
        }
        if !load.assignments.is_empty() {
            self.text(" SET ");
            self.assignments(&load.assignments);
        }
    }

    /// FIELDS and LINES, as far as they are not the defaults.
    pub(super) fn file_format(&mut self, format: &FileFormat) {
        let default = FileFormat::default();
        let fields = FileFormat {
            lines_starting_by: default.lines_starting_by.clone(),
            lines_terminated_by: default.lines_terminated_by.clone(),
            ..format.clone()
        };
        if fields != default {
            self.text(" FIELDS TERMINATED BY ");
            self.string(&format.fields_terminated_by);
            self.text(if format.optionally_enclosed { " OPTIONALLY" } else { "" });
            self.text(" ENCLOSED BY ");
            self.string(&format.fields_enclosed_by);
            self.text(" ESCAPED BY ");
            self.string(&format.fields_escaped_by);
        }
        if format.lines_starting_by != default.lines_starting_by
            || format.lines_terminated_by != default.lines_terminated_by
        {
            self.text(" LINES STARTING BY ");
            self.string(&format.lines_starting_by);
            self.text(" TERMINATED BY ");
            self.string(&format.lines_terminated_by);
        }
    }
}
