//! INSERT, REPLACE, UPDATE, DELETE.

use super::Parser;
use crate::ast::{
    Assignment, ColumnName, Delete, DeleteTarget, Expr, ExprKind, Insert, InsertSource, Priority,
    RowAlias, Statement, TableName, TableSource, Update, With,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// INSERT or REPLACE.
    #[inline(never)]
    pub(super) fn insert(&mut self) -> Result<Statement> {
        let replace = self.is("REPLACE");
        self.advance();
        self.skip_hints();
        let priority = match self.accept_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"]) {
            Some("LOW_PRIORITY") => Some(Priority::Low),
            Some("DELAYED") => Some(Priority::Delayed),
            Some("HIGH_PRIORITY") if !replace => Some(Priority::High),
            Some(_) => return Err(self.error()),
            None => None,
        };
        let ignore = !replace && self.accept_word("IGNORE");
        self.accept_word("INTO");
        let table = self.table_name()?;
        let partitions = self.partition_names()?;
        let mut insert = Insert {
            replace,
            ignore,
            priority,
            table,
            partitions,
            columns: None,
            source: InsertSource::Values(Vec::new()),
            row_alias: None,
            on_duplicate: Vec::new(),
        };
        if self.accept_word("SET") {
            let (columns, values) = self
                .list(Self::assignment)?
                .into_iter()
                .map(|Assignment { column, value }| (column, value))
                .unzip();
            insert.columns = Some(columns);
            insert.source = InsertSource::Values(vec![values]);
        } else {
            insert.columns = self.insert_columns()?;
            insert.source = self.insert_source()?;
        }
        if !replace {
            if matches!(insert.source, InsertSource::Values(_)) && self.accept_word("AS") {
                let name = self.identifier()?;
                let columns = match self.kind() {
                    TokenKind::LeftParen => self.names()?,
                    _ => Vec::new(),
                };
                insert.row_alias = Some(RowAlias { name, columns });
            }
            if self.accept_word("ON") {
                self.expect(&["DUPLICATE", "KEY", "UPDATE"])?;
                insert.on_duplicate = self.list(Self::assignment)?;
            }
        }
        Ok(Statement::Insert(Box::new(insert)))
    }

    /// `(a, b)`; `(SELECT …)` is no list of columns.
    fn insert_columns(&mut self) -> Result<Option<Vec<ColumnName>>> {
        if self.kind() != TokenKind::LeftParen {
            return Ok(None);
        }
        let inner = self.kind_at(1);
        let query = ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| self.is_at(1, word));
        if inner == TokenKind::LeftParen || query {
            return Ok(None);
        }
        self.advance();
        if self.accept_kind(TokenKind::RightParen) {
            return Ok(Some(Vec::new()));
        }
        let columns = self.list(Self::column_name)?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(Some(columns))
    }

    fn insert_source(&mut self) -> Result<InsertSource> {
        if self.accept_any(&["VALUES", "VALUE"]).is_none() {
            if !self.starts_query() && self.kind() != TokenKind::LeftParen {
                return Err(self.error());
            }
            return Ok(InsertSource::Query(Box::new(self.query()?)));
        }
        let rows = self.list(|parser| {
            parser.accept_word("ROW");
            parser.expect_kind(TokenKind::LeftParen)?;
            if parser.accept_kind(TokenKind::RightParen) {
                return Ok(Vec::new());
            }
            let row = parser.list(Self::value_or_default)?;
            parser.expect_kind(TokenKind::RightParen)?;
            Ok(row)
        })?;
        Ok(InsertSource::Values(rows))
    }

    /// An expression or the bare word DEFAULT.
    pub(super) fn value_or_default(&mut self) -> Result<Expr> {
        if self.is("DEFAULT") && self.kind_at(1) != TokenKind::LeftParen {
            let start = self.at;
            self.advance();
            return self.made(start, ExprKind::Default(None));
        }
        self.expr()
    }

    /// `column = value`.
    pub(super) fn assignment(&mut self) -> Result<Assignment> {
        let column = self.column_name()?;
        if !self.accept_kind(TokenKind::Assign) {
            self.expect_kind(TokenKind::Equal)?;
        }
        Ok(Assignment { column, value: self.nested(Self::value_or_default)? })
    }

    /// UPDATE after its WITH.
    #[inline(never)]
    pub(super) fn update(&mut self, with: Option<With>) -> Result<Statement> {
        self.expect_word("UPDATE")?;
        self.skip_hints();
        let low_priority = self.accept_word("LOW_PRIORITY");
        let ignore = self.accept_word("IGNORE");
        let tables = self.table_references()?;
        self.expect_word("SET")?;
        let assignments = self.list(Self::assignment)?;
        let filter = self.where_clause()?;
        let mut update = Update {
            with,
            low_priority,
            ignore,
            tables,
            assignments,
            filter,
            order_by: Vec::new(),
            limit: None,
        };
        // MySQL's grammar has them in every form; whoever runs it refuses them for joins.
        if self.accept(&["ORDER", "BY"]) {
            update.order_by = self.list(Self::order_item)?;
        }
        update.limit = self.row_limit()?;
        Ok(Statement::Update(Box::new(update)))
    }

    /// LIMIT without an offset.
    fn row_limit(&mut self) -> Result<Option<crate::ast::Limit>> {
        let start = self.at;
        let limit = self.limit()?;
        if limit.as_ref().is_some_and(|limit| limit.offset.is_some()) {
            self.at = start + 2;
            return Err(self.error());
        }
        Ok(limit)
    }

    /// DELETE after its WITH.
    #[inline(never)]
    pub(super) fn delete(&mut self, with: Option<With>) -> Result<Statement> {
        self.expect_word("DELETE")?;
        self.skip_hints();
        let mut delete = Delete {
            with,
            low_priority: false,
            quick: false,
            ignore: false,
            target: DeleteTarget::Multi { targets: Vec::new(), from: Vec::new() },
            filter: None,
            order_by: Vec::new(),
            limit: None,
        };
        loop {
            let flag = match self.upper().as_str() {
                "LOW_PRIORITY" => &mut delete.low_priority,
                "QUICK" => &mut delete.quick,
                "IGNORE" => &mut delete.ignore,
                _ => break,
            };
            *flag = true;
            self.advance();
        }
        if !self.accept_word("FROM") {
            let targets = self.list(Self::delete_target)?;
            self.expect_word("FROM")?;
            delete.target = DeleteTarget::Multi { targets, from: self.table_references()? };
        } else if self.is_multi_delete() {
            let targets = self.list(Self::delete_target)?;
            self.expect_word("USING")?;
            delete.target = DeleteTarget::Multi { targets, from: self.table_references()? };
        } else {
            delete.target = DeleteTarget::Single(Box::new(self.delete_source()?));
        }
        delete.filter = self.where_clause()?;
        if matches!(delete.target, DeleteTarget::Single(_)) {
            if self.accept(&["ORDER", "BY"]) {
                delete.order_by = self.list(Self::order_item)?;
            }
            delete.limit = self.row_limit()?;
        }
        Ok(Statement::Delete(Box::new(delete)))
    }

    /// Whether USING ends the list of tables that starts here.
    fn is_multi_delete(&self) -> bool {
        let mut ahead = 0;
        loop {
            match self.kind_at(ahead) {
                TokenKind::Word
                | TokenKind::Quoted
                | TokenKind::Dot
                | TokenKind::Star
                | TokenKind::Comma => ahead += 1,
                _ => return self.is_at(ahead, "USING"),
            }
        }
    }

    /// `t`, `db.t`, `t.*`, `db.t.*`.
    fn delete_target(&mut self) -> Result<TableName> {
        let first = self.identifier()?;
        let mut name = TableName { database: None, name: first };
        while self.accept_kind(TokenKind::Dot) {
            if self.accept_kind(TokenKind::Star) {
                break;
            }
            if name.database.is_some() {
                return Err(self.error());
            }
            name = TableName { database: Some(name.name), name: self.identifier()? };
        }
        Ok(name)
    }

    fn delete_source(&mut self) -> Result<TableSource> {
        let start = self.at;
        let name = self.table_name()?;
        let span = self.span_from(start);
        let (alias, as_of) = self.alias_and_point()?;
        let partitions = self.partition_names()?;
        Ok(TableSource { name, partitions, alias, as_of, hints: Vec::new(), span })
    }

    fn skip_hints(&mut self) {
        while self.accept_kind(TokenKind::Hint) {}
    }
}
