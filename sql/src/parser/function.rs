//! Calls, and the primaries that start with a reserved word.
//!
//! Most functions are `name(args)`. The ones here have a grammar of their own: CAST, CONVERT, EXTRACT,
//! TRIM, SUBSTRING, DATE_ADD, aggregates, window functions, functions without parentheses.

use super::Parser;
use crate::ast::{
    Aggregate, AggregateKind, CastType, Expr, ExprKind, Frame, FrameBound, FrameOffset,
    IntervalUnit, Literal, OrderItem, Over, SequenceFunction, TrimSide, WindowSpec,
};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// A primary that starts with a reserved word.
    #[inline(never)]
    pub(super) fn reserved_primary(&mut self) -> Result<ExprKind> {
        let token = self.token();
        let written = self.source(token);
        let word = written.to_ascii_uppercase();
        let called = self.kind_at(1) == TokenKind::LeftParen;
        let literal = match word.as_str() {
            "NULL" => Literal::Null,
            "TRUE" => Literal::Bool(true),
            "FALSE" => Literal::Bool(false),
            // CASE has a large frame, so it counts for two levels.
            "CASE" => return self.nested(Self::case),
            "EXISTS" => return self.exists(),
            "INTERVAL" => return self.interval(),
            "ROW" if called => return self.row(),
            "DEFAULT" if called => return self.default_of(),
            "MATCH" => return self.match_against(),
            // These stand without parentheses, or with empty ones, or with a number of digits.
            "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | "CURRENT_USER"
            | "LOCALTIME" | "LOCALTIMESTAMP" | "UTC_DATE" | "UTC_TIME" | "UTC_TIMESTAMP" => {
                return self.constant_function(written.to_string());
            }
            "JSON_TABLE" => return Err(Error::not_supported("JSON_TABLE")),
            _ if called => return self.function_call(written.to_string()),
            _ => return Err(self.error()),
        };
        self.advance();
        Ok(ExprKind::Literal(literal))
    }

    #[inline(never)]
    fn exists(&mut self) -> Result<ExprKind> {
        self.advance();
        Ok(ExprKind::Exists(Box::new(self.subquery()?)))
    }

    /// `ROW(a, b)`.
    #[inline(never)]
    fn row(&mut self) -> Result<ExprKind> {
        self.advance();
        let members = self.parenthesised(Self::expr)?;
        if members.len() < 2 { Err(self.error()) } else { Ok(ExprKind::Row(members)) }
    }

    /// `DEFAULT(column)`.
    #[inline(never)]
    fn default_of(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let column = self.column_name()?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Default(Some(column)))
    }

    /// A function that may stand without parentheses.
    #[inline(never)]
    fn constant_function(&mut self, name: String) -> Result<ExprKind> {
        self.advance();
        let args = match self.kind() {
            TokenKind::LeftParen => self.arguments()?,
            _ => Vec::new(),
        };
        Ok(ExprKind::Function { database: None, name, args })
    }

    /// `name(…)`; the name comes next.
    #[inline(never)]
    pub(super) fn function_call(&mut self, name: String) -> Result<ExprKind> {
        let reserved = self.kind() == TokenKind::Reserved;
        let word = name.to_ascii_uppercase();
        // AVG is an ordinary word to MySQL's lexer, and an aggregate all the same.
        if (reserved || word == "AVG")
            && let Some(kind) = AggregateKind::from_name(&word)
        {
            return self.aggregate(kind);
        }
        match word.as_str() {
            "CAST" if reserved => self.cast(),
            "CONVERT" => self.convert(),
            "EXTRACT" if reserved => self.extract(),
            "TRIM" if reserved => self.trim(),
            "POSITION" if reserved => self.position(),
            "SUBSTRING" | "SUBSTR" | "MID" if reserved => self.substring(name),
            "DATE_ADD" | "DATE_SUB" | "ADDDATE" | "SUBDATE" if reserved => {
                self.date_arithmetic(word.contains("SUB"), word.ends_with("DATE"))
            }
            "TIMESTAMPADD" | "TIMESTAMPDIFF" => self.timestamp_arithmetic(word == "TIMESTAMPADD"),
            "GET_FORMAT" => self.get_format(),
            "NEXTVAL" => self.sequence_call(SequenceFunction::Next),
            "LASTVAL" => self.sequence_call(SequenceFunction::Last),
            "SETVAL" => self.sequence_call(SequenceFunction::Set),
            "CHAR" => self.char_codes(),
            "WEIGHT_STRING" => self.weight_string(),
            "VALUES" => {
                self.advance();
                self.expect_kind(TokenKind::LeftParen)?;
                let column = self.column_name()?;
                self.expect_kind(TokenKind::RightParen)?;
                Ok(ExprKind::Values(column))
            }
            "GROUPING" => {
                self.advance();
                Ok(ExprKind::Grouping(self.parenthesised(Self::expr)?))
            }
            "CUME_DIST" | "DENSE_RANK" | "FIRST_VALUE" | "LAG" | "LAST_VALUE" | "LEAD"
            | "NTH_VALUE" | "NTILE" | "PERCENT_RANK" | "RANK" | "ROW_NUMBER"
                if reserved =>
            {
                self.window_function(name)
            }
            _ if reserved && !is_callable(&word) => Err(self.error()),
            _ => {
                self.advance();
                let args = self.arguments()?;
                Ok(ExprKind::Function { database: None, name, args })
            }
        }
    }

    /// Arguments of a call, its parentheses included.
    #[inline(never)]
    pub(super) fn arguments(&mut self) -> Result<Vec<Expr>> {
        self.expect_kind(TokenKind::LeftParen)?;
        if self.accept_kind(TokenKind::RightParen) {
            return Ok(Vec::new());
        }
        let args = self.list(Self::expr)?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(args)
    }

    #[inline(never)]
    fn case(&mut self) -> Result<ExprKind> {
        self.advance();
        let operand = match self.is("WHEN") {
            true => None,
            false => Some(Box::new(self.expr()?)),
        };
        let mut whens = Vec::new();
        self.expect_word("WHEN")?;
        loop {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            whens.push((when, self.expr()?));
            if !self.accept_word("WHEN") {
                break;
            }
        }
        let otherwise = match self.accept_word("ELSE") {
            true => Some(Box::new(self.expr()?)),
            false => None,
        };
        self.expect_word("END")?;
        Ok(ExprKind::Case { operand, whens, otherwise })
    }

    /// `INTERVAL e unit + date`, or the function `INTERVAL(a, b, …)`.
    #[inline(never)]
    fn interval(&mut self) -> Result<ExprKind> {
        if !self.is_interval() {
            self.advance();
            let args = self.arguments()?;
            let name = "interval".to_string();
            return Ok(ExprKind::Function { database: None, name, args });
        }
        self.advance();
        let amount = Box::new(self.expr()?);
        let unit = self.interval_unit()?;
        self.expect_kind(TokenKind::Plus)?;
        let operand = Box::new(self.added_date()?);
        Ok(ExprKind::DateArithmetic { subtract: false, operand, amount, unit })
    }

    #[inline(never)]
    fn aggregate(&mut self, kind: AggregateKind) -> Result<ExprKind> {
        let start = self.at;
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let mut aggregate = Aggregate {
            kind,
            distinct: false,
            args: Vec::new(),
            order_by: vec![],
            separator: None,
        };
        if kind == AggregateKind::Count && self.accept_kind(TokenKind::Star) {
            // `COUNT(*)` has no arguments.
        } else {
            let may_be_distinct = !matches!(
                kind,
                AggregateKind::BitAnd
                    | AggregateKind::BitOr
                    | AggregateKind::BitXor
                    | AggregateKind::JsonArrayAgg
                    | AggregateKind::JsonObjectAgg
            );
            aggregate.distinct = may_be_distinct && self.accept_word("DISTINCT");
            if !aggregate.distinct {
                self.accept_word("ALL");
            }
            aggregate.args.push(self.expr()?);
            let many = match kind {
                AggregateKind::Count => aggregate.distinct,
                AggregateKind::GroupConcat | AggregateKind::JsonObjectAgg => true,
                _ => false,
            };
            while many && self.accept_kind(TokenKind::Comma) {
                aggregate.args.push(self.expr()?);
            }
            if kind == AggregateKind::JsonObjectAgg && aggregate.args.len() != 2 {
                return Err(self.error());
            }
        }
        if kind == AggregateKind::GroupConcat {
            if self.accept(&["ORDER", "BY"]) {
                aggregate.order_by = self.list(Self::order_item)?;
            }
            if self.accept_word("SEPARATOR") {
                aggregate.separator = Some(self.string()?);
            }
        }
        self.expect_kind(TokenKind::RightParen)?;
        let function = ExprKind::Aggregate(Box::new(aggregate));
        if !self.is("OVER") {
            return Ok(function);
        }
        let function = Box::new(self.made(start, function)?);
        self.over(function)
    }

    #[inline(never)]
    fn window_function(&mut self, name: String) -> Result<ExprKind> {
        let start = self.at;
        self.advance();
        let args = self.arguments()?;
        self.accept(&["RESPECT", "NULLS"]);
        let function = self.made(start, ExprKind::Function { database: None, name, args })?;
        self.over(Box::new(function))
    }

    #[inline(never)]
    fn over(&mut self, function: Box<Expr>) -> Result<ExprKind> {
        self.expect_word("OVER")?;
        let over = match self.kind() {
            TokenKind::LeftParen => Over::Spec(self.window_spec()?),
            _ => Over::Name(self.identifier()?),
        };
        Ok(ExprKind::Window { function, over })
    }

    /// `( [name] [PARTITION BY …] [ORDER BY …] [frame] )`.
    #[inline(never)]
    pub(super) fn window_spec(&mut self) -> Result<WindowSpec> {
        self.expect_kind(TokenKind::LeftParen)?;
        let mut spec = WindowSpec::default();
        if self.is_identifier() {
            spec.base = Some(self.identifier()?);
        }
        if self.accept(&["PARTITION", "BY"]) {
            spec.partition_by = self.list(Self::expr)?;
        }
        if self.accept(&["ORDER", "BY"]) {
            spec.order_by = self.list(Self::order_item)?;
        }
        if let Some(unit) = self.accept_any(&["ROWS", "RANGE"]) {
            let rows = unit == "ROWS";
            let (start, end) = match self.accept_word("BETWEEN") {
                true => {
                    let start = self.frame_bound()?;
                    self.expect_word("AND")?;
                    (start, Some(self.frame_bound()?))
                }
                false => (self.frame_bound()?, None),
            };
            spec.frame = Some(Frame { rows, start, end });
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(spec)
    }

    #[inline(never)]
    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.accept(&["CURRENT", "ROW"]) {
            return Ok(FrameBound::CurrentRow);
        }
        if self.accept(&["UNBOUNDED", "PRECEDING"]) {
            return Ok(FrameBound::UnboundedPreceding);
        }
        if self.accept(&["UNBOUNDED", "FOLLOWING"]) {
            return Ok(FrameBound::UnboundedFollowing);
        }
        let interval = self.accept_word("INTERVAL");
        let amount = Box::new(self.expr()?);
        let unit = if interval { Some(self.interval_unit()?) } else { None };
        let offset = FrameOffset { amount, unit };
        if self.accept_word("PRECEDING") {
            return Ok(FrameBound::Preceding(offset));
        }
        self.expect_word("FOLLOWING")?;
        Ok(FrameBound::Following(offset))
    }

    #[inline(never)]
    fn cast(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let operand = Box::new(self.expr()?);
        self.expect_word("AS")?;
        let to = self.cast_type()?;
        if self.is("ARRAY") {
            return Err(Error::not_supported("CAST(.. AS .. ARRAY)"));
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Cast { operand, to })
    }

    #[inline(never)]
    fn convert(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let operand = Box::new(self.expr()?);
        let kind = if self.accept_word("USING") {
            ExprKind::ConvertUsing { operand, charset: self.charset_name()? }
        } else {
            self.expect_kind(TokenKind::Comma)?;
            ExprKind::Cast { operand, to: self.cast_type()? }
        };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(kind)
    }

    /// The type of a cast.
    #[inline(never)]
    fn cast_type(&mut self) -> Result<CastType> {
        let error = self.error();
        let word = self.upper();
        self.advance();
        Ok(match word.as_str() {
            "SIGNED" => {
                self.accept_any(&["INTEGER", "INT"]);
                CastType::Signed
            }
            "UNSIGNED" => {
                self.accept_any(&["INTEGER", "INT"]);
                CastType::Unsigned
            }
            "BINARY" => CastType::Binary { length: self.type_length()? },
            "NATIONAL" => {
                if self.accept_any(&["CHAR", "CHARACTER"]).is_none() {
                    return Err(self.error());
                }
                CastType::Char { length: self.type_length()?, charset: Some("utf8mb3".into()) }
            }
            "NCHAR" => {
                CastType::Char { length: self.type_length()?, charset: Some("utf8mb3".into()) }
            }
            "CHAR" | "CHARACTER" => {
                let length = self.type_length()?;
                CastType::Char { length, charset: self.cast_charset()? }
            }
            "DATE" => CastType::Date,
            "TIME" => CastType::Time { decimals: self.fraction_digits()? },
            "DATETIME" => CastType::DateTime { decimals: self.fraction_digits()? },
            "DECIMAL" | "DEC" | "NUMERIC" => {
                let (precision, scale) = match self.accept_kind(TokenKind::LeftParen) {
                    true => {
                        let precision = self.small_number()?;
                        let scale = match self.accept_kind(TokenKind::Comma) {
                            true => self.small_number()?,
                            false => 0,
                        };
                        self.expect_kind(TokenKind::RightParen)?;
                        (if precision == 0 { 10 } else { precision }, scale)
                    }
                    false => (10, 0),
                };
                CastType::Decimal { precision, scale }
            }
            "FLOAT" => match self.type_length()? {
                Some(54..) => return Err(Error::too_big_precision("54", "CAST", "53")),
                Some(25..) => CastType::Double,
                _ => CastType::Float,
            },
            "DOUBLE" => {
                self.accept_word("PRECISION");
                CastType::Double
            }
            "REAL" => CastType::Double,
            "YEAR" => CastType::Year,
            "JSON" => CastType::Json,
            _ => return Err(error),
        })
    }

    fn cast_charset(&mut self) -> Result<Option<String>> {
        Ok(if self.accept(&["CHARACTER", "SET"]) || self.accept_word("CHARSET") {
            Some(self.charset_name()?)
        } else if self.accept_word("ASCII") {
            Some("latin1".to_string())
        } else if self.accept_word("UNICODE") {
            Some("ucs2".to_string())
        } else if self.accept_word("BYTE") || self.accept_word("BINARY") {
            Some("binary".to_string())
        } else {
            None
        })
    }

    /// `(n)`, when it stands here.
    pub(super) fn type_length(&mut self) -> Result<Option<u32>> {
        if !self.accept_kind(TokenKind::LeftParen) {
            return Ok(None);
        }
        let length = self.small_number()?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(Some(length))
    }

    /// `(n)` of a time, at most 6; 0 when it does not stand here.
    pub(super) fn fraction_digits(&mut self) -> Result<u8> {
        match self.type_length()? {
            None => Ok(0),
            Some(digits @ 0..=6) => Ok(digits as u8),
            Some(digits) => Err(Error::too_big_precision(digits, "CAST", "6")),
        }
    }

    #[inline(never)]
    fn extract(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let unit = self.interval_unit()?;
        self.expect_word("FROM")?;
        let operand = Box::new(self.expr()?);
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Extract { unit, operand })
    }

    #[inline(never)]
    fn trim(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let side = self.accept_any(&["BOTH", "LEADING", "TRAILING"]);
        let first = match side.is_some() && self.is("FROM") {
            true => None,
            false => Some(self.expr()?),
        };
        // A side needs FROM; without a side `TRIM(text)` will do.
        let (what, operand) = match first {
            Some(first) if side.is_none() && !self.is("FROM") => (None, first),
            what => {
                self.expect_word("FROM")?;
                (what.map(Box::new), self.expr()?)
            }
        };
        self.expect_kind(TokenKind::RightParen)?;
        let side = match side {
            Some("LEADING") => TrimSide::Leading,
            Some("TRAILING") => TrimSide::Trailing,
            _ => TrimSide::Both,
        };
        Ok(ExprKind::Trim { side, what, operand: Box::new(operand) })
    }

    #[inline(never)]
    fn position(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let what = self.bit_expr()?;
        self.expect_word("IN")?;
        let text = self.expr()?;
        self.expect_kind(TokenKind::RightParen)?;
        let args = vec![what, text];
        Ok(ExprKind::Function { database: None, name: "locate".to_string(), args })
    }

    #[inline(never)]
    fn substring(&mut self, name: String) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let mut args = vec![self.expr()?];
        let words = self.accept_word("FROM");
        if !words {
            self.expect_kind(TokenKind::Comma)?;
        }
        args.push(self.expr()?);
        let has_length = match words {
            true => self.accept_word("FOR"),
            false => self.accept_kind(TokenKind::Comma),
        };
        if has_length {
            args.push(self.expr()?);
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Function { database: None, name, args })
    }

    /// DATE_ADD and DATE_SUB; ADDDATE and SUBDATE also take days without INTERVAL.
    #[inline(never)]
    fn date_arithmetic(&mut self, subtract: bool, plain_days: bool) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let operand = Box::new(self.expr()?);
        self.expect_kind(TokenKind::Comma)?;
        let interval = self.accept_word("INTERVAL");
        if !interval && !plain_days {
            return Err(self.error());
        }
        let amount = Box::new(self.expr()?);
        let unit = if interval { self.interval_unit()? } else { IntervalUnit::Day };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::DateArithmetic { subtract, operand, amount, unit })
    }

    #[inline(never)]
    fn timestamp_arithmetic(&mut self, add: bool) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let unit = self.interval_unit()?;
        self.expect_kind(TokenKind::Comma)?;
        let first = Box::new(self.expr()?);
        self.expect_kind(TokenKind::Comma)?;
        let second = Box::new(self.expr()?);
        self.expect_kind(TokenKind::RightParen)?;
        Ok(match add {
            true => {
                ExprKind::DateArithmetic { subtract: false, operand: second, amount: first, unit }
            }
            false => ExprKind::TimestampDiff { unit, from: first, to: second },
        })
    }

    #[inline(never)]
    fn get_format(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let kind = match self.accept_any(&["DATE", "TIME", "DATETIME", "TIMESTAMP"]) {
            Some("TIMESTAMP") => "DATETIME".to_string(),
            Some(kind) => kind.to_string(),
            None => return Err(self.error()),
        };
        self.expect_kind(TokenKind::Comma)?;
        let operand = Box::new(self.expr()?);
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::GetFormat { kind, operand })
    }

    #[inline(never)]
    fn char_codes(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let args = self.list(Self::expr)?;
        let charset = match self.accept_word("USING") {
            true => Some(self.charset_name()?),
            false => None,
        };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Char { args, charset })
    }

    #[inline(never)]
    fn weight_string(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let operand = Box::new(self.expr()?);
        let as_type = match self.accept_word("AS") {
            true => Some(self.cast_type()?),
            false => None,
        };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::WeightString { operand, as_type })
    }

    #[inline(never)]
    fn match_against(&mut self) -> Result<ExprKind> {
        self.advance();
        let columns = match self.kind() {
            TokenKind::LeftParen => self.parenthesised(Self::column_name)?,
            _ => self.list(Self::column_name)?,
        };
        self.expect_word("AGAINST")?;
        self.expect_kind(TokenKind::LeftParen)?;
        let against = Box::new(self.bit_expr()?);
        let mut modifier = Vec::new();
        while self.kind() != TokenKind::RightParen {
            let word = self.upper();
            let known = ["IN", "NATURAL", "LANGUAGE", "BOOLEAN", "MODE", "WITH", "QUERY"];
            if !known.contains(&word.as_str()) && word != "EXPANSION" {
                return Err(self.error());
            }
            modifier.push(word);
            self.advance();
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Match { columns, against, modifier: modifier.join(" ") })
    }

    /// `expr [ASC | DESC]`.
    pub(super) fn order_item(&mut self) -> Result<OrderItem> {
        let expr = self.expr()?;
        let descending = self.accept_any(&["ASC", "DESC"]) == Some("DESC");
        Ok(OrderItem { expr, descending })
    }
}

/// Reserved words that name ordinary functions.
fn is_callable(word: &str) -> bool {
    crate::lexer::is_plain_function_word(word)
        || matches!(
            word,
            "IF" | "LEFT"
                | "RIGHT"
                | "REPEAT"
                | "REPLACE"
                | "INSERT"
                | "MOD"
                | "DATABASE"
                | "SCHEMA"
        )
}
