//! Queries in the layout that MySQL keeps views in.
//!
//! ```text
//! select `a`.`x` AS `x` from ((`d`.`t` `a` join `d`.`u` on((`a`.`x` = `d`.`u`.`x`))) left join … on(…)) where (…) order by …
//! ```
//!
//! Keywords in small letters, no blank after commas, every operator in parentheses. Each join stands in parentheses of its own; tables
//! with a comma between them are joined without.
//!
//! Not here: expressions (`expression`).

use crate::ast::{
    CommonTable, Expr, IndexHint, IndexHintAction, IndexHintPurpose, JoinConstraint, JoinKind,
    OrderItem, Query, QueryBody, Select, SelectItem, SetOperator, TableName, TableRef, TableSource,
};
use crate::printer::identifier;

/// The text that is kept: with all databases.
pub(crate) fn stored(query: &Query) -> String {
    let mut text = Text::new(None);
    text.query(query);
    text.out
}

/// The text that is shown to who uses `database`: without its name, unless the query names tables of other databases, too.
pub(crate) fn shown(query: &Query, database: &str) -> String {
    let mut text = Text::new(Some(database));
    text.query(query);
    if text.names_others { stored(query) } else { text.out }
}

/// An expression as definitions keep it.
pub(crate) fn expression(expr: &Expr) -> String {
    let mut text = Text::new(None);
    text.expr(expr);
    text.out
}

/// Text under construction.
pub(super) struct Text<'a> {
    pub(super) out: String,
    /// The database whose name is left out.
    hidden: Option<&'a str>,
    /// A table of another database was named.
    names_others: bool,
}

impl<'a> Text<'a> {
    fn new(hidden: Option<&'a str>) -> Text<'a> {
        Text { out: String::new(), hidden, names_others: false }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(super) fn name(&mut self, name: &str) {
        self.out.push_str(&identifier(name));
    }

    /// Items with commas between them.
    pub(super) fn list<T>(&mut self, items: &[T], mut push: impl FnMut(&mut Self, &T)) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            push(self, item);
        }
    }

    fn names(&mut self, names: &[String]) {
        self.push("(");
        self.list(names, |text, name| text.name(name));
        self.push(")");
    }

    /// A database and the dot behind it, unless it is left out.
    pub(super) fn database(&mut self, database: &Option<String>) {
        if let Some(database) = database.as_deref().filter(|name| Some(*name) != self.hidden) {
            self.name(database);
            self.push(".");
        }
    }

    pub(super) fn query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            self.push(if with.recursive { "with recursive " } else { "with " });
            for (place, table) in with.tables.iter().enumerate() {
                self.push(if place > 0 { ", " } else { "" });
                self.common_table(table);
            }
            self.push(" ");
        }
        self.body(&query.body);
        if !query.order_by.is_empty() {
            self.push(" order by ");
            self.order(&query.order_by);
        }
        if let Some(limit) = &query.limit {
            self.push(" limit ");
            if let Some(offset) = &limit.offset {
                self.expr(offset);
                self.push(",");
            }
            self.expr(&limit.count);
        }
    }

    fn common_table(&mut self, table: &CommonTable) {
        self.name(&table.name);
        if !table.columns.is_empty() {
            self.push(" ");
            self.names(&table.columns);
        }
        self.push(" as (");
        self.query(&table.query);
        self.push(")");
    }

    /// Items of ORDER BY and GROUP BY.
    pub(super) fn order(&mut self, items: &[OrderItem]) {
        self.list(items, |text, item| {
            text.expr(&item.expr);
            text.push(if item.descending { " desc" } else { "" });
        });
    }

    fn body(&mut self, body: &QueryBody) {
        match body {
            QueryBody::Select(select) => self.select(select),
            QueryBody::SetOperation { op, all, left, right } => {
                let tight = *op == SetOperator::Intersect;
                self.side(left, |inner| tight && inner != SetOperator::Intersect);
                self.push(match op {
                    SetOperator::Union => " union ",
                    SetOperator::Intersect => " intersect ",
                    SetOperator::Except => " except ",
                });
                self.push(if *all { "all " } else { "" });
                self.side(right, |inner| tight || inner != SetOperator::Intersect);
            }
            QueryBody::Values(rows) => {
                self.push("values ");
                self.list(rows, |text, row| {
                    text.push("row(");
                    text.list(row, Text::expr);
                    text.push(")");
                });
            }
            QueryBody::Table(table) => {
                self.push("table ");
                self.table_name(table);
            }
            QueryBody::Query(query) => {
                self.push("(");
                self.query(query);
                self.push(")");
            }
        }
    }

    /// A side of a set operation; `needs` says whether an operator inside needs parentheses.
    fn side(&mut self, body: &QueryBody, needs: impl Fn(SetOperator) -> bool) {
        match body {
            QueryBody::SetOperation { op, .. } if needs(*op) => {
                self.push("(");
                self.body(body);
                self.push(")");
            }
            _ => self.body(body),
        }
    }

    fn select(&mut self, select: &Select) {
        self.push("select ");
        if !select.hints.is_empty() {
            self.push(&select.hints);
            self.push(" ");
        }
        let options = [
            (select.options.high_priority, "high_priority "),
            (select.options.straight_join, "straight_join "),
            (select.distinct, "distinct "),
            (select.options.small_result, "sql_small_result "),
            (select.options.big_result, "sql_big_result "),
            (select.options.buffer_result, "sql_buffer_result "),
            (select.options.no_cache, "sql_no_cache "),
            (select.options.calc_found_rows, "sql_calc_found_rows "),
        ];
        for (is_set, words) in options {
            self.push(if is_set { words } else { "" });
        }
        self.list(&select.items, Text::item);
        if !select.from.is_empty() {
            self.push(" from ");
            for (place, table) in select.from.iter().enumerate() {
                self.push(if place > 0 { " join " } else { "" });
                self.table_ref(table);
            }
        } else if select.filter.is_some() {
            self.push(" from DUAL");
        }
        if let Some(filter) = &select.filter {
            self.push(" where ");
            self.condition(filter);
        }
        if !select.group_by.is_empty() {
            self.push(" group by ");
            self.order(&select.group_by);
            self.push(if select.rollup { " with rollup" } else { "" });
        }
        if let Some(having) = &select.having {
            self.push(" having ");
            self.condition(having);
        }
        if !select.windows.is_empty() {
            self.push(" window ");
            self.list(&select.windows, |text, (name, spec)| {
                text.name(name);
                text.push(" AS ");
                text.window(spec);
            });
        }
    }

    fn item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::Expr { expr, alias, .. } => {
                self.expr(expr);
                if let Some(alias) = alias {
                    self.push(" AS ");
                    match alias.is_empty() {
                        // An empty name can only be written as a string.
                        true => self.push("''"),
                        false => self.name(alias),
                    }
                }
            }
            // Names are resolved before.
            SelectItem::Wildcard => self.push("*"),
            SelectItem::TableWildcard(table) => {
                self.table_name(table);
                self.push(".*");
            }
        }
    }

    fn table_name(&mut self, name: &TableName) {
        self.names_others |= name.database.is_some() && name.database.as_deref() != self.hidden;
        self.database(&name.database);
        self.name(&name.name);
    }

    fn table_ref(&mut self, table: &TableRef) {
        match table {
            TableRef::Table(source) => self.table_source(source),
            TableRef::Derived { lateral, query, alias, columns } => {
                self.push(if *lateral { "lateral (" } else { "(" });
                self.query(query);
                self.push(") ");
                self.name(alias);
                if !columns.is_empty() {
                    self.push(" ");
                    self.names(columns);
                }
            }
            TableRef::Join { kind, left, right, constraint } => {
                self.push("(");
                self.table_ref(left);
                self.push(match kind {
                    JoinKind::Inner => " join ",
                    JoinKind::Straight => " straight_join ",
                    JoinKind::Left => " left join ",
                    JoinKind::Right => " right join ",
                });
                self.table_ref(right);
                match constraint {
                    JoinConstraint::On(condition) => {
                        self.push(" on(");
                        self.condition(condition);
                        self.push(")");
                    }
                    // Names are resolved before.
                    JoinConstraint::Using(columns) => {
                        self.push(" using ");
                        self.names(columns);
                    }
                    JoinConstraint::None | JoinConstraint::Natural => {}
                }
                self.push(")");
            }
        }
    }

    fn table_source(&mut self, source: &TableSource) {
        self.table_name(&source.name);
        if !source.partitions.is_empty() {
            self.push(" PARTITION ");
            self.names(&source.partitions);
        }
        if let Some(alias) = &source.alias {
            self.push(" ");
            self.name(alias);
        }
        source.hints.iter().for_each(|hint| self.index_hint(hint));
    }

    fn index_hint(&mut self, hint: &IndexHint) {
        self.push(match hint.action {
            IndexHintAction::Use => " USE INDEX ",
            IndexHintAction::Force => " FORCE INDEX ",
            IndexHintAction::Ignore => " IGNORE INDEX ",
        });
        self.push(match hint.purpose {
            None => "",
            Some(IndexHintPurpose::Join) => "FOR JOIN ",
            Some(IndexHintPurpose::OrderBy) => "FOR ORDER BY ",
            Some(IndexHintPurpose::GroupBy) => "FOR GROUP BY ",
        });
        self.names(&hint.indexes);
    }
}
