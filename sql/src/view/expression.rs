//! Expressions in the layout that MySQL keeps views in.
//!
//! Every operator stands in parentheses, functions go by the one name that MySQL has for them (`ucase` is `upper`), and what only
//! looks like a function or an operator is written as what it is: `DATE(a)` as `cast(a as date)`, `NOT a LIKE b` as
//! `(not((a like b)))`, a condition that is a number as `(0 <> a)`.
//!
//! Not here: queries (`text`).

use super::text::Text;
use crate::ast::{
    Aggregate, AggregateKind, BinaryOp, CastType, ColumnName, Expr, ExprKind, Frame, FrameBound,
    FrameOffset, IsTest, Literal, Over, Query, TrimSide, UnaryOp, WindowSpec,
};
use crate::printer;

/// Functions with several names, and the one that is kept.
const NAMES: [(&str, &str); 19] = [
    ("CEIL", "ceiling"),
    ("CHARACTER_LENGTH", "char_length"),
    ("CURRENT_DATE", "curdate"),
    ("CURRENT_TIME", "curtime"),
    ("CURRENT_TIMESTAMP", "now"),
    ("DAY", "dayofmonth"),
    ("LCASE", "lower"),
    ("LOCALTIME", "now"),
    ("LOCALTIMESTAMP", "now"),
    ("MID", "substr"),
    ("OCTET_LENGTH", "length"),
    ("POSITION", "locate"),
    ("POWER", "pow"),
    ("SCHEMA", "database"),
    ("SESSION_USER", "user"),
    ("SHA1", "sha"),
    ("SUBSTRING", "substr"),
    ("SYSTEM_USER", "user"),
    ("UCASE", "upper"),
];

fn sign(op: BinaryOp) -> &'static str {
    use BinaryOp::*;
    match op {
        Or => " or ",
        Xor => " xor ",
        And => " and ",
        Equal => " = ",
        NullSafeEqual => " <=> ",
        NotEqual => " <> ",
        Less => " < ",
        LessEqual => " <= ",
        Greater => " > ",
        GreaterEqual => " >= ",
        BitOr => " | ",
        BitAnd => " & ",
        ShiftLeft => " << ",
        ShiftRight => " >> ",
        Add => " + ",
        Subtract => " - ",
        Multiply => " * ",
        Divide => " / ",
        IntegerDivide => " DIV ",
        Modulo => " % ",
        BitXor => " ^ ",
    }
}

/// The comparison that is true where this one is false; `None` for what is no such comparison.
fn opposite(op: BinaryOp) -> Option<BinaryOp> {
    use BinaryOp::*;
    Some(match op {
        Equal => NotEqual,
        NotEqual => Equal,
        Less => GreaterEqual,
        LessEqual => Greater,
        Greater => LessEqual,
        GreaterEqual => Less,
        _ => return None,
    })
}

/// Whether an expression is a condition by itself, not a number that is taken as one.
pub(crate) fn is_condition(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Binary { op, .. } => {
            op.is_comparison() || matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor)
        }
        ExprKind::Unary { op: UnaryOp::Not, .. }
        | ExprKind::Between { .. }
        | ExprKind::InList { .. }
        | ExprKind::InSubquery { .. }
        | ExprKind::Like { .. }
        | ExprKind::Regexp { .. }
        | ExprKind::Is { .. }
        | ExprKind::MemberOf { .. }
        | ExprKind::Exists(_)
        | ExprKind::Quantified { .. }
        | ExprKind::Match { .. }
        | ExprKind::Literal(Literal::Bool(_)) => true,
        ExprKind::Function { name, .. } => {
            name.eq_ignore_ascii_case("regexp_like") || name.eq_ignore_ascii_case("isnull")
        }
        _ => false,
    }
}

/// The operands of a chain of ANDs or ORs, in order.
fn chain<'e>(op: BinaryOp, expr: &'e Expr, operands: &mut Vec<&'e Expr>) {
    match &expr.kind {
        ExprKind::Binary { op: same, left, right } if *same == op => {
            chain(op, left, operands);
            chain(op, right, operands);
        }
        _ => operands.push(expr),
    }
}

impl Text<'_> {
    /// What WHERE, HAVING and ON ask.
    pub(super) fn condition(&mut self, expr: &Expr) {
        if is_condition(expr) {
            return self.expr(expr);
        }
        self.push("(0 <> ");
        self.expr(expr);
        self.push(")");
    }

    pub(super) fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Column(column) => self.column(column),
            ExprKind::Unary { op, operand } => self.unary(*op, operand),
            ExprKind::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => {
                let mut operands = Vec::new();
                chain(*op, expr, &mut operands);
                self.infix(&operands, sign(*op));
            }
            ExprKind::Binary { op, left, right } => self.pair(left, sign(*op), right),
            ExprKind::Between { negated, operand, low, high } => {
                self.push("(");
                self.expr(operand);
                self.push(if *negated { " not between " } else { " between " });
                self.expr(low);
                self.push(" and ");
                self.expr(high);
                self.push(")");
            }
            ExprKind::InList { negated, operand, list } => match list.as_slice() {
                [one] => self.pair(operand, if *negated { " <> " } else { " = " }, one),
                _ => {
                    self.push("(");
                    self.expr(operand);
                    self.push(if *negated { " not in (" } else { " in (" });
                    self.list(list, Text::expr);
                    self.push("))");
                }
            },
            ExprKind::InSubquery { negated, operand, query } => {
                self.in_subquery(*negated, operand, query);
            }
            ExprKind::Quantified { left, op, all, query } => match (op, all) {
                (BinaryOp::Equal, false) => self.in_subquery(false, left, query),
                (BinaryOp::NotEqual, true) => self.in_subquery(true, left, query),
                _ => {
                    self.push("(");
                    self.expr(left);
                    self.push(sign(*op));
                    self.push(if *all { "all " } else { "any " });
                    self.subquery(query);
                    self.push(")");
                }
            },
            ExprKind::Like { negated, operand, pattern, escape } => {
                self.push(if *negated { "(not((" } else { "(" });
                self.expr(operand);
                self.push(" like ");
                self.expr(pattern);
                if let Some(escape) = escape {
                    self.push(" escape ");
                    self.expr(escape);
                }
                self.push(if *negated { ")))" } else { ")" });
            }
            ExprKind::Regexp { negated, operand, pattern } => {
                self.push(if *negated { "(not(" } else { "" });
                self.push("regexp_like(");
                self.expr(operand);
                self.push(",");
                self.expr(pattern);
                self.push(")");
                self.push(if *negated { "))" } else { "" });
            }
            ExprKind::Is { negated, operand, test } => {
                self.push("(");
                self.expr(operand);
                self.push(if *negated { " is not " } else { " is " });
                self.push(match test {
                    IsTest::Null | IsTest::Unknown => "null)",
                    IsTest::True => "true)",
                    IsTest::False => "false)",
                });
            }
            ExprKind::MemberOf { value, array } => {
                self.expr(value);
                self.push(" member of (");
                self.expr(array);
                self.push(")");
            }
            ExprKind::Row(members) => {
                self.push("(");
                self.list(members, Text::expr);
                self.push(")");
            }
            ExprKind::Subquery(query) => self.subquery(query),
            ExprKind::Exists(query) => {
                self.push("exists");
                self.subquery(query);
            }
            ExprKind::DateArithmetic { subtract, operand, amount, unit } => {
                self.push("(");
                self.expr(operand);
                self.push(if *subtract { " - interval " } else { " + interval " });
                self.expr(amount);
                self.push(" ");
                self.push(&unit.name().to_ascii_lowercase());
                self.push(")");
            }
            ExprKind::Collate { operand, collation } => {
                self.push("(");
                self.expr(operand);
                self.push(" collate ");
                self.push(collation);
                self.push(")");
            }
            _ => self.form(expr),
        }
    }

    /// What is written like a function.
    fn form(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Function { database: Some(database), name, args } => {
                self.name(database);
                self.push(".");
                self.name(name);
                self.arguments(args);
            }
            ExprKind::Function { database: None, name, args } => self.function(name, args),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Window { function, over } => {
                self.expr(function);
                self.push(" OVER ");
                match over {
                    Over::Name(name) => self.name(name),
                    Over::Spec(spec) => self.window(spec),
                }
            }
            ExprKind::Case { operand, whens, otherwise } => {
                self.push("(case");
                if let Some(operand) = operand {
                    self.push(" ");
                    self.expr(operand);
                }
                for (when, then) in whens {
                    self.push(" when ");
                    self.expr(when);
                    self.push(" then ");
                    self.expr(then);
                }
                if let Some(otherwise) = otherwise {
                    self.push(" else ");
                    self.expr(otherwise);
                }
                self.push(" end)");
            }
            ExprKind::Cast { operand, to } => self.cast(operand, &cast_type(to)),
            ExprKind::ConvertUsing { operand, charset } => {
                self.push("convert(");
                self.expr(operand);
                self.push(" using ");
                self.push(charset);
                self.push(")");
            }
            ExprKind::Grouping(args) => {
                self.push("grouping");
                self.arguments(args);
            }
            ExprKind::Extract { unit, operand } => {
                self.push("extract(");
                self.push(&unit.name().to_ascii_lowercase());
                self.push(" from ");
                self.expr(operand);
                self.push(")");
            }
            ExprKind::TimestampDiff { unit, from, to } => {
                self.push("timestampdiff(");
                self.push(unit.name());
                self.push(",");
                self.expr(from);
                self.push(",");
                self.expr(to);
                self.push(")");
            }
            ExprKind::GetFormat { kind, operand } => {
                self.push("get_format(");
                self.push(kind);
                self.push(",");
                self.expr(operand);
                self.push(")");
            }
            ExprKind::Trim { side, what, operand } => self.trim(*side, what.as_deref(), operand),
            ExprKind::Char { args, charset } => {
                self.push("char(");
                self.list(args, Text::expr);
                if let Some(charset) = charset {
                    self.push(" using ");
                    self.push(charset);
                }
                self.push(")");
            }
            ExprKind::WeightString { operand, as_type } => {
                self.push("weight_string(");
                self.expr(operand);
                if let Some(to) = as_type {
                    self.push(" as ");
                    self.push(&cast_type(to));
                }
                self.push(")");
            }
            ExprKind::Default(Some(column)) => {
                self.push("default(");
                self.column(column);
                self.push(")");
            }
            ExprKind::Match { columns, against, modifier } => {
                self.push("(match ");
                self.list(columns, Text::column);
                self.push(" against (");
                self.expr(against);
                if !modifier.is_empty() {
                    self.push(" ");
                    self.push(&modifier.to_ascii_lowercase());
                }
                self.push("))");
            }
            ExprKind::JsonPath { column, path, unquote } => {
                self.push(if *unquote { "json_unquote(" } else { "" });
                self.push("json_extract(");
                self.column(column);
                self.push(",");
                self.string(path);
                self.push(if *unquote { "))" } else { ")" });
            }
            // No view has them: variables, parameters, values of a new row.
            _ => self.push(&printer::expr(expr)),
        }
    }

    fn pair(&mut self, left: &Expr, sign: &str, right: &Expr) {
        self.infix(&[left, right], sign);
    }

    fn infix(&mut self, operands: &[&Expr], sign: &str) {
        self.push("(");
        for (place, operand) in operands.iter().enumerate() {
            self.push(if place > 0 { sign } else { "" });
            self.expr(operand);
        }
        self.push(")");
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) {
        let before = match op {
            // A plus changes nothing.
            UnaryOp::Plus => return self.expr(operand),
            UnaryOp::Minus => "-(",
            UnaryOp::BitNot => "~(",
            UnaryOp::Not => return self.not(operand),
        };
        self.push(before);
        self.expr(operand);
        self.push(")");
    }

    /// NOT before a comparison is its opposite.
    fn not(&mut self, operand: &Expr) {
        if let ExprKind::Binary { op, left, right } = &operand.kind
            && let Some(op) = opposite(*op)
        {
            return self.pair(left, sign(op), right);
        }
        match is_condition(operand) {
            true => {
                self.push("(not(");
                self.expr(operand);
                self.push("))");
            }
            false => {
                self.push("(0 = ");
                self.expr(operand);
                self.push(")");
            }
        }
    }

    fn subquery(&mut self, query: &Query) {
        self.push("(");
        self.query(query);
        self.push(")");
    }

    fn in_subquery(&mut self, negated: bool, operand: &Expr, query: &Query) {
        self.push(if negated { "(not(" } else { "" });
        self.expr(operand);
        self.push(" in ");
        self.subquery(query);
        self.push(if negated { "))" } else { "" });
    }

    pub(super) fn column(&mut self, column: &ColumnName) {
        self.database(&column.database);
        if let Some(table) = &column.table {
            self.name(table);
            self.push(".");
        }
        self.name(&column.column);
    }

    fn arguments(&mut self, args: &[Expr]) {
        self.push("(");
        self.list(args, Text::expr);
        self.push(")");
    }

    fn call(&mut self, name: &str, operand: &Expr) {
        self.push(name);
        self.push("(");
        self.expr(operand);
        self.push(")");
    }

    fn cast(&mut self, operand: &Expr, to: &str) {
        self.push("cast(");
        self.expr(operand);
        self.push(" as ");
        self.push(to);
        self.push(")");
    }

    fn function(&mut self, name: &str, args: &[Expr]) {
        let word = name.to_ascii_uppercase();
        match (word.as_str(), args) {
            ("DATE", [operand]) => self.cast(operand, "date"),
            ("TIME", [operand]) => self.cast(operand, "time"),
            ("TIMESTAMP", [operand]) => self.cast(operand, "datetime"),
            ("MOD", [left, right]) => self.pair(left, " % ", right),
            ("ISNULL", [operand]) => {
                self.push("(");
                self.expr(operand);
                self.push(" is null)");
            }
            ("DATEDIFF", [later, earlier]) => {
                self.push("(");
                self.call("to_days", later);
                self.push(" - ");
                self.call("to_days", earlier);
                self.push(")");
            }
            ("ROUND", [operand]) => self.with_number("round", operand, "0"),
            ("YEARWEEK", [operand]) => self.with_number("yearweek", operand, "0"),
            ("WEEKOFYEAR", [operand]) => self.with_number("week", operand, "3"),
            _ => {
                let known = NAMES.iter().find(|(known, _)| *known == word);
                match known {
                    Some((_, kept)) => self.push(kept),
                    None => self.push(&word.to_ascii_lowercase()),
                }
                self.arguments(args);
            }
        }
    }

    fn with_number(&mut self, name: &str, operand: &Expr, number: &str) {
        self.push(name);
        self.push("(");
        self.expr(operand);
        self.push(",");
        self.push(number);
        self.push(")");
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        self.push(&match aggregate.kind {
            AggregateKind::StdDevPop => "std".to_string(),
            AggregateKind::VarPop => "variance".to_string(),
            kind => kind.name().to_ascii_lowercase(),
        });
        self.push(if aggregate.distinct { "(distinct " } else { "(" });
        if aggregate.args.is_empty() {
            self.push("0");
        }
        self.list(&aggregate.args, Text::expr);
        if aggregate.kind == AggregateKind::GroupConcat {
            if !aggregate.order_by.is_empty() {
                self.push(" order by ");
                self.list(&aggregate.order_by, |text, item| {
                    text.expr(&item.expr);
                    text.push(if item.descending { " DESC" } else { " ASC" });
                });
            }
            self.push(" separator ");
            self.string(aggregate.separator.as_deref().unwrap_or(","));
        }
        self.push(")");
    }

    fn trim(&mut self, side: TrimSide, what: Option<&Expr>, operand: &Expr) {
        let Some(what) = what else {
            let name = match side {
                TrimSide::Both => "trim",
                TrimSide::Leading => "ltrim",
                TrimSide::Trailing => "rtrim",
            };
            return self.call(name, operand);
        };
        self.push(match side {
            TrimSide::Both => "trim(both ",
            TrimSide::Leading => "trim(leading ",
            TrimSide::Trailing => "trim(trailing ",
        });
        self.expr(what);
        self.push(" from ");
        self.expr(operand);
        self.push(")");
    }

    pub(super) fn window(&mut self, spec: &WindowSpec) {
        self.push("(");
        if let Some(base) = &spec.base {
            self.name(base);
            self.push(" ");
        }
        if !spec.partition_by.is_empty() {
            self.push("PARTITION BY ");
            self.list(&spec.partition_by, Text::expr);
            self.push(" ");
        }
        if !spec.order_by.is_empty() {
            self.push("ORDER BY ");
            self.order(&spec.order_by);
            self.push(" ");
        }
        if let Some(Frame { rows, start, end }) = &spec.frame {
            self.push(if *rows { "ROWS " } else { "RANGE " });
            self.push(if end.is_some() { "BETWEEN " } else { "" });
            self.bound(start);
            if let Some(end) = end {
                self.push(" AND ");
                self.bound(end);
            }
        }
        self.push(")");
    }

    fn bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
            FrameBound::Preceding(offset) => self.offset(offset, " PRECEDING"),
            FrameBound::Following(offset) => self.offset(offset, " FOLLOWING"),
        }
    }

    fn offset(&mut self, offset: &FrameOffset, side: &str) {
        self.push(if offset.unit.is_some() { "INTERVAL " } else { "" });
        self.expr(&offset.amount);
        if let Some(unit) = offset.unit {
            self.push(" ");
            self.push(&unit.name().to_ascii_lowercase());
        }
        self.push(side);
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.push("NULL"),
            Literal::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Literal::Integer(value) => self.push(&value.to_string()),
            Literal::Decimal(text) | Literal::Double(text) => self.push(text),
            Literal::String { value, charset, .. } => {
                self.introducer(charset);
                self.string(value);
            }
            Literal::Bytes { value, charset, .. } => {
                self.introducer(charset);
                self.push(if charset.is_some() { " " } else { "" });
                if value.is_empty() {
                    return self.push("x''");
                }
                self.push("0x");
                value.iter().for_each(|byte| self.push(&format!("{byte:02x}")));
            }
            Literal::Date(text) => self.marked("DATE", text),
            Literal::Time(text) => self.marked("TIME", text),
            Literal::Timestamp(text) => self.marked("TIMESTAMP", text),
        }
    }

    fn marked(&mut self, word: &str, text: &str) {
        self.push(word);
        self.string(text);
    }

    fn introducer(&mut self, charset: &Option<String>) {
        if let Some(charset) = charset {
            self.push("_");
            self.push(if charset.eq_ignore_ascii_case("utf8") { "utf8mb3" } else { charset });
        }
    }

    fn string(&mut self, value: &str) {
        self.push("'");
        for character in value.chars() {
            match character {
                '\\' => self.push("\\\\"),
                '\0' => self.push("\\0"),
                '\'' => self.push("\\'"),
                '\n' => self.push("\\n"),
                '\r' => self.push("\\r"),
                '\u{1a}' => self.push("\\Z"),
                other => self.out.push(other),
            }
        }
        self.push("'");
    }
}

fn cast_type(to: &CastType) -> String {
    let sized = |name: &str, length: Option<u32>| match length {
        Some(length) => format!("{name}({length})"),
        None => name.to_string(),
    };
    let digits = |decimals: u8| (decimals > 0).then_some(u32::from(decimals));
    match to {
        CastType::Signed => "signed".to_string(),
        CastType::Unsigned => "unsigned".to_string(),
        CastType::Char { length, charset } => {
            let charset = charset.as_deref().unwrap_or("utf8mb4");
            format!("{} charset {charset}", sized("char", *length))
        }
        CastType::Binary { length } => sized("binary", *length),
        CastType::Date => "date".to_string(),
        CastType::Time { decimals } => sized("time", digits(*decimals)),
        CastType::DateTime { decimals } => sized("datetime", digits(*decimals)),
        CastType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        CastType::Float => "float".to_string(),
        CastType::Double => "double".to_string(),
        CastType::Year => "year".to_string(),
        CastType::Json => "json".to_string(),
    }
}
