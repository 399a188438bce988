//! FROM: tables with their aliases, partitions, points in time and hints, joins, derived tables.

use super::Parser;
use crate::ast::{
    Expr, IndexHint, IndexHintAction, IndexHintPurpose, JoinConstraint, JoinKind, Query, TableRef,
    TableSource,
};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

/// What introduces a point in the past.
const AS_OF: [&str; 3] = ["AS", "OF", "TIMESTAMP"];

impl Parser<'_> {
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
