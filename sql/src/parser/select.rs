//! Queries: SELECT, set operations, FROM with its joins, locking reads, INTO.

use super::Parser;
use crate::ast::{
    CommonTable, Expr, IndexHint, IndexHintAction, IndexHintPurpose, JoinConstraint, JoinKind,
    Limit, LockClause, LockStrength, LockWait, OrderItem, Query, QueryBody, Select, SelectInto,
    SelectItem, SelectOptions, SetOperator, SourceText, Statement, TableRef, TableSource, With,
};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

/// What introduces a point in the past.
const AS_OF: [&str; 3] = ["AS", "OF", "TIMESTAMP"];

impl Parser<'_> {
    /// Whether a query (not in parentheses) starts here.
    pub(super) fn starts_query(&self) -> bool {
        match self.upper().as_str() {
            "SELECT" | "WITH" | "TABLE" => true,
            "VALUES" => self.is_at(1, "ROW"),
            _ => false,
        }
    }

    /// Whether what follows a query in parentheses makes the whole a query.
    pub(super) fn continues_query(&self) -> bool {
        self.kind() == TokenKind::RightParen
            || self.is_any(&["UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "FOR", "INTO"])
            || self.are(&["LOCK", "IN"])
    }

    /// WITH before SELECT, UPDATE or DELETE.
    #[inline(never)]
    pub(super) fn with_statement(&mut self) -> Result<Statement> {
        let with = self.with()?;
        match self.upper().as_str() {
            "UPDATE" => self.update(Some(with)),
            "DELETE" => self.delete(Some(with)),
            _ => {
                let start = self.at;
                let inner = self.query()?;
                // A query in parentheses may have a WITH of its own.
                let query = match inner.with {
                    None => Query { with: Some(with), ..inner },
                    Some(_) => Query {
                        with: Some(with),
                        body: QueryBody::Query(Box::new(inner)),
                        order_by: Vec::new(),
                        limit: None,
                        locks: Vec::new(),
                        into: None,
                        span: self.span_from(start),
                    },
                };
                Ok(Statement::Query(Box::new(query)))
            }
        }
    }

    #[inline(never)]
    fn with(&mut self) -> Result<With> {
        self.expect_word("WITH")?;
        let recursive = self.accept_word("RECURSIVE");
        let tables = self.list(|parser| {
            let name = parser.identifier()?;
            let columns = match parser.kind() {
                TokenKind::LeftParen => parser.names()?,
                _ => Vec::new(),
            };
            parser.expect_word("AS")?;
            Ok(CommonTable { name, columns, query: Box::new(parser.subquery()?) })
        })?;
        Ok(With { recursive, tables })
    }

    /// A query with its clauses.
    #[inline(never)]
    pub(super) fn query(&mut self) -> Result<Query> {
        self.nested(|parser| {
            let start = parser.at;
            let with = if parser.is("WITH") { Some(parser.with()?) } else { None };
            let outer_into = parser.into.take();
            let body = parser.query_body(None)?;
            let query = parser.query_clauses(with, body, start)?;
            parser.into = outer_into;
            Ok(query)
        })
    }

    /// The same in a box, for rules that recurse.
    #[inline(never)]
    pub(super) fn boxed_query(&mut self) -> Result<Box<Query>> {
        self.query().map(Box::new)
    }

    /// The same when its first part, a query in parentheses, is read already.
    #[inline(never)]
    pub(super) fn query_after(&mut self, first: Box<Query>, start: usize) -> Result<Box<Query>> {
        if self.kind() == TokenKind::RightParen {
            return Ok(first);
        }
        self.nested(|parser| {
            let body = parser.query_body(Some(unwrapped(*first)))?;
            parser.query_clauses(None, body, start).map(Box::new)
        })
    }

    #[inline(never)]
    fn query_clauses(
        &mut self,
        with: Option<With>,
        body: QueryBody,
        start: usize,
    ) -> Result<Query> {
        let mut query = Query {
            with,
            body,
            order_by: Vec::new(),
            limit: None,
            locks: Vec::new(),
            into: self.into.take(),
            span: self.span_from(start),
        };
        if self.accept(&["ORDER", "BY"]) {
            query.order_by = self.list(Self::order_item)?;
        }
        query.limit = self.limit()?;
        loop {
            if self.accept_word("INTO") {
                if query.into.is_some() {
                    return Err(self.error());
                }
                query.into = Some(self.select_into()?);
            } else if let Some(lock) = self.lock_clause()? {
                query.locks.push(lock);
            } else {
                break;
            }
        }
        query.span = self.span_from(start);
        self.higher()?;
        let bare = query.with.is_none()
            && query.order_by.is_empty()
            && query.limit.is_none()
            && query.locks.is_empty()
            && query.into.is_none();
        match query.body {
            // Parentheses around the whole query mean nothing.
            QueryBody::Query(inner) if bare => Ok(*inner),
            body => Ok(Query { body, ..query }),
        }
    }

    /// Parts joined by UNION and its relatives. INTERSECT binds tighter.
    #[inline(never)]
    fn query_body(&mut self, first: Option<QueryBody>) -> Result<QueryBody> {
        let mut left = self.intersection(first)?;
        while let Some(word) = self.accept_any(&["UNION", "EXCEPT"]) {
            let op = if word == "UNION" { SetOperator::Union } else { SetOperator::Except };
            let all = self.set_quantifier();
            let right = Box::new(self.nested(|parser| parser.intersection(None))?);
            self.higher()?;
            left = QueryBody::SetOperation { op, all, left: Box::new(left), right };
        }
        Ok(left)
    }

    #[inline(never)]
    fn intersection(&mut self, first: Option<QueryBody>) -> Result<QueryBody> {
        let mut left = match first {
            Some(first) => first,
            None => self.query_primary()?,
        };
        while self.accept_word("INTERSECT") {
            let all = self.set_quantifier();
            let right = Box::new(self.nested(|parser| parser.query_primary())?);
            self.higher()?;
            let op = SetOperator::Intersect;
            left = QueryBody::SetOperation { op, all, left: Box::new(left), right };
        }
        Ok(left)
    }

    fn set_quantifier(&mut self) -> bool {
        self.accept_any(&["ALL", "DISTINCT"]) == Some("ALL")
    }

    #[inline(never)]
    fn query_primary(&mut self) -> Result<QueryBody> {
        if self.kind() == TokenKind::LeftParen {
            self.advance();
            // Queries have large frames, so their parentheses count for two levels.
            let query = self.nested(Self::boxed_query)?;
            self.expect_kind(TokenKind::RightParen)?;
            return Ok(unwrapped(*query));
        }
        if self.accept_word("TABLE") {
            return Ok(QueryBody::Table(self.table_name()?));
        }
        if self.accept_word("VALUES") {
            let rows = self.list(|parser| {
                parser.expect_word("ROW")?;
                parser.parenthesised(Self::value_or_default)
            })?;
            return Ok(QueryBody::Values(rows));
        }
        Ok(QueryBody::Select(Box::new(self.select()?)))
    }

    #[inline(never)]
    fn select(&mut self) -> Result<Select> {
        self.expect_word("SELECT")?;
        let mut hints = String::new();
        while self.kind() == TokenKind::Hint {
            hints.push_str(self.source(self.token()));
            self.advance();
        }
        let (distinct, options) = self.select_options()?;
        let items = self.list(Self::select_item)?;
        if self.accept_word("INTO") {
            self.into = Some(self.select_into()?);
        }
        let mut select = Select {
            distinct,
            options,
            items,
            from: Vec::new(),
            filter: None,
            group_by: Vec::new(),
            rollup: false,
            having: None,
            windows: Vec::new(),
            hints,
        };
        if self.accept_word("FROM") && !self.accept_word("DUAL") {
            select.from = self.table_references()?;
        }
        select.filter = self.where_clause()?;
        if self.accept(&["GROUP", "BY"]) {
            select.group_by =
                self.list(|parser| Ok(OrderItem { expr: parser.expr()?, descending: false }))?;
            select.rollup = self.accept(&["WITH", "ROLLUP"]);
        }
        if self.accept_word("HAVING") {
            select.having = Some(self.expr()?);
        }
        if self.accept_word("WINDOW") {
            select.windows = self.list(|parser| {
                let name = parser.identifier()?;
                parser.expect_word("AS")?;
                Ok((name, parser.window_spec()?))
            })?;
        }
        self.higher()?;
        Ok(select)
    }

    #[inline(never)]
    fn select_options(&mut self) -> Result<(bool, SelectOptions)> {
        let mut options = SelectOptions::default();
        let mut quantifier = None;
        loop {
            let word = self.upper();
            let flag = match word.as_str() {
                "ALL" | "DISTINCT" | "DISTINCTROW" => {
                    let distinct = word != "ALL";
                    if quantifier.is_some_and(|before| before != distinct) {
                        return Err(self.error());
                    }
                    quantifier = Some(distinct);
                    self.advance();
                    continue;
                }
                "HIGH_PRIORITY" => &mut options.high_priority,
                "STRAIGHT_JOIN" => &mut options.straight_join,
                "SQL_SMALL_RESULT" => &mut options.small_result,
                "SQL_BIG_RESULT" => &mut options.big_result,
                "SQL_BUFFER_RESULT" => &mut options.buffer_result,
                "SQL_NO_CACHE" => &mut options.no_cache,
                "SQL_CALC_FOUND_ROWS" => &mut options.calc_found_rows,
                _ => return Ok((quantifier == Some(true), options)),
            };
            *flag = true;
            self.advance();
        }
    }

    #[inline(never)]
    fn select_item(&mut self) -> Result<SelectItem> {
        if self.accept_kind(TokenKind::Star) {
            return Ok(SelectItem::Wildcard);
        }
        let is_name = |kind| matches!(kind, TokenKind::Word | TokenKind::Quoted);
        let members = (0..2)
            .take_while(|n| {
                is_name(self.kind_at(n * 2)) && self.kind_at(n * 2 + 1) == TokenKind::Dot
            })
            .count();
        if members > 0 && self.kind_at(members * 2) == TokenKind::Star {
            let name = self.identifier()?;
            self.advance();
            let mut table = crate::ast::TableName { database: None, name };
            if members == 2 {
                table =
                    crate::ast::TableName { database: Some(table.name), name: self.identifier()? };
                self.advance();
            }
            self.advance();
            return Ok(SelectItem::TableWildcard(table));
        }
        let start = self.at;
        let expr = self.expr()?;
        let text = SourceText(self.text_from(start).to_string());
        let alias = match self.accept_word("AS") {
            true => Some(self.identifier_or_string()?),
            false if self.is_identifier() || self.kind() == TokenKind::String => {
                Some(self.identifier_or_string()?)
            }
            false => None,
        };
        Ok(SelectItem::Expr { expr, alias, text })
    }

    pub(super) fn where_clause(&mut self) -> Result<Option<Expr>> {
        if self.accept_word("WHERE") { self.expr().map(Some) } else { Ok(None) }
    }

    /// `LIMIT n`, `LIMIT offset, n`, `LIMIT n OFFSET offset`.
    #[inline(never)]
    pub(super) fn limit(&mut self) -> Result<Option<Limit>> {
        if !self.accept_word("LIMIT") {
            return Ok(None);
        }
        let first = self.limit_number()?;
        if self.accept_kind(TokenKind::Comma) {
            return Ok(Some(Limit { count: self.limit_number()?, offset: Some(first) }));
        }
        let offset = match self.accept_word("OFFSET") {
            true => Some(self.limit_number()?),
            false => None,
        };
        Ok(Some(Limit { count: first, offset }))
    }

    /// An unsigned integer, a parameter, or a routine's variable.
    fn limit_number(&mut self) -> Result<Expr> {
        match self.kind() {
            TokenKind::Integer | TokenKind::Hex | TokenKind::Bits => {
                let start = self.at;
                let value = self.number()?;
                let kind = crate::ast::ExprKind::Literal(crate::ast::Literal::Integer(value));
                Ok(Expr { kind, span: self.span_from(start) })
            }
            TokenKind::Parameter => self.expr(),
            _ => Err(self.error()),
        }
    }

    #[inline(never)]
    fn lock_clause(&mut self) -> Result<Option<LockClause>> {
        if self.accept(&["LOCK", "IN", "SHARE", "MODE"]) {
            let strength = LockStrength::Share;
            return Ok(Some(LockClause { strength, tables: Vec::new(), wait: LockWait::Wait }));
        }
        let strength = if self.accept(&["FOR", "UPDATE"]) {
            LockStrength::Update
        } else if self.accept(&["FOR", "SHARE"]) {
            LockStrength::Share
        } else {
            return Ok(None);
        };
        let tables = match self.accept_word("OF") {
            true => self.list(Self::table_name)?,
            false => Vec::new(),
        };
        let wait = if self.accept_word("NOWAIT") {
            LockWait::NoWait
        } else if self.accept(&["SKIP", "LOCKED"]) {
            LockWait::SkipLocked
        } else {
            LockWait::Wait
        };
        Ok(Some(LockClause { strength, tables, wait }))
    }

    /// What follows INTO.
    #[inline(never)]
    fn select_into(&mut self) -> Result<SelectInto> {
        if self.accept_word("OUTFILE") {
            let file = self.string()?;
            let charset = self.optional_charset()?;
            return Ok(SelectInto::Outfile { file, charset, format: self.file_format()? });
        }
        if self.accept_word("DUMPFILE") {
            return Ok(SelectInto::Dumpfile(self.string()?));
        }
        Ok(SelectInto::Variables(self.list(Self::variable_name)?))
    }

    // FROM.

    /// One or more table references, separated by commas.
    pub(super) fn table_references(&mut self) -> Result<Vec<TableRef>> {
        self.list(Self::table_reference)
    }

    #[inline(never)]
    fn table_reference(&mut self) -> Result<TableRef> {
        self.nested(|parser| {
            let first = parser.table_factor()?;
            parser.joins(first)
        })
    }

    /// Joins after `first`.
    ///
    /// A join without ON waits: `a JOIN b JOIN c ON x ON y` gives the first ON to the inner join. One
    /// that never gets an ON joins every pair and goes before what follows it:
    /// `a JOIN b JOIN c ON x` is `(a JOIN b) JOIN c ON x`.
    #[inline(never)]
    fn joins(&mut self, first: TableRef) -> Result<TableRef> {
        // Sides that wait for ON, and how many joins of this chain their left spine has.
        let mut waiting: Vec<(TableRef, usize, JoinKind)> = Vec::new();
        let (mut current, mut spine) = (first, 0);
        while let Some((kind, natural)) = self.join_operator()? {
            let right = self.nested(|parser| parser.table_factor())?;
            self.higher()?;
            if natural {
                current = join(kind, current, right, JoinConstraint::Natural);
                spine += 1;
                continue;
            }
            waiting.push((current, spine, kind));
            (current, spine) = (right, 0);
            while self.is_join_condition() {
                let Some((left, left_spine, kind)) = waiting.pop() else {
                    return Err(self.error());
                };
                let constraint = match self.accept_word("ON") {
                    true => JoinConstraint::On(self.expr()?),
                    false => {
                        self.advance();
                        JoinConstraint::Using(self.names()?)
                    }
                };
                current = join(kind, left, current, constraint);
                spine = left_spine + 1;
            }
        }
        while let Some((left, left_spine, kind)) = waiting.pop() {
            if matches!(kind, JoinKind::Left | JoinKind::Right) {
                return Err(self.error());
            }
            current = before_first(current, spine, left, kind);
            spine += left_spine + 1;
        }
        Ok(current)
    }

    /// ON or USING; ON DUPLICATE KEY belongs to the INSERT around.
    fn is_join_condition(&self) -> bool {
        self.is("USING") || (self.is("ON") && !self.are(&["ON", "DUPLICATE", "KEY"]))
    }

    /// The join operator that comes next, and whether it is NATURAL.
    fn join_operator(&mut self) -> Result<Option<(JoinKind, bool)>> {
        let natural = self.accept_word("NATURAL");
        let kind = match self.upper().as_str() {
            "JOIN" => JoinKind::Inner,
            "INNER" | "CROSS" if !(natural && self.is("CROSS")) => {
                self.advance();
                JoinKind::Inner
            }
            "STRAIGHT_JOIN" if !natural => {
                self.advance();
                return Ok(Some((JoinKind::Straight, false)));
            }
            side @ ("LEFT" | "RIGHT") => {
                let kind = if side == "LEFT" { JoinKind::Left } else { JoinKind::Right };
                self.advance();
                self.accept_word("OUTER");
                kind
            }
            _ if natural => return Err(self.error()),
            _ => return Ok(None),
        };
        self.expect_word("JOIN")?;
        Ok(Some((kind, natural)))
    }

    #[inline(never)]
    fn table_factor(&mut self) -> Result<TableRef> {
        if self.accept_kind(TokenKind::LeftBrace) {
            // ODBC: `{OJ a LEFT JOIN b ON …}`.
            self.identifier()?;
            let inner = self.table_reference()?;
            self.expect_kind(TokenKind::RightBrace)?;
            return Ok(inner);
        }
        if self.is("JSON_TABLE") {
            return Err(Error::not_supported("JSON_TABLE"));
        }
        let lateral = self.accept_word("LATERAL");
        if self.kind() == TokenKind::LeftParen {
            let error = self.error();
            return match self.nested(|parser| parser.inside_from())? {
                InsideFrom::Query(query) => self.derived(query, lateral),
                InsideFrom::Tables(_) if lateral => Err(error),
                InsideFrom::Tables(tables) => Ok(tables),
            };
        }
        if lateral {
            return Err(self.error());
        }
        Ok(TableRef::Table(Box::new(self.table_source()?)))
    }

    #[inline(never)]
    fn derived(&mut self, query: Box<Query>, lateral: bool) -> Result<TableRef> {
        self.accept_word("AS");
        if !self.is_identifier() {
            return Err(Error::derived_without_alias());
        }
        let alias = self.identifier()?;
        let columns = match self.kind() {
            TokenKind::LeftParen => self.names()?,
            _ => Vec::new(),
        };
        Ok(TableRef::Derived { lateral, query, alias, columns })
    }

    /// `( … )` in FROM: a query or tables. As in expressions, an inner query decides later.
    #[inline(never)]
    fn inside_from(&mut self) -> Result<InsideFrom> {
        let start = self.at;
        self.expect_kind(TokenKind::LeftParen)?;
        let inside = if self.starts_query() {
            InsideFrom::Query(self.boxed_query()?)
        } else if self.kind() == TokenKind::LeftParen {
            let first = match self.nested(|parser| parser.inside_from())? {
                InsideFrom::Query(query) if self.continues_query() => {
                    let query = self.query_after(query, start)?;
                    self.expect_kind(TokenKind::RightParen)?;
                    return Ok(InsideFrom::Query(query));
                }
                InsideFrom::Query(query) => self.derived(query, false)?,
                InsideFrom::Tables(tables) => tables,
            };
            let first = self.joins(first)?;
            InsideFrom::Tables(self.more_tables(first)?)
        } else {
            let first = self.table_reference()?;
            InsideFrom::Tables(self.more_tables(first)?)
        };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(inside)
    }

    /// Tables after commas in parentheses join every pair.
    #[inline(never)]
    fn more_tables(&mut self, first: TableRef) -> Result<TableRef> {
        let mut tables = first;
        while self.accept_kind(TokenKind::Comma) {
            let right = self.table_reference()?;
            self.higher()?;
            tables = join(JoinKind::Inner, tables, right, JoinConstraint::None);
        }
        Ok(tables)
    }

    /// A table with partitions, alias, point in time and hints.
    #[inline(never)]
    pub(super) fn table_source(&mut self) -> Result<TableSource> {
        let start = self.at;
        let name = self.table_name()?;
        let span = self.span_from(start);
        let partitions = self.partition_names()?;
        let (alias, as_of) = self.alias_and_point()?;
        let mut hints = Vec::new();
        while let Some(hint) = self.index_hint()? {
            hints.push(hint);
            self.accept_kind(TokenKind::Comma);
        }
        Ok(TableSource { name, partitions, alias, as_of, hints, span })
    }

    /// An alias and a point in time, in either order.
    pub(super) fn alias_and_point(&mut self) -> Result<(Option<String>, Option<Box<Expr>>)> {
        let mut alias = self.table_alias()?;
        let as_of = self.as_of()?;
        if as_of.is_some() && alias.is_none() {
            alias = self.table_alias()?;
        }
        Ok((alias, as_of))
    }

    fn table_alias(&mut self) -> Result<Option<String>> {
        let is_alias = !self.are(&AS_OF) && (self.accept_word("AS") || self.is_identifier());
        if is_alias { self.identifier().map(Some) } else { Ok(None) }
    }

    /// `AS OF TIMESTAMP expression`, when it stands here.
    #[inline(never)]
    pub(super) fn as_of(&mut self) -> Result<Option<Box<Expr>>> {
        if !self.accept(&AS_OF) {
            return Ok(None);
        }
        self.expr().map(Box::new).map(Some)
    }

    /// `PARTITION (a, b)`, when it stands here.
    pub(super) fn partition_names(&mut self) -> Result<Vec<String>> {
        if self.accept_word("PARTITION") { self.names() } else { Ok(Vec::new()) }
    }

    #[inline(never)]
    fn index_hint(&mut self) -> Result<Option<IndexHint>> {
        let action = match self.upper().as_str() {
            "USE" => IndexHintAction::Use,
            "FORCE" => IndexHintAction::Force,
            "IGNORE" => IndexHintAction::Ignore,
            _ => return Ok(None),
        };
        // `LOAD DATA … IGNORE 1 LINES` and the like are no hints.
        if !self.is_at(1, "INDEX") && !self.is_at(1, "KEY") {
            return Ok(None);
        }
        self.at += 2;
        let purpose = if self.accept(&["FOR", "JOIN"]) {
            Some(IndexHintPurpose::Join)
        } else if self.accept(&["FOR", "ORDER", "BY"]) {
            Some(IndexHintPurpose::OrderBy)
        } else if self.accept(&["FOR", "GROUP", "BY"]) {
            Some(IndexHintPurpose::GroupBy)
        } else {
            None
        };
        self.expect_kind(TokenKind::LeftParen)?;
        let mut indexes = Vec::new();
        if self.kind() != TokenKind::RightParen || action != IndexHintAction::Use {
            indexes = self.list(|parser| {
                if parser.accept_word("PRIMARY") {
                    return Ok("PRIMARY".to_string());
                }
                parser.identifier()
            })?;
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(Some(IndexHint { action, purpose, indexes }))
    }
}

/// What stands in parentheses in FROM.
enum InsideFrom {
    Query(Box<Query>),
    Tables(TableRef),
}

fn join(kind: JoinKind, left: TableRef, right: TableRef, constraint: JoinConstraint) -> TableRef {
    TableRef::Join { kind, left: Box::new(left), right: Box::new(right), constraint }
}

/// Puts `left` before the first table of `tables`, below `spine` joins.
fn before_first(tables: TableRef, spine: usize, left: TableRef, kind: JoinKind) -> TableRef {
    match tables {
        TableRef::Join { kind: outer, left: inner, right, constraint } if spine > 0 => {
            let inner = Box::new(before_first(*inner, spine - 1, left, kind));
            TableRef::Join { kind: outer, left: inner, right, constraint }
        }
        first => join(kind, left, first, JoinConstraint::None),
    }
}

/// A query in parentheses as a part of another: only one with clauses stays a query of its own.
fn unwrapped(query: Query) -> QueryBody {
    let plain = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.locks.is_empty()
        && query.into.is_none();
    if plain { query.body } else { QueryBody::Query(Box::new(query)) }
}
