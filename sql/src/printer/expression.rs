//! Expressions as text, with the parentheses that precedence demands.

use super::Printer;
use crate::ast::{
    Aggregate, BinaryOp, CastType, ColumnName, Expr, ExprKind, Frame, FrameBound, FrameOffset,
    IntervalUnit, IsTest, Literal, OrderItem, Over, Query, TrimSide, UnaryOp, VariableScope,
    WindowSpec,
};
use crate::lexer;

/// How tight a node binds; the same numbers as the parser's levels.
const ASSIGN: u8 = 0;
const NOT: u8 = 4;
const COMPARISON: u8 = 5;
const PREDICATE: u8 = 6;
const BIT_OR: u8 = 7;
const ADD: u8 = 10;
const UNARY: u8 = 14;
const COLLATE: u8 = 16;
const PRIMARY: u8 = 20;

fn binary_level(op: BinaryOp) -> u8 {
    use BinaryOp::*;
    match op {
        Or => 1,
        Xor => 2,
        And => 3,
        Equal | NullSafeEqual | NotEqual | Less | LessEqual | Greater | GreaterEqual => COMPARISON,
        BitOr => BIT_OR,
        BitAnd => 8,
        ShiftLeft | ShiftRight => 9,
        Add | Subtract => ADD,
        Multiply | Divide | IntegerDivide | Modulo => 11,
        BitXor => 12,
    }
}

fn level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Assign { .. } => ASSIGN,
        ExprKind::Binary { op, .. } => binary_level(*op),
        ExprKind::Unary { op: UnaryOp::Not, .. } => NOT,
        ExprKind::Unary { .. } => UNARY,
        ExprKind::Is { .. } | ExprKind::Quantified { .. } => COMPARISON,
        ExprKind::Between { .. }
        | ExprKind::InList { .. }
        | ExprKind::InSubquery { .. }
        | ExprKind::Like { .. }
        | ExprKind::Regexp { .. }
        | ExprKind::MemberOf { .. } => PREDICATE,
        ExprKind::DateArithmetic { .. } => ADD,
        ExprKind::Collate { .. } => COLLATE,
        _ => PRIMARY,
    }
}

fn binary_sign(op: BinaryOp) -> &'static str {
    use BinaryOp::*;
    match op {
        Or => "OR",
        Xor => "XOR",
        And => "AND",
        Equal => "=",
        NullSafeEqual => "<=>",
        NotEqual => "<>",
        Less => "<",
        LessEqual => "<=",
        Greater => ">",
        GreaterEqual => ">=",
        BitOr => "|",
        BitAnd => "&",
        ShiftLeft => "<<",
        ShiftRight => ">>",
        Add => "+",
        Subtract => "-",
        Multiply => "*",
        Divide => "/",
        IntegerDivide => "DIV",
        Modulo => "%",
        BitXor => "^",
    }
}

impl Printer {
    pub(super) fn expr(&mut self, expr: &Expr) {
        self.kind(&expr.kind);
    }

    /// `expr` where only nodes of at least `lowest` may stand without parentheses.
    fn operand(&mut self, expr: &Expr, lowest: u8) {
        if level(expr) < lowest {
            self.text("(");
            self.expr(expr);
            self.text(")");
        } else {
            self.expr(expr);
        }
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        self.parenthesised(exprs, Self::expr);
    }

    fn subquery(&mut self, query: &Query) {
        self.text("(");
        self.query(query);
        self.text(")");
    }

    pub(super) fn column(&mut self, column: &ColumnName) {
        for part in [&column.database, &column.table].into_iter().flatten() {
            self.name(part);
            self.text(".");
        }
        self.name(&column.column);
    }

    fn kind(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Param(_) => self.text("?"),
            ExprKind::Column(column) => self.column(column),
            ExprKind::UserVariable(name) => self.user_variable(name),
            ExprKind::SystemVariable { scope, name } => self.system_variable(*scope, name),
            ExprKind::Assign { name, value } => {
                self.user_variable(name);
                self.text(" := ");
                self.expr(value);
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            ExprKind::Between { negated, operand, low, high } => {
                self.operand(operand, BIT_OR);
                self.text(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
                self.operand(low, BIT_OR);
                self.text(" AND ");
                self.operand(high, PREDICATE);
            }
            ExprKind::InList { negated, operand, list } => {
                self.operand(operand, BIT_OR);
                self.text(if *negated { " NOT IN " } else { " IN " });
                self.exprs(list);
            }
            ExprKind::InSubquery { negated, operand, query } => {
                self.operand(operand, BIT_OR);
                self.text(if *negated { " NOT IN " } else { " IN " });
                self.subquery(query);
            }
            ExprKind::Like { negated, operand, pattern, escape } => {
                self.operand(operand, BIT_OR);
                self.text(if *negated { " NOT LIKE " } else { " LIKE " });
                self.operand(pattern, BIT_OR);
                self.optional(" ESCAPE ", escape, |printer, escape| printer.operand(escape, UNARY));
            }
            ExprKind::Regexp { negated, operand, pattern } => {
                self.operand(operand, BIT_OR);
                self.text(if *negated { " NOT REGEXP " } else { " REGEXP " });
                self.operand(pattern, BIT_OR);
            }
            ExprKind::Is { negated, operand, test } => {
                self.operand(operand, COMPARISON);
                self.text(if *negated { " IS NOT " } else { " IS " });
                self.text(match test {
                    IsTest::Null => "NULL",
                    IsTest::True => "TRUE",
                    IsTest::False => "FALSE",
                    IsTest::Unknown => "UNKNOWN",
                });
            }
            ExprKind::MemberOf { value, array } => {
                self.operand(value, BIT_OR);
                self.text(" MEMBER OF (");
                self.expr(array);
                self.text(")");
            }
            ExprKind::Row(members) => self.exprs(members),
            ExprKind::Subquery(query) => self.subquery(query),
            ExprKind::Exists(query) => {
                self.text("EXISTS ");
                self.subquery(query);
            }
            ExprKind::Quantified { left, op, all, query } => {
                self.operand(left, COMPARISON);
                self.text(" ");
                self.text(binary_sign(*op));
                self.text(if *all { " ALL " } else { " ANY " });
                self.subquery(query);
            }
            ExprKind::DateArithmetic { subtract, operand, amount, unit } => {
                // Parameters are numbered by their place, so what came first stays first.
                if !subtract && amount.span.start < operand.span.start {
                    self.interval(amount, *unit);
                    self.text(" + ");
                    self.operand(operand, ADD + 1);
                } else {
                    self.operand(operand, ADD);
                    self.text(if *subtract { " - " } else { " + " });
                    self.interval(amount, *unit);
                }
            }
            ExprKind::Collate { operand, collation } => {
                self.operand(operand, COLLATE);
                self.text(" COLLATE ");
                self.word(collation);
            }
            _ => self.call(kind),
        }
    }

    fn interval(&mut self, amount: &Expr, unit: IntervalUnit) {
        self.text("INTERVAL ");
        // A row in single parentheses would read as the function INTERVAL.
        let lowest = if matches!(amount.kind, ExprKind::Row(_)) { u8::MAX } else { PRIMARY };
        self.operand(amount, lowest);
        self.text(" ");
        self.text(unit.name());
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) {
        match op {
            UnaryOp::Not => {
                self.text("NOT ");
                self.operand(operand, NOT);
            }
            UnaryOp::Minus => {
                self.text("-");
                // `--` before a blank would start a comment.
                let minus = matches!(operand.kind, ExprKind::Unary { op: UnaryOp::Minus, .. });
                self.when(minus, " ");
                self.operand(operand, UNARY);
            }
            UnaryOp::Plus => {
                self.text("+");
                self.operand(operand, UNARY);
            }
            UnaryOp::BitNot => {
                self.text("~");
                self.operand(operand, UNARY);
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        let level = binary_level(op);
        // AND and OR are associative for the parser, too.
        let associative = matches!(op, BinaryOp::And | BinaryOp::Or);
        self.operand(left, level);
        self.text(" ");
        self.text(binary_sign(op));
        self.text(" ");
        self.operand(right, if associative { level } else { level + 1 });
    }

    fn call(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Function { database, name, args } => {
                self.function(database.as_deref(), name, args);
            }
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Window { function, over } => {
                self.expr(function);
                self.text(" OVER ");
                match over {
                    Over::Name(name) => self.name(name),
                    Over::Spec(spec) => self.window_spec(spec),
                }
            }
            ExprKind::Case { operand, whens, otherwise } => {
                self.text("CASE");
                self.optional(" ", operand, |printer, operand| printer.expr(operand));
                for (when, then) in whens {
                    self.text(" WHEN ");
                    self.expr(when);
                    self.text(" THEN ");
                    self.expr(then);
                }
                self.optional(" ELSE ", otherwise, |printer, otherwise| printer.expr(otherwise));
                self.text(" END");
            }
            ExprKind::Cast { operand, to } => {
                self.text("CAST(");
                self.expr(operand);
                self.text(" AS ");
                self.cast_type(to);
                self.text(")");
            }
            ExprKind::ConvertUsing { operand, charset } => {
                self.text("CONVERT(");
                self.expr(operand);
                self.text(" USING ");
                self.word(charset);
                self.text(")");
            }
            ExprKind::Grouping(exprs) => {
                self.text("GROUPING");
                self.exprs(exprs);
            }
            ExprKind::Extract { unit, operand } => {
                self.text("EXTRACT(");
                self.text(unit.name());
                self.text(" FROM ");
                self.expr(operand);
                self.text(")");
            }
            ExprKind::TimestampDiff { unit, from, to } => {
                self.text("TIMESTAMPDIFF(");
                self.text(unit.name());
                self.text(", ");
                self.expr(from);
                self.text(", ");
                self.expr(to);
                self.text(")");
            }
            ExprKind::GetFormat { kind, operand } => {
                self.text("GET_FORMAT(");
                self.text(kind);
                self.text(", ");
                self.expr(operand);
                self.text(")");
            }
            ExprKind::Trim { side, what, operand } => {
                self.text(match side {
                    TrimSide::Both => "TRIM(BOTH ",
                    TrimSide::Leading => "TRIM(LEADING ",
                    TrimSide::Trailing => "TRIM(TRAILING ",
                });
                if let Some(what) = what {
                    self.expr(what);
                    self.text(" ");
                }
                self.text("FROM ");
                self.expr(operand);
                self.text(")");
            }
            ExprKind::Char { args, charset } => {
                self.text("CHAR(");
                self.list(args, Self::expr);
                self.optional(" USING ", charset, |printer, charset| printer.word(charset));
                self.text(")");
            }
            ExprKind::WeightString { operand, as_type } => {
                self.text("WEIGHT_STRING(");
                self.expr(operand);
                self.optional(" AS ", as_type, Self::cast_type);
                self.text(")");
            }
            ExprKind::Sequence { function, name, args } => {
                self.text(function.name());
                self.text("(");
                self.table(name);
                for arg in args {
                    self.text(", ");
                    self.expr(arg);
                }
                self.text(")");
            }
            ExprKind::Values(column) => {
                self.text("VALUES(");
                self.column(column);
                self.text(")");
            }
            ExprKind::Default(column) => {
                self.text("DEFAULT");
                if let Some(column) = column {
                    self.text("(");
                    self.column(column);
                    self.text(")");
                }
            }
            ExprKind::Match { columns, against, modifier } => {
                self.text("MATCH ");
                self.parenthesised(columns, Self::column);
                self.text(" AGAINST (");
                self.operand(against, BIT_OR);
                self.when(!modifier.is_empty(), " ");
                self.text(modifier);
                self.text(")");
            }
            ExprKind::JsonPath { column, path, unquote } => {
                self.column(column);
                self.text(if *unquote { "->>" } else { "->" });
                self.string(path);
            }
            // `kind` handles the operators.
            _ => {}
        }
    }

    fn function(&mut self, database: Option<&str>, name: &str, args: &[Expr]) {
        if let Some(database) = database {
            self.name(database);
            self.text(".");
            self.name(name);
        } else {
            self.text(name);
            // `COUNT (x)` is a call of some function COUNT, `COUNT(x)` is the aggregate.
            let word = name.to_ascii_uppercase();
            let substring = matches!(word.as_str(), "SUBSTR" | "SUBSTRING" | "MID")
                && matches!(args.len(), 2 | 3);
            let ordinary = substring || lexer::is_plain_function_word(&word);
            self.when(!ordinary && lexer::is_function_word(&word), " ");
        }
        self.exprs(args);
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        self.text(aggregate.kind.name());
        self.text("(");
        self.when(aggregate.distinct, "DISTINCT ");
        self.when(aggregate.args.is_empty(), "*");
        self.list(&aggregate.args, Self::expr);
        self.order_by(&aggregate.order_by);
        self.optional_string(" SEPARATOR ", &aggregate.separator);
        self.text(")");
    }

    /// ` ORDER BY …`, when there is something.
    pub(super) fn order_by(&mut self, items: &[OrderItem]) {
        if !items.is_empty() {
            self.text(" ORDER BY ");
            self.list(items, Self::order_item);
        }
    }

    pub(super) fn order_item(&mut self, item: &OrderItem) {
        self.expr(&item.expr);
        self.when(item.descending, " DESC");
    }

    pub(super) fn window_spec(&mut self, spec: &WindowSpec) {
        self.text("(");
        let start = self.out.len();
        if let Some(base) = &spec.base {
            self.name(base);
        }
        if !spec.partition_by.is_empty() {
            self.text(" PARTITION BY ");
            self.list(&spec.partition_by, Self::expr);
        }
        self.order_by(&spec.order_by);
        if let Some(Frame { rows, start, end }) = &spec.frame {
            self.text(if *rows { " ROWS " } else { " RANGE " });
            self.when(end.is_some(), "BETWEEN ");
            self.frame_bound(start);
            self.optional(" AND ", end, Self::frame_bound);
        }
        // Each part brings the blank before it.
        if self.out[start..].starts_with(' ') {
            self.out.remove(start);
        }
        self.text(")");
    }

    fn frame_bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.text("UNBOUNDED PRECEDING"),
            FrameBound::CurrentRow => self.text("CURRENT ROW"),
            FrameBound::UnboundedFollowing => self.text("UNBOUNDED FOLLOWING"),
            FrameBound::Preceding(offset) => {
                self.frame_offset(offset);
                self.text(" PRECEDING");
            }
            FrameBound::Following(offset) => {
                self.frame_offset(offset);
                self.text(" FOLLOWING");
            }
        }
    }

    fn frame_offset(&mut self, offset: &FrameOffset) {
        self.when(offset.unit.is_some(), "INTERVAL ");
        self.operand(&offset.amount, PRIMARY);
        self.optional(" ", &offset.unit, |printer, unit| printer.text(unit.name()));
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.text("NULL"),
            Literal::Bool(value) => self.text(if *value { "TRUE" } else { "FALSE" }),
            Literal::Integer(value) => self.value(value),
            Literal::Decimal(text) | Literal::Double(text) => self.text(text),
            Literal::String { value, charset, .. } => {
                self.introducer(charset);
                self.string(value);
            }
            Literal::Bytes { value, charset, bits } => {
                self.introducer(charset);
                self.when(charset.is_some(), " ");
                self.text(if *bits { "b'" } else { "x'" });
                for byte in value {
                    match bits {
                        true => self.value(format_args!("{byte:08b}")),
                        false => self.value(format_args!("{byte:02x}")),
                    }
                }
                self.text("'");
            }
            Literal::Date(text) => {
                self.text("DATE ");
                self.string(text);
            }
            Literal::Time(text) => {
                self.text("TIME ");
                self.string(text);
            }
            Literal::Timestamp(text) => {
                self.text("TIMESTAMP ");
                self.string(text);
            }
        }
    }

    fn introducer(&mut self, charset: &Option<String>) {
        self.optional("_", charset, |printer, charset| printer.text(charset));
    }

    pub(super) fn user_variable(&mut self, name: &str) {
        self.text("@");
        self.name(name);
    }

    pub(super) fn system_variable(&mut self, scope: Option<VariableScope>, name: &str) {
        self.text("@@");
        if let Some(scope) = scope {
            self.text(match scope {
                VariableScope::Global => "global.",
                VariableScope::Session => "session.",
                VariableScope::Persist => "persist.",
                VariableScope::PersistOnly => "persist_only.",
            });
        }
        for (index, part) in name.split('.').enumerate() {
            self.when(index > 0, ".");
            self.word(part);
        }
    }

    fn cast_type(&mut self, to: &CastType) {
        match to {
            CastType::Signed => self.text("SIGNED"),
            CastType::Unsigned => self.text("UNSIGNED"),
            CastType::Char { length, charset } => {
                self.text("CHAR");
                self.length(*length);
                self.optional(" CHARACTER SET ", charset, |printer, name| printer.word(name));
            }
            CastType::Binary { length } => {
                self.text("BINARY");
                self.length(*length);
            }
            CastType::Date => self.text("DATE"),
            CastType::Time { decimals } => {
                self.text("TIME");
                self.length((*decimals > 0).then_some(u32::from(*decimals)));
            }
            CastType::DateTime { decimals } => {
                self.text("DATETIME");
                self.length((*decimals > 0).then_some(u32::from(*decimals)));
            }
            CastType::Decimal { precision, scale } => {
                self.value(format_args!("DECIMAL({precision}, {scale})"));
            }
            CastType::Float => self.text("FLOAT"),
            CastType::Double => self.text("DOUBLE"),
            CastType::Year => self.text("YEAR"),
            CastType::Json => self.text("JSON"),
        }
    }

    /// `(n)`, when there is one.
    pub(super) fn length(&mut self, length: Option<u32>) {
        if let Some(length) = length {
            self.value(format_args!("({length})"));
        }
    }
}
