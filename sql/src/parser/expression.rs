//! Expressions: operators by precedence climbing.
//!
//! From loosest to tightest, as MySQL's grammar really groups them:
//!
//! ```text
//! OR ||  <  XOR  <  AND &&  <  NOT  <  = <=> >= > <= < <> !=, IS  <  IN LIKE REGEXP BETWEEN
//!   <  |  <  &  <  << >>  <  + -  <  * / DIV % MOD  <  ^  <  || (concatenation)
//!   <  unary - + ~  <  !  <  COLLATE  <  literals, names, calls, parentheses
//! ```
//!
//! IN, LIKE, REGEXP and BETWEEN take operands that are tighter than they are, and bind tighter than the
//! comparisons: `a = b LIKE c` is `a = (b LIKE c)`, and `a LIKE b LIKE c` is an error. (MySQL's manual
//! lists them on the comparisons' line; its grammar does this.)
//!
//! Rules that recurse are not inlined into each other, here and in `function` and `select`: a level of
//! nesting then costs the frames of the rules it goes through and not the locals of all of them.

use super::Parser;
use crate::ast::{
    BinaryOp, CastType, ColumnName, Expr, ExprKind, IntervalUnit, IsTest, Literal, Query, UnaryOp,
};
use crate::error::Result;
use crate::lexer::{self, TokenKind, digest};

/// How tight operators bind.
mod level {
    pub const OR: u8 = 1;
    pub const XOR: u8 = 2;
    pub const AND: u8 = 3;
    pub const NOT: u8 = 4;
    pub const COMPARISON: u8 = 5;
    pub const PREDICATE: u8 = 6;
    pub const BIT_OR: u8 = 7;
    pub const BIT_AND: u8 = 8;
    pub const SHIFT: u8 = 9;
    pub const ADD: u8 = 10;
    pub const MULTIPLY: u8 = 11;
    pub const BIT_XOR: u8 = 12;
    pub const CONCAT: u8 = 13;
    pub const UNARY: u8 = 14;
}

/// What stands in parentheses: a query, or one or more expressions.
pub(super) enum Inside {
    Query(Box<Query>),
    Exprs(Vec<Expr>),
}

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.nested(|parser| parser.climb(None, level::OR))
    }

    /// An expression without comparison (MySQL's `bit_expr`).
    pub(super) fn bit_expr(&mut self) -> Result<Expr> {
        self.operand(level::BIT_OR)
    }

    /// What follows `INTERVAL n unit +`: the plus binds like any other.
    pub(super) fn added_date(&mut self) -> Result<Expr> {
        self.operand(level::MULTIPLY)
    }

    fn operand(&mut self, lowest: u8) -> Result<Expr> {
        self.nested(|parser| parser.climb(None, lowest))
    }

    /// Operators of at least `lowest` after `left` (or after the operand that comes next).
    #[inline(never)]
    fn climb(&mut self, left: Option<Expr>, lowest: u8) -> Result<Expr> {
        // Operators that are tighter than the one just read cannot follow it.
        let mut highest = u8::MAX;
        let mut left = match left {
            Some(left) => left,
            None if lowest <= level::NOT && self.is("NOT") && !self.mode.high_not_precedence => {
                highest = level::NOT;
                self.prefix(UnaryOp::Not, level::NOT)?
            }
            None => self.unary()?,
        };
        while let Some((op, level)) = self.operator() {
            if level < lowest || level > highest {
                break;
            }
            // One predicate cannot be the operand of another.
            highest = if level == level::PREDICATE { level::COMPARISON } else { level };
            left = self.infix(left, op, level)?;
        }
        Ok(left)
    }

    /// The operator that comes next, applied to `left`.
    #[inline(never)]
    fn infix(&mut self, left: Expr, op: Operator, level: u8) -> Result<Expr> {
        match op {
            Operator::Binary(op @ (BinaryOp::Or | BinaryOp::And)) => self.chain(left, op, level),
            Operator::Binary(op) => self.binary(left, op, level),
            Operator::Concat => self.concatenation(left),
            Operator::Is => self.is_test(left),
            Operator::Predicate => self.predicate(left),
        }
    }

    /// A prefix operator and its operand of at least `lowest`.
    #[inline(never)]
    fn prefix(&mut self, op: UnaryOp, lowest: u8) -> Result<Expr> {
        let start = self.at;
        self.advance();
        let operand = Box::new(self.operand(lowest)?);
        self.made(start, ExprKind::Unary { op, operand })
    }

    /// The operator that comes next.
    fn operator(&self) -> Option<(Operator, u8)> {
        use BinaryOp::*;
        let (op, level) = match self.kind() {
            TokenKind::Word if self.is("MEMBER") && self.is_at(1, "OF") => {
                return Some((Operator::Predicate, level::PREDICATE));
            }
            TokenKind::Word if self.is("SOUNDS") && self.is_at(1, "LIKE") => {
                return Some((Operator::Predicate, level::PREDICATE));
            }
            TokenKind::Reserved => return self.word_operator(),
            TokenKind::PipePipe if self.mode.pipes_as_concat => {
                return Some((Operator::Concat, level::CONCAT));
            }
            TokenKind::PipePipe => (Or, level::OR),
            TokenKind::AmpersandAmpersand => (And, level::AND),
            TokenKind::Equal => (Equal, level::COMPARISON),
            TokenKind::NullSafeEqual => (NullSafeEqual, level::COMPARISON),
            TokenKind::NotEqual => (NotEqual, level::COMPARISON),
            TokenKind::Less => (Less, level::COMPARISON),
            TokenKind::LessEqual => (LessEqual, level::COMPARISON),
            TokenKind::Greater => (Greater, level::COMPARISON),
            TokenKind::GreaterEqual => (GreaterEqual, level::COMPARISON),
            TokenKind::Pipe => (BitOr, level::BIT_OR),
            TokenKind::Ampersand => (BitAnd, level::BIT_AND),
            TokenKind::ShiftLeft => (ShiftLeft, level::SHIFT),
            TokenKind::ShiftRight => (ShiftRight, level::SHIFT),
            TokenKind::Plus => (Add, level::ADD),
            TokenKind::Minus => (Subtract, level::ADD),
            TokenKind::Star => (Multiply, level::MULTIPLY),
            TokenKind::Slash => (Divide, level::MULTIPLY),
            TokenKind::Percent => (Modulo, level::MULTIPLY),
            TokenKind::Caret => (BitXor, level::BIT_XOR),
            _ => return None,
        };
        Some((Operator::Binary(op), level))
    }

    fn word_operator(&self) -> Option<(Operator, u8)> {
        let predicate = Some((Operator::Predicate, level::PREDICATE));
        match self.upper().as_str() {
            "OR" => Some((Operator::Binary(BinaryOp::Or), level::OR)),
            "XOR" => Some((Operator::Binary(BinaryOp::Xor), level::XOR)),
            "AND" => Some((Operator::Binary(BinaryOp::And), level::AND)),
            "DIV" => Some((Operator::Binary(BinaryOp::IntegerDivide), level::MULTIPLY)),
            "MOD" => Some((Operator::Binary(BinaryOp::Modulo), level::MULTIPLY)),
            "IS" => Some((Operator::Is, level::COMPARISON)),
            "IN" | "LIKE" | "REGEXP" | "RLIKE" | "BETWEEN" => predicate,
            "NOT" => match self.upper_at(1).as_str() {
                "IN" | "LIKE" | "REGEXP" | "RLIKE" | "BETWEEN" => predicate,
                _ => None,
            },
            _ => None,
        }
    }

    /// `left OR b OR c …` as a balanced tree. The same operator inside parentheses joins in: it is
    /// associative, and so one text of a tree gives one tree.
    #[inline(never)]
    fn chain(&mut self, left: Expr, op: BinaryOp, level: u8) -> Result<Expr> {
        let mut operands = Vec::new();
        flatten(left, op, &mut operands);
        while matches!(self.operator(), Some((Operator::Binary(next), _)) if next == op) {
            self.advance();
            flatten(self.operand(level + 1)?, op, &mut operands);
        }
        // Operands count as high as the highest of them; the balanced tree above adds its logarithm.
        for _ in 0..operands.len().next_power_of_two().ilog2() {
            self.higher()?;
        }
        Ok(balanced(operands, op))
    }

    #[inline(never)]
    fn binary(&mut self, left: Expr, op: BinaryOp, level: u8) -> Result<Expr> {
        self.advance();
        if matches!(op, BinaryOp::Add | BinaryOp::Subtract) && self.is_interval() {
            return self.date_arithmetic_after(left, op);
        }
        if op.is_comparison() && self.is_quantifier() {
            return self.quantified(left, op);
        }
        let right = Box::new(self.operand(level + 1)?);
        self.joined(ExprKind::Binary { op, left: Box::new(left), right })
    }

    /// `left ± INTERVAL amount unit`; INTERVAL comes next.
    #[inline(never)]
    fn date_arithmetic_after(&mut self, left: Expr, op: BinaryOp) -> Result<Expr> {
        self.advance();
        let amount = Box::new(self.expr()?);
        let unit = self.interval_unit()?;
        let subtract = op == BinaryOp::Subtract;
        let span = left.span.to(self.span_from(self.at.saturating_sub(1)));
        self.higher()?;
        let operand = Box::new(left);
        Ok(Expr { kind: ExprKind::DateArithmetic { subtract, operand, amount, unit }, span })
    }

    /// ALL is reserved; ANY and SOME are quantifiers before a parenthesis only.
    fn is_quantifier(&self) -> bool {
        self.is("ALL") || (self.is_any(&["ANY", "SOME"]) && self.kind_at(1) == TokenKind::LeftParen)
    }

    #[inline(never)]
    fn quantified(&mut self, left: Expr, op: BinaryOp) -> Result<Expr> {
        let all = self.is("ALL");
        self.advance();
        let query = Box::new(self.subquery()?);
        self.joined(ExprKind::Quantified { left: Box::new(left), op, all, query })
    }

    /// `a || b || c` under PIPES_AS_CONCAT is `concat(a, b, c)`.
    #[inline(never)]
    fn concatenation(&mut self, left: Expr) -> Result<Expr> {
        let first = left.span;
        let mut args = vec![left];
        while self.accept_kind(TokenKind::PipePipe) {
            args.push(self.operand(level::CONCAT + 1)?);
        }
        self.higher()?;
        let span = first.to(self.span_from(self.at.saturating_sub(1)));
        let name = "concat".to_string();
        Ok(Expr { kind: ExprKind::Function { database: None, name, args }, span })
    }

    /// INTERVAL of date arithmetic, not the function `INTERVAL(a, b)`.
    pub(super) fn is_interval(&self) -> bool {
        if !self.is("INTERVAL") {
            return false;
        }
        if self.kind_at(1) != TokenKind::LeftParen {
            return true;
        }
        // `INTERVAL (a, b)` has a comma at its own level, `INTERVAL (a) DAY` has none.
        let mut depth = 0usize;
        for token in &self.tokens[self.at + 1..] {
            match token.kind {
                TokenKind::LeftParen => depth += 1,
                TokenKind::RightParen if depth <= 1 => return true,
                TokenKind::RightParen => depth -= 1,
                TokenKind::Comma if depth == 1 => return false,
                _ => {}
            }
        }
        true
    }

    pub(super) fn interval_unit(&mut self) -> Result<IntervalUnit> {
        let unit = IntervalUnit::from_name(&self.upper()).ok_or_else(|| self.error())?;
        self.advance();
        Ok(unit)
    }

    /// A node whose first part was read before: its span starts where that part starts.
    fn joined(&mut self, kind: ExprKind) -> Result<Expr> {
        self.higher()?;
        let first = match &kind {
            ExprKind::Binary { left, .. } | ExprKind::Quantified { left, .. } => left.span,
            ExprKind::Between { operand, .. }
            | ExprKind::InList { operand, .. }
            | ExprKind::InSubquery { operand, .. }
            | ExprKind::Like { operand, .. }
            | ExprKind::Regexp { operand, .. }
            | ExprKind::Is { operand, .. }
            | ExprKind::Collate { operand, .. } => operand.span,
            ExprKind::MemberOf { value, .. } => value.span,
            _ => self.token().span,
        };
        let span = first.to(self.span_from(self.at.saturating_sub(1)));
        Ok(Expr { kind, span })
    }

    /// A node that started at token `start`.
    pub(super) fn made(&mut self, start: usize, kind: ExprKind) -> Result<Expr> {
        self.higher()?;
        Ok(Expr { kind, span: self.span_from(start) })
    }

    #[inline(never)]
    fn is_test(&mut self, left: Expr) -> Result<Expr> {
        self.advance();
        let negated = self.accept_word("NOT");
        let test = match self.upper().as_str() {
            "NULL" => IsTest::Null,
            "TRUE" => IsTest::True,
            "FALSE" => IsTest::False,
            "UNKNOWN" => IsTest::Unknown,
            _ => return Err(self.error()),
        };
        self.advance();
        self.joined(ExprKind::Is { negated, operand: Box::new(left), test })
    }

    #[inline(never)]
    fn predicate(&mut self, left: Expr) -> Result<Expr> {
        let operand = Box::new(left);
        if self.accept(&["MEMBER", "OF"]) {
            self.expect_kind(TokenKind::LeftParen)?;
            let array = Box::new(self.expr()?);
            self.expect_kind(TokenKind::RightParen)?;
            return self.joined(ExprKind::MemberOf { value: operand, array });
        }
        if self.accept(&["SOUNDS", "LIKE"]) {
            let right = self.bit_expr()?;
            let soundex = |arg: Expr| {
                let span = arg.span;
                let name = "soundex".to_string();
                Expr { kind: ExprKind::Function { database: None, name, args: vec![arg] }, span }
            };
            self.higher()?;
            let (left, right) = (Box::new(soundex(*operand)), Box::new(soundex(right)));
            return self.joined(ExprKind::Binary { op: BinaryOp::Equal, left, right });
        }
        let negated = self.accept_word("NOT");
        let word = self.upper();
        self.advance();
        let kind = match word.as_str() {
            "BETWEEN" => {
                let low = Box::new(self.bit_expr()?);
                self.expect_word("AND")?;
                let high = Box::new(self.operand(level::PREDICATE)?);
                ExprKind::Between { negated, operand, low, high }
            }
            "LIKE" => {
                let pattern = Box::new(self.bit_expr()?);
                let escape = match self.accept_word("ESCAPE") {
                    true => Some(Box::new(self.operand(level::UNARY)?)),
                    false => None,
                };
                ExprKind::Like { negated, operand, pattern, escape }
            }
            "IN" => match self.inside_parentheses()? {
                Inside::Query(query) => ExprKind::InSubquery { negated, operand, query },
                Inside::Exprs(list) => ExprKind::InList { negated, operand, list },
            },
            _ => {
                let pattern = Box::new(self.bit_expr()?);
                ExprKind::Regexp { negated, operand, pattern }
            }
        };
        self.joined(kind)
    }

    /// Prefix operators, and COLLATE behind the operand.
    #[inline(never)]
    fn unary(&mut self) -> Result<Expr> {
        let op = match self.kind() {
            TokenKind::Minus => UnaryOp::Minus,
            TokenKind::Plus => UnaryOp::Plus,
            TokenKind::Tilde => UnaryOp::BitNot,
            TokenKind::Bang => UnaryOp::Not,
            TokenKind::Reserved if self.is("NOT") && self.mode.high_not_precedence => UnaryOp::Not,
            TokenKind::Reserved if self.is("BINARY") => return self.binary_cast(),
            _ => {
                let operand = self.primary()?;
                return if self.is("COLLATE") { self.collated(operand) } else { Ok(operand) };
            }
        };
        self.prefix(op, level::UNARY)
    }

    #[inline(never)]
    fn binary_cast(&mut self) -> Result<Expr> {
        let start = self.at;
        self.advance();
        let operand = Box::new(self.operand(level::UNARY)?);
        self.made(start, ExprKind::Cast { operand, to: CastType::Binary { length: None } })
    }

    #[inline(never)]
    fn collated(&mut self, mut operand: Expr) -> Result<Expr> {
        while self.accept_word("COLLATE") {
            let collation = self.charset_name()?;
            operand = self.joined(ExprKind::Collate { operand: Box::new(operand), collation })?;
        }
        Ok(operand)
    }

    #[inline(never)]
    fn primary(&mut self) -> Result<Expr> {
        let start = self.at;
        let token = self.token();
        let kind = match token.kind {
            TokenKind::String => self.string_literal(None)?,
            TokenKind::National
            | TokenKind::Integer
            | TokenKind::Decimal
            | TokenKind::Double
            | TokenKind::Hex
            | TokenKind::Bits => self.plain_literal()?,
            TokenKind::Parameter if self.parameters_allowed => {
                self.advance();
                self.parameters += 1;
                ExprKind::Param(self.parameters - 1)
            }
            TokenKind::UserVariable => self.user_variable()?,
            TokenKind::AtAt => self.system_variable()?,
            TokenKind::LeftParen => match self.inside_parentheses()? {
                Inside::Query(query) => ExprKind::Subquery(query),
                Inside::Exprs(mut exprs) if exprs.len() == 1 => return Ok(exprs.swap_remove(0)),
                Inside::Exprs(exprs) => ExprKind::Row(exprs),
            },
            // ODBC: `{d '2020-01-01'}`.
            TokenKind::LeftBrace => self.odbc_literal()?,
            TokenKind::Word | TokenKind::Quoted => self.name_or_call()?,
            TokenKind::Reserved => self.reserved_primary()?,
            _ => return Err(self.error()),
        };
        self.made(start, kind)
    }

    /// A primary, where only a literal may stand; the caller checks that it is one.
    pub(super) fn literal_primary(&mut self) -> Result<Expr> {
        self.nested(Self::primary)
    }

    #[inline(never)]
    fn plain_literal(&mut self) -> Result<ExprKind> {
        let token = self.token();
        let literal = digest::literal(token.kind, self.source(token), &self.mode)
            .ok_or_else(|| self.error())?;
        if let Literal::Double(text) = &literal
            && !text.parse::<f64>().is_ok_and(f64::is_finite)
        {
            return Err(crate::error::Error::illegal_double(text));
        }
        self.advance();
        Ok(ExprKind::Literal(literal))
    }

    /// A string with the adjacent ones.
    #[inline(never)]
    fn string_literal(&mut self, charset: Option<String>) -> Result<ExprKind> {
        let mut value = self.string()?;
        let first = crate::ast::SourceText(value.clone());
        while self.kind() == TokenKind::String {
            value.push_str(&self.string()?);
        }
        Ok(ExprKind::Literal(Literal::String { value, charset, first }))
    }

    #[inline(never)]
    fn odbc_literal(&mut self) -> Result<ExprKind> {
        self.advance();
        let kind = self.identifier()?;
        if self.kind() != TokenKind::String {
            // `{fn NOW()}` is the expression itself.
            let expr = self.expr()?;
            self.expect_kind(TokenKind::RightBrace)?;
            return Ok(expr.kind);
        }
        let text = self.string()?;
        self.expect_kind(TokenKind::RightBrace)?;
        Ok(ExprKind::Literal(match kind.to_ascii_lowercase().as_str() {
            "d" => Literal::Date(text),
            "t" => Literal::Time(text),
            "ts" => Literal::Timestamp(text),
            _ => {
                let first = crate::ast::SourceText(text.clone());
                Literal::String { value: text, charset: None, first }
            }
        }))
    }

    /// The name of the user variable that comes next.
    pub(super) fn variable_name(&mut self) -> Result<String> {
        let token = self.token();
        if token.kind != TokenKind::UserVariable {
            return Err(self.error());
        }
        self.advance();
        Ok(lexer::variable_value(self.source(token), &self.mode))
    }

    #[inline(never)]
    fn user_variable(&mut self) -> Result<ExprKind> {
        let name = self.variable_name()?;
        if self.accept_kind(TokenKind::Assign) {
            return Ok(ExprKind::Assign { name, value: Box::new(self.expr()?) });
        }
        Ok(ExprKind::UserVariable(name))
    }

    #[inline(never)]
    fn system_variable(&mut self) -> Result<ExprKind> {
        self.advance();
        let (scope, name) = self.scoped_variable()?;
        Ok(ExprKind::SystemVariable { scope, name })
    }

    /// Names and calls that start with a word or a quoted name.
    #[inline(never)]
    fn name_or_call(&mut self) -> Result<ExprKind> {
        let token = self.token();
        let word = self.source(token);
        if token.kind == TokenKind::Word {
            match self.kind_at(1) {
                TokenKind::String => {
                    if let Some(literal) = self.introduced_string(word)? {
                        return Ok(literal);
                    }
                }
                TokenKind::Hex | TokenKind::Bits => {
                    if let Some(charset) = charset_of(word) {
                        self.advance();
                        let mut kind = self.plain_literal()?;
                        if let ExprKind::Literal(Literal::Bytes { charset: place, .. }) = &mut kind
                        {
                            *place = Some(charset);
                        }
                        return Ok(kind);
                    }
                }
                TokenKind::LeftParen => return self.function_call(word.to_string()),
                _ => {}
            }
            if let Some(value) = self.sequence_value()? {
                return Ok(value);
            }
        }
        self.column_or_stored_function()
    }

    /// `DATE '…'` and `_utf8mb4'…'`.
    #[inline(never)]
    fn introduced_string(&mut self, word: &str) -> Result<Option<ExprKind>> {
        let literal: fn(String) -> Literal = match word.to_ascii_uppercase().as_str() {
            "DATE" => Literal::Date,
            "TIME" => Literal::Time,
            "TIMESTAMP" => Literal::Timestamp,
            _ => {
                let Some(charset) = charset_of(word) else { return Ok(None) };
                self.advance();
                return self.string_literal(Some(charset)).map(Some);
            }
        };
        self.advance();
        Ok(Some(ExprKind::Literal(literal(self.string()?))))
    }

    #[inline(never)]
    fn column_or_stored_function(&mut self) -> Result<ExprKind> {
        let mut parts = vec![self.identifier()?];
        while parts.len() < 3 && self.accept_kind(TokenKind::Dot) {
            parts.push(self.identifier()?);
        }
        if parts.len() == 2 && self.kind() == TokenKind::LeftParen {
            let name = parts.pop().unwrap_or_default();
            let args = self.arguments()?;
            return Ok(ExprKind::Function { database: parts.pop(), name, args });
        }
        let column = parts.pop().unwrap_or_default();
        let name = ColumnName { table: parts.pop(), database: parts.pop(), column };
        let unquote = match self.kind() {
            TokenKind::Arrow => false,
            TokenKind::LongArrow => true,
            _ => return Ok(ExprKind::Column(name)),
        };
        self.advance();
        Ok(ExprKind::JsonPath { column: name, path: self.string()?, unquote })
    }

    /// `database.table.column` with fewer parts allowed.
    pub(super) fn column_name(&mut self) -> Result<ColumnName> {
        let mut parts = vec![self.identifier()?];
        while parts.len() < 3 && self.accept_kind(TokenKind::Dot) {
            parts.push(self.identifier()?);
        }
        let column = parts.pop().unwrap_or_default();
        Ok(ColumnName { table: parts.pop(), database: parts.pop(), column })
    }

    /// `( … )`: a query or expressions. `((SELECT 1) UNION SELECT 2)` is a query and
    /// `((SELECT 1) + 1)` is not, which shows only after the inner query; so whatever was read goes on
    /// as one or the other, and nothing is read twice.
    pub(super) fn inside_parentheses(&mut self) -> Result<Inside> {
        self.nested(|parser| parser.inside())
    }

    #[inline(never)]
    fn inside(&mut self) -> Result<Inside> {
        let start = self.at;
        self.expect_kind(TokenKind::LeftParen)?;
        if self.starts_query() {
            let query = self.boxed_query()?;
            self.expect_kind(TokenKind::RightParen)?;
            return Ok(Inside::Query(query));
        }
        let mut exprs = Vec::new();
        if self.kind() == TokenKind::LeftParen {
            let inner_start = self.at;
            match self.inside_parentheses()? {
                Inside::Query(query) if self.continues_query() => {
                    let query = self.query_after(query, start)?;
                    self.expect_kind(TokenKind::RightParen)?;
                    return Ok(Inside::Query(query));
                }
                inner => exprs.push(self.after_inner(inner, inner_start)?),
            }
            if self.accept_kind(TokenKind::Comma) {
                exprs.extend(self.list(Self::expr)?);
            }
        } else {
            exprs = self.list(Self::expr)?;
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(Inside::Exprs(exprs))
    }

    /// Goes on after parentheses that turned out to be the start of an expression.
    #[inline(never)]
    fn after_inner(&mut self, inner: Inside, start: usize) -> Result<Expr> {
        let left = match inner {
            Inside::Query(query) => self.made(start, ExprKind::Subquery(query))?,
            Inside::Exprs(mut exprs) if exprs.len() == 1 => exprs.swap_remove(0),
            Inside::Exprs(exprs) => self.made(start, ExprKind::Row(exprs))?,
        };
        let left = self.collated(left)?;
        self.climb(Some(left), level::OR)
    }

    /// A query in parentheses.
    pub(super) fn subquery(&mut self) -> Result<Query> {
        let error = self.error();
        match self.inside_parentheses()? {
            Inside::Query(query) => Ok(*query),
            Inside::Exprs(_) => Err(error),
        }
    }
}

/// Infix and postfix operators.
enum Operator {
    Binary(BinaryOp),
    /// `||` under PIPES_AS_CONCAT: the function.
    Concat,
    Is,
    /// IN, LIKE, REGEXP, BETWEEN, MEMBER OF, SOUNDS LIKE.
    Predicate,
}

/// The character set that `_name` introduces.
fn charset_of(word: &str) -> Option<String> {
    let name = word.strip_prefix('_')?;
    lexer::is_charset(name).then(|| name.to_ascii_lowercase())
}

/// The operands of a tree of `op`, in order. Such trees are balanced, so this does not recurse deep.
fn flatten(expr: Expr, op: BinaryOp, operands: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::Binary { op: inner, left, right } if inner == op => {
            flatten(*left, op, operands);
            flatten(*right, op, operands);
        }
        _ => operands.push(expr),
    }
}

/// Pairs neighbours until one tree is left.
fn balanced(mut operands: Vec<Expr>, op: BinaryOp) -> Expr {
    while operands.len() > 1 {
        let mut next = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            next.push(match rest.next() {
                Some(right) => {
                    let span = left.span.to(right.span);
                    let (left, right) = (Box::new(left), Box::new(right));
                    Expr { kind: ExprKind::Binary { op, left, right }, span }
                }
                None => left,
            });
        }
        operands = next;
    }
    // A chain has at least two operands.
    operands.pop().unwrap_or_else(|| Expr::new(ExprKind::Literal(Literal::Null)))
}
