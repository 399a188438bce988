//! Queries as text.

use super::Printer;
use crate::ast::{
    Expr, IndexHint, IndexHintAction, IndexHintPurpose, JoinConstraint, JoinKind, Limit,
    LockClause, LockStrength, LockWait, Query, QueryBody, Select, SelectInto, SelectItem,
    SetOperator, TableRef, TableSource, With,
};

impl Printer {
    pub(super) fn query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            self.with(with);
        }
        self.body(&query.body);
        self.order_by(&query.order_by);
        self.limit(&query.limit);
        query.locks.iter().for_each(|lock| self.lock(lock));
        self.optional(" INTO ", &query.into, Self::select_into);
    }

    pub(super) fn with(&mut self, with: &With) {
        self.text(if with.recursive { "WITH RECURSIVE " } else { "WITH " });
        self.list(&with.tables, |printer, table| {
            printer.name(&table.name);
            if !table.columns.is_empty() {
                printer.text(" ");
                printer.names(&table.columns);
            }
            printer.text(" AS (");
            printer.query(&table.query);
            printer.text(")");
        });
        self.text(" ");
    }

    fn body(&mut self, body: &QueryBody) {
        match body {
            QueryBody::Select(select) => self.select(select),
            QueryBody::SetOperation { op, all, left, right } => {
                let tight = *op == SetOperator::Intersect;
                self.set_operand(left, |inner| tight && inner != SetOperator::Intersect);
                self.text(match op {
                    SetOperator::Union => " UNION ",
                    SetOperator::Intersect => " INTERSECT ",
                    SetOperator::Except => " EXCEPT ",
                });
                self.when(*all, "ALL ");
                self.set_operand(right, |inner| tight || inner != SetOperator::Intersect);
            }
            QueryBody::Values(rows) => {
                self.text("VALUES ");
                self.list(rows, |printer, row| {
                    printer.text("ROW");
                    printer.parenthesised(row, Self::expr);
                });
            }
            QueryBody::Table(table) => {
                self.text("TABLE ");
                self.table(table);
            }
            QueryBody::Query(query) => {
                self.text("(");
                self.query(query);
                self.text(")");
            }
        }
    }

    /// A side of a set operation; `needs` says whether an inner operator needs parentheses.
    fn set_operand(&mut self, body: &QueryBody, needs: impl Fn(SetOperator) -> bool) {
        match body {
            QueryBody::SetOperation { op, .. } if needs(*op) => {
                self.text("(");
                self.body(body);
                self.text(")");
            }
            _ => self.body(body),
        }
    }

    fn select(&mut self, select: &Select) {
        self.text("SELECT ");
        if !select.hints.is_empty() {
            self.text(&select.hints);
            self.text(" ");
        }
        self.when(select.distinct, "DISTINCT ");
        self.when(select.options.high_priority, "HIGH_PRIORITY ");
        self.when(select.options.straight_join, "STRAIGHT_JOIN ");
        self.when(select.options.small_result, "SQL_SMALL_RESULT ");
        self.when(select.options.big_result, "SQL_BIG_RESULT ");
        self.when(select.options.buffer_result, "SQL_BUFFER_RESULT ");
        self.when(select.options.no_cache, "SQL_NO_CACHE ");
        self.when(select.options.calc_found_rows, "SQL_CALC_FOUND_ROWS ");
        self.list(&select.items, Self::select_item);
        if !select.from.is_empty() {
            self.text(" FROM ");
            self.list(&select.from, Self::table_ref);
        } else if select.filter.is_some() || !select.group_by.is_empty() || select.having.is_some()
        {
            self.text(" FROM DUAL");
        }
        self.optional(" WHERE ", &select.filter, Self::expr);
        if !select.group_by.is_empty() {
            self.text(" GROUP BY ");
            self.list(&select.group_by, Self::order_item);
            self.when(select.rollup, " WITH ROLLUP");
        }
        self.optional(" HAVING ", &select.having, Self::expr);
        if !select.windows.is_empty() {
            self.text(" WINDOW ");
            self.list(&select.windows, |printer, (name, spec)| {
                printer.name(name);
                printer.text(" AS ");
                printer.window_spec(spec);
            });
        }
    }

    fn select_item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::Wildcard => self.text("*"),
            SelectItem::TableWildcard(table) => {
                self.table(table);
                self.text(".*");
            }
            SelectItem::Expr { expr, alias, .. } => {
                self.expr(expr);
                self.optional(" AS ", alias, |printer, alias| printer.name_or_empty(alias));
            }
        }
    }

    /// An alias; an empty one can only be a string.
    fn name_or_empty(&mut self, name: &str) {
        if name.is_empty() { self.string(name) } else { self.name(name) }
    }

    pub(super) fn limit(&mut self, limit: &Option<Limit>) {
        if let Some(Limit { count, offset }) = limit {
            self.text(" LIMIT ");
            match offset {
                // Parameters are numbered by their place, so what came first stays first.
                Some(offset) if offset.span.start < count.span.start => {
                    self.expr(offset);
                    self.text(", ");
                    self.expr(count);
                }
                _ => {
                    self.expr(count);
                    self.optional(" OFFSET ", offset, Self::expr);
                }
            }
        }
    }

    fn lock(&mut self, lock: &LockClause) {
        self.text(match lock.strength {
            LockStrength::Update => " FOR UPDATE",
            LockStrength::Share => " FOR SHARE",
        });
        if !lock.tables.is_empty() {
            self.text(" OF ");
            self.list(&lock.tables, Self::table);
        }
        self.text(match lock.wait {
            LockWait::Wait => "",
            LockWait::NoWait => " NOWAIT",
            LockWait::SkipLocked => " SKIP LOCKED",
        });
    }

    fn select_into(&mut self, into: &SelectInto) {
        match into {
            SelectInto::Variables(targets) => self.list(targets, Self::select_target),
            SelectInto::Outfile { file, charset, format } => {
                self.text("OUTFILE ");
                self.string(file);
                self.optional(" CHARACTER SET ", charset, |printer, name| printer.word(name));
                self.file_format(format);
            }
            SelectInto::Dumpfile(file) => {
                self.text("DUMPFILE ");
                self.string(file);
            }
        }
    }

    pub(super) fn table_ref(&mut self, table: &TableRef) {
        match table {
            TableRef::Table(source) => self.table_source(source),
            TableRef::Derived { lateral, query, alias, columns } => {
                self.when(*lateral, "LATERAL ");
                self.text("(");
                self.query(query);
                self.text(") AS ");
                self.name(alias);
                if !columns.is_empty() {
                    self.text(" ");
                    self.names(columns);
                }
            }
            TableRef::Join { kind, left, right, constraint } => {
                self.table_ref(left);
                self.when(matches!(constraint, JoinConstraint::Natural), " NATURAL");
                self.text(match kind {
                    JoinKind::Inner => " JOIN ",
                    JoinKind::Straight => " STRAIGHT_JOIN ",
                    JoinKind::Left => " LEFT JOIN ",
                    JoinKind::Right => " RIGHT JOIN ",
                });
                if matches!(**right, TableRef::Join { .. }) {
                    self.text("(");
                    self.table_ref(right);
                    self.text(")");
                } else {
                    self.table_ref(right);
                }
                match constraint {
                    JoinConstraint::None | JoinConstraint::Natural => {}
                    JoinConstraint::On(condition) => {
                        self.text(" ON ");
                        self.expr(condition);
                    }
                    JoinConstraint::Using(columns) => {
                        self.text(" USING ");
                        self.names(columns);
                    }
                }
            }
        }
    }

    pub(super) fn table_source(&mut self, source: &TableSource) {
        self.table(&source.name);
        self.partitions(&source.partitions);
        self.optional(" AS ", &source.alias, |printer, alias| printer.name(alias));
        self.as_of(&source.as_of);
        source.hints.iter().for_each(|hint| self.index_hint(hint));
    }

    /// When something is read; a space comes first.
    pub(super) fn as_of(&mut self, point: &Option<Box<Expr>>) {
        self.optional(" AS OF TIMESTAMP ", point, |printer, point| printer.expr(point));
    }

    pub(super) fn partitions(&mut self, partitions: &[String]) {
        if !partitions.is_empty() {
            self.text(" PARTITION ");
            self.names(partitions);
        }
    }

    fn index_hint(&mut self, hint: &IndexHint) {
        self.text(match hint.action {
            IndexHintAction::Use => " USE INDEX ",
            IndexHintAction::Force => " FORCE INDEX ",
            IndexHintAction::Ignore => " IGNORE INDEX ",
        });
        self.text(match hint.purpose {
            None => "",
            Some(IndexHintPurpose::Join) => "FOR JOIN ",
            Some(IndexHintPurpose::OrderBy) => "FOR ORDER BY ",
            Some(IndexHintPurpose::GroupBy) => "FOR GROUP BY ",
        });
        self.names(&hint.indexes);
    }
}
