//! One SELECT: its options, its select list, its clauses, INTO.
//!
//! Not here: FROM (`from`), what joins and surrounds SELECTs (`query`).

use super::Parser;
use crate::ast::{Expr, OrderItem, Select, SelectInto, SelectItem, SelectOptions, SourceText};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    #[inline(never)]
    pub(super) fn select(&mut self) -> Result<Select> {
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

    /// What follows INTO.
    #[inline(never)]
    pub(super) fn select_into(&mut self) -> Result<SelectInto> {
        if self.accept_word("OUTFILE") {
            let file = self.string()?;
            let charset = self.optional_charset()?;
            return Ok(SelectInto::Outfile { file, charset, format: self.file_format()? });
        }
        if self.accept_word("DUMPFILE") {
            return Ok(SelectInto::Dumpfile(self.string()?));
        }
        Ok(SelectInto::Variables(self.list(Self::select_target)?))
    }
}
