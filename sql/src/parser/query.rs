//! Queries: WITH, set operations, ORDER BY, LIMIT, locking clauses.
//!
//! INTERSECT binds tighter than UNION and EXCEPT, which associate to the left.
//!
//! Not here: one SELECT (`select`), what it reads (`from`).

use super::Parser;
use crate::ast::{
    CommonTable, Expr, Limit, LockClause, LockStrength, LockWait, Query, QueryBody, SetOperator,
    Statement, With,
};
use crate::error::Result;
use crate::lexer::TokenKind;
use base::limits::UNION_PARTS_IN_LINE_MAX;

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
        // Parts of UNIONs that are all ALL, or none is.
        let mut run = vec![self.intersection(first)?];
        let mut run_all = false;
        while let Some(word) = self.accept_any(&["UNION", "EXCEPT"]) {
            let op = if word == "UNION" { SetOperator::Union } else { SetOperator::Except };
            let all = self.set_quantifier();
            let right = self.nested(|parser| parser.intersection(None))?;
            let goes_on = op == SetOperator::Union && (run.len() == 1 || all == run_all);
            if !goes_on {
                let left = self.united(std::mem::take(&mut run), run_all)?;
                run.push(left);
            }
            if op == SetOperator::Union {
                run_all = all;
                run.push(right);
            } else if let Some(left) = run.pop() {
                self.higher()?;
                let (left, right) = (Box::new(left), Box::new(right));
                run.push(QueryBody::SetOperation { op, all, left, right });
            }
        }
        self.united(run, run_all)
    }

    /// The UNION of parts, from left to right; very many of them as a balanced tree, which has the same rows in the same order.
    #[inline(never)]
    fn united(&mut self, mut parts: Vec<QueryBody>, all: bool) -> Result<QueryBody> {
        let op = SetOperator::Union;
        let join = |left, right| {
            let (left, right) = (Box::new(left), Box::new(right));
            QueryBody::SetOperation { op, all, left, right }
        };
        let is_paired = parts.len() > UNION_PARTS_IN_LINE_MAX;
        while is_paired && parts.len() > 1 {
            self.higher()?;
            let mut rest = parts.into_iter();
            parts = Vec::with_capacity(rest.len().div_ceil(2));
            while let Some(left) = rest.next() {
                parts.push(match rest.next() {
                    Some(right) => join(left, right),
                    None => left,
                });
            }
        }
        let mut rest = parts.into_iter();
        let Some(mut left) = rest.next() else { return Err(self.error()) };
        for right in rest {
            self.higher()?;
            left = join(left, right);
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
            TokenKind::Word | TokenKind::Quoted if self.in_program => {
                let start = self.at;
                let name = crate::ast::ColumnName::bare(self.identifier()?);
                let kind = crate::ast::ExprKind::Column(name);
                Ok(Expr { kind, span: self.span_from(start) })
            }
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
