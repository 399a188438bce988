//! Makes bound expressions: derives types, inserts casts, folds constants.
//!
//! Every function here takes bound operands and gives a bound result or MySQL's error. The binder
//! walks the syntax tree and calls them; nothing here knows names.
//!
//! Folding: an operation whose operands are literals and whose value never changes becomes a literal,
//! unless computing it warns or fails; then it stays and warns or fails when a row needs it.
//!
//! Parts: `arithmetic`, `cast`, `comparison`, `flow` (CASE, IF …), `time` (intervals), this file
//! (leaves, logic, calls, collations).

mod arithmetic;
mod cast;
mod comparison;
mod flow;
mod members;
mod time;

use std::sync::Arc;

use super::{Expr, ExprKind, coercibility};
use crate::ast;
use crate::collation::{self, CollationId};
use crate::context::{EvalContext, NoVariables, Scope, SqlMode};
use crate::function::{self, Volatility};
use crate::types::datetime::parse;
use crate::types::decimal::Decimal;
use crate::types::{Domain, SqlType, TypeKind};
use crate::value::Value;
use crate::{Error, Result};

pub use arithmetic::{binary, unary};
pub(crate) use arithmetic::{in_numeric_domain, numeric_domain};
pub use cast::{as_decimal, as_double, as_integer, as_string, cast, cast_as, convert_using};
pub(crate) use cast::{cast_in, number_of_bytes};
pub(crate) use comparison::in_collation;
pub use comparison::{
    between, compare, in_list, in_set, is, like, regexp, row_compare, row_in_list,
};
pub use flow::{case, coalesce, if_, nullif, unify};
pub(crate) use members::{as_numbers, bits_as_number, is_shown_column, member_text, stored_member};
pub use time::{date_arithmetic, extract, from_utc, is_from_utc, timestamp_diff, to_utc};

/// A literal of its natural type.
pub fn literal(value: Value) -> Expr {
    let ty = value.natural_type();
    Expr::new(ty, ExprKind::Literal(value))
}

/// A literal of a given type; the value must be of the type's variant or NULL.
pub fn literal_typed(value: Value, ty: SqlType) -> Expr {
    let ty = ty.with_nullable(value.is_null());
    Expr::new(ty, ExprKind::Literal(value))
}

/// NULL.
pub fn null() -> Expr {
    literal(Value::Null)
}

/// A literal of the syntax tree.
pub fn ast_literal(literal_of: &ast::Literal, ctx: &EvalContext) -> Result<Expr> {
    let text_in = |value: &str, collation: CollationId| {
        let length = value.chars().count() as u32;
        let ty = SqlType::sized_string(length, collation, false);
        literal_typed(Value::text(value), ty)
    };
    let temporal = |kind: &str, text: &str, value: Option<Value>| {
        value.map(literal).ok_or_else(|| Error::wrong_value(kind, text))
    };
    match literal_of {
        ast::Literal::Null => Ok(null()),
        ast::Literal::Bool(truth) => Ok(literal_typed(Value::boolean(*truth), SqlType::boolean())),
        ast::Literal::Integer(number) => Ok(literal(match i64::try_from(*number) {
            Ok(signed) => Value::Int(signed),
            Err(_) => Value::UInt(*number),
        })),
        ast::Literal::Decimal(text) => {
            let parsed = Decimal::parse(text);
            if parsed.overflow {
                return Err(Error::value_out_of_range("DECIMAL", text));
            }
            Ok(literal(Value::Decimal(parsed.value)))
        }
        ast::Literal::Double(text) => {
            let number: f64 = text.parse().unwrap_or(f64::INFINITY);
            if !number.is_finite() {
                return Err(Error::value_out_of_range("DOUBLE", text));
            }
            Ok(literal(Value::Double(number)))
        }
        ast::Literal::String { value, charset: Some(charset), .. } => {
            introduced(value.clone().into_bytes(), charset)
        }
        ast::Literal::String { value, charset: None, .. } => {
            let collation = match ctx.connection_collation {
                CollationId::BINARY => CollationId::DEFAULT,
                other => other,
            };
            Ok(text_in(value, collation))
        }
        ast::Literal::Bytes { value, charset: Some(charset), .. } => {
            introduced(value.clone(), charset)
        }
        ast::Literal::Bytes { value, charset: None, .. } => {
            Ok(literal(Value::Bytes(value.clone())))
        }
        ast::Literal::Date(text) => {
            let parsed = parse::datetime(text, ctx.sql_mode);
            let date = parsed.filter(|parsed| !parsed.cut && !parsed.has_time);
            temporal("DATE", text, date.map(|parsed| Value::Date(parsed.moment.date())))
        }
        ast::Literal::Time(text) => {
            let parsed = parse::time(text).filter(|parsed| !parsed.cut);
            temporal("TIME", text, parsed.map(|parsed| Value::Time(parsed.value)))
        }
        ast::Literal::Timestamp(text) => {
            let parsed = parse::datetime(text, ctx.sql_mode).filter(|parsed| !parsed.cut);
            let moment = parsed.map(|p| crate::types::convert::in_session_zone(&p, ctx));
            temporal("DATETIME", text, moment.map(Value::DateTime))
        }
    }
}

/// `_charset'…'` and `_charset x'…'`.
fn introduced(bytes: Vec<u8>, charset: &str) -> Result<Expr> {
    if charset.eq_ignore_ascii_case("binary") {
        let ty = SqlType::sized_string(bytes.len() as u32, CollationId::BINARY, false);
        return Ok(literal_typed(Value::Bytes(bytes), ty));
    }
    let collation = collation::connection_charset(charset)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let bad = error.as_bytes().iter().take(6).map(|b| format!("{b:02X}")).collect::<String>();
        Error::invalid_text(charset, bad)
    })?;
    let is_latin1 = charset.eq_ignore_ascii_case("latin1");
    if is_latin1 && !text.is_ascii() {
        return Err(Error::not_supported(
            "_latin1 texts beyond ASCII; write them in utf8mb4 instead",
        ));
    }
    let length = text.chars().count() as u32;
    Ok(literal_typed(Value::Text(text), SqlType::sized_string(length, collation, false)))
}

/// The n-th column of the row.
pub fn column(index: usize, ty: SqlType) -> Expr {
    let expr = Expr::new(ty, ExprKind::Column(index));
    if ty.is_string() { expr.with_coercibility(coercibility::IMPLICIT) } else { expr }
}

/// The n-th column of the row with the name that error texts show.
pub fn named_column(index: usize, ty: SqlType, name: impl Into<Arc<str>>) -> Expr {
    Expr { name: Some(name.into()), ..column(index, ty) }
}

/// The n-th parameter, of a type that the caller knows. At execution the value is converted to it
/// when it is of another variant.
pub fn param(index: usize, ty: SqlType) -> Expr {
    Expr::new(ty.with_nullable(true), ExprKind::Param(index))
}

/// The n-th parameter, typed by the value that the context holds for it; text when there is none.
pub fn param_of_context(index: usize, ctx: &EvalContext) -> Expr {
    let ty = match ctx.params.get(index) {
        None => SqlType::sized_string(65_535, text_collation(ctx), false),
        Some(value) => match value {
            // One type per variant: a plan then serves every value of the variant.
            Value::Null => SqlType::null(),
            Value::Int(_) => SqlType::bigint(),
            Value::UInt(_) => SqlType::bigint().unsigned(),
            Value::Decimal(number) => SqlType::decimal(65, number.scale()),
            Value::Text(_) => SqlType::sized_string(65_535, text_collation(ctx), false),
            Value::Bytes(_) => SqlType::longtext(CollationId::BINARY),
            Value::Time(_) => SqlType::time(6),
            Value::DateTime(_) => SqlType::datetime(6),
            Value::Double(_) | Value::Date(_) => value.natural_type(),
        },
    };
    param(index, ty)
}

/// The collation of texts that come from literals and conversions.
pub(crate) fn text_collation(ctx: &EvalContext) -> CollationId {
    match ctx.connection_collation {
        CollationId::BINARY => CollationId::DEFAULT,
        other => other,
    }
}

/// Makes a literal of an operation over literals, when that is certain and silent.
pub(crate) fn fold(expr: Expr, ctx: &EvalContext) -> Expr {
    let own_is_pure = match &expr.kind {
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Param(_)
        | ExprKind::SystemVariable { .. }
        | ExprKind::UserVariable { .. }
        | ExprKind::AssignUserVariable { .. } => false,
        ExprKind::Call { function, .. } => function.volatility == Volatility::Pure,
        _ => true,
    };
    if !own_is_pure {
        return expr;
    }
    let mut all_literal = true;
    expr.operands(&mut |operand| all_literal &= matches!(operand.kind, ExprKind::Literal(_)));
    if !all_literal {
        return expr;
    }
    let mut quiet =
        EvalContext::new(Arc::new(NoVariables), ctx.clock.clone(), base::Rng::seeded(0));
    quiet.sql_mode = ctx.sql_mode;
    quiet.time_zone = ctx.time_zone;
    quiet.now_unix_micros = ctx.now_unix_micros;
    quiet.div_precision_increment = ctx.div_precision_increment;
    quiet.time_names = ctx.time_names;
    quiet.default_week_format = ctx.default_week_format;
    quiet.max_allowed_packet = ctx.max_allowed_packet;
    quiet.connection_collation = ctx.connection_collation;
    match expr.inner(&[], &quiet) {
        // A byte string literal would count as a number where a byte string does not; a decimal with
        // more digits than its type shows would lose them.
        Ok(value)
            if quiet.warnings.count() == 0
                && !matches!(*value, Value::Bytes(_))
                && !matches!(&*value, Value::Decimal(number) if number.scale() != expr.ty.decimals) =>
        {
            let value = value.into_owned();
            let nullable = value.is_null();
            Expr {
                ty: expr.ty.with_nullable(nullable),
                coercibility: expr.coercibility,
                kind: ExprKind::Literal(value),
                name: None,
            }
        }
        _ => expr,
    }
}

/// AND of all; TRUE when there are none.
pub fn and(mut exprs: Vec<Expr>) -> Expr {
    match exprs.len() {
        0 => literal_typed(Value::Int(1), SqlType::boolean()),
        1 => exprs.swap_remove(0),
        _ => {
            let nullable = exprs.iter().any(|expr| expr.ty.nullable);
            let ty = SqlType::boolean().with_nullable(nullable);
            let mut flat = Vec::with_capacity(exprs.len());
            for expr in exprs {
                match &expr.kind {
                    ExprKind::And(args) => flat.extend(args.iter().cloned()),
                    _ => flat.push(expr),
                }
            }
            Expr::new(ty, ExprKind::And(flat.into()))
        }
    }
}

/// OR of all; FALSE when there are none.
pub fn or(mut exprs: Vec<Expr>) -> Expr {
    match exprs.len() {
        0 => literal_typed(Value::Int(0), SqlType::boolean()),
        1 => exprs.swap_remove(0),
        _ => {
            let nullable = exprs.iter().any(|expr| expr.ty.nullable);
            let ty = SqlType::boolean().with_nullable(nullable);
            let mut flat = Vec::with_capacity(exprs.len());
            for expr in exprs {
                match &expr.kind {
                    ExprKind::Or(args) => flat.extend(args.iter().cloned()),
                    _ => flat.push(expr),
                }
            }
            Expr::new(ty, ExprKind::Or(flat.into()))
        }
    }
}

/// NOT.
pub fn not(expr: Expr, ctx: &EvalContext) -> Expr {
    let ty = SqlType::boolean().with_nullable(expr.ty.nullable);
    fold(Expr::new(ty, ExprKind::Not(Arc::new(expr))), ctx)
}

/// XOR.
pub fn xor(left: Expr, right: Expr, ctx: &EvalContext) -> Expr {
    let ty = SqlType::boolean().with_nullable(left.ty.nullable || right.ty.nullable);
    fold(Expr::new(ty, ExprKind::Xor(Arc::new([left, right]))), ctx)
}

/// A function by its name: 1305 when there is none, 1582 when the count of arguments is wrong.
pub fn call(name: &str, args: Vec<Expr>, ctx: &EvalContext) -> Result<Expr> {
    let lower = name.to_ascii_lowercase();
    if let Some(lazy) = flow::lazy_call(&lower, &args, ctx) {
        return lazy;
    }
    let Some(function) = function::find(&lower) else {
        let shown = match &ctx.database {
            Some(database) => format!("{database}.{name}"),
            None => name.to_owned(),
        };
        return Err(Error::unknown_function(shown));
    };
    call_function(function, args, ctx)
}

/// A call of a function that is found already.
pub(crate) fn call_function(
    function: &'static function::Function,
    args: Vec<Expr>,
    ctx: &EvalContext,
) -> Result<Expr> {
    if args.len() < function.args_min || args.len() > function.args_max {
        return Err(Error::wrong_parameter_count(function.name));
    }
    let bound = (function.bind)(args, ctx)?;
    let expr =
        Expr::new(bound.ty, ExprKind::Call { function, eval: bound.eval, args: bound.args.into() });
    let expr = match bound.coercibility {
        Some(coercibility) => expr.with_coercibility(coercibility),
        None => expr,
    };
    Ok(fold(expr, ctx))
}

/// `operand COLLATE name`.
pub fn collate(operand: Expr, name: &str, ctx: &EvalContext) -> Result<Expr> {
    let collation = collation::by_name(name)?;
    let text = if operand.ty.is_string() { operand } else { as_string(operand, ctx) };
    let charset = text.ty.collation.charset();
    if charset != collation.charset {
        return Err(Error::collation_charset_mismatch(collation.name, charset));
    }
    let ty = text.ty.with_collation(collation.id);
    let expr = match text.kind {
        // The type of a cast says what it casts to, so it keeps it.
        ExprKind::Cast { .. } | ExprKind::Param(_) | ExprKind::Call { .. } => {
            cast::relabel(text, ty)
        }
        _ => Expr { ty, ..text },
    };
    Ok(expr.with_coercibility(coercibility::EXPLICIT))
}

/// `@@name`; 1193 when there is none.
pub fn system_variable(scope: Option<Scope>, name: &str, ctx: &EvalContext) -> Result<Expr> {
    let value = ctx.vars.system(scope, name)?;
    let ty = match &value {
        Value::Null => SqlType::sized_string(65_535, text_collation(ctx), false),
        Value::Text(_) => value.natural_type().with_collation(text_collation(ctx)),
        _ => value.natural_type(),
    };
    let kind = ExprKind::SystemVariable { scope, name: Arc::from(name) };
    Ok(Expr::new(ty.with_nullable(true), kind))
}

/// `@name`, typed by its present value, or by what the statement assigns to it.
pub fn user_variable(name: &str, ctx: &EvalContext) -> Expr {
    let name = name.to_lowercase();
    let ty = user_type(&name, ctx);
    Expr::new(ty, ExprKind::UserVariable { name: Arc::from(name) })
}

fn user_type(name: &str, ctx: &EvalContext) -> SqlType {
    if let Some(ty) = ctx.user_types.lock().by_name.get(name) {
        return *ty;
    }
    let ty = match ctx.vars.user(name) {
        Value::Null | Value::Text(_) => SqlType::mediumtext(text_collation(ctx)),
        Value::Bytes(_) => SqlType::mediumtext(CollationId::BINARY),
        Value::Int(_) => SqlType::bigint(),
        Value::UInt(_) => SqlType::bigint().unsigned(),
        Value::Decimal(number) => SqlType::decimal(65, number.scale()),
        value => value.natural_type(),
    };
    ty.with_nullable(true)
}

/// The type of a variable that holds numbers of both types; `None` when the first is that already.
fn wider_number(present: &SqlType, assigned: &SqlType) -> Option<SqlType> {
    let holds_all = match (present.domain(), assigned.domain()) {
        (Domain::Integer | Domain::Decimal, Domain::Double) => SqlType::double(),
        (Domain::Integer, Domain::Decimal) => SqlType::decimal(65, assigned.decimals),
        (Domain::Decimal, Domain::Decimal) if present.decimals < assigned.decimals => {
            SqlType::decimal(65, assigned.decimals)
        }
        _ => return None,
    };
    Some(holds_all.with_nullable(true))
}

/// `@name := value`. A number that the type of `@name` does not hold gives it another one, see
/// [`EvalContext::found_user_types`].
pub fn assign(name: &str, value: Expr, ctx: &EvalContext) -> Expr {
    let name = name.to_lowercase();
    if let Some(ty) = wider_number(&user_type(&name, ctx), &value.ty) {
        let mut types = ctx.user_types.lock();
        types.by_name.insert(name.clone(), ty);
        types.is_new = true;
    }
    let ty = value.ty;
    let kind = ExprKind::AssignUserVariable { name: Arc::from(name), value: Arc::new(value) };
    Expr::new(ty, kind)
}

/// `TRIM([side] [what] FROM operand)`.
pub fn trim(
    side: ast::TrimSide,
    what: Option<Expr>,
    operand: Expr,
    ctx: &EvalContext,
) -> Result<Expr> {
    let name = match side {
        ast::TrimSide::Both => "trim",
        ast::TrimSide::Leading => "ltrim",
        ast::TrimSide::Trailing => "rtrim",
    };
    let mut args = vec![operand];
    args.extend(what);
    call(name, args, ctx)
}

/// `CHAR(args USING charset)`.
pub fn char_function(args: Vec<Expr>, charset: Option<&str>, ctx: &EvalContext) -> Result<Expr> {
    let bytes = call("char", args, ctx)?;
    match charset {
        Some(charset) => convert_using(bytes, charset, ctx),
        None => Ok(bytes),
    }
}

/// `WEIGHT_STRING(operand [AS CHAR(n) | AS BINARY(n)])`.
pub fn weight_string(
    operand: Expr,
    as_type: Option<&ast::CastType>,
    ctx: &EvalContext,
) -> Result<Expr> {
    let (operand, length) = match as_type {
        None => return call("weight_string", vec![operand], ctx),
        Some(ast::CastType::Char { length: Some(length), charset: None }) => (operand, *length),
        Some(ast::CastType::Binary { length: Some(length) }) => {
            (convert_using(operand, "binary", ctx)?, *length)
        }
        Some(_) => {
            return Err(Error::syntax("AS in WEIGHT_STRING, which takes CHAR(n) and BINARY(n)", 1));
        }
    };
    call("weight_string", vec![operand, literal(Value::Int(i64::from(length)))], ctx)
}

/// One collation for all string operands, and how firmly it holds; 1267 when there is none.
///
/// The firmest operand decides. Among equally firm ones, a `_bin` collation wins over another one of
/// its character set, utf8mb4 over utf8mb3, byte strings win over text, and two explicit or otherwise different collations
/// cannot be reconciled.
pub fn aggregate_collation(
    operands: &[&Expr],
    operation: &str,
    ctx: &EvalContext,
) -> Result<(CollationId, u8)> {
    let mut found: Option<(CollationId, u8)> = None;
    for expr in operands.iter().filter(|expr| expr.ty.is_string()) {
        let (collation, firmness) = (expr.ty.collation.of_text(), expr.coercibility);
        found = Some(match found {
            None => (collation, firmness),
            Some((best, best_firmness)) if best == collation => (best, best_firmness.min(firmness)),
            Some(best) if best.1 < firmness => best,
            Some(best) if best.1 > firmness => (collation, firmness),
            Some((best, _)) => {
                let binary = |id: CollationId| id == CollationId::BINARY;
                let wins = |a: CollationId, b: CollationId| {
                    // Of two character sets the one that holds the other's texts.
                    let holds_more = !binary(b) && a.bytes_per_char() > b.bytes_per_char();
                    binary(a)
                        || holds_more
                        || (a.charset() == b.charset()
                            && a.is_binary_order()
                            && !b.is_binary_order())
                };
                if firmness != coercibility::EXPLICIT && wins(best, collation) {
                    (best, firmness)
                } else if firmness != coercibility::EXPLICIT && wins(collation, best) {
                    (collation, firmness)
                } else {
                    return Err(illegal_mix((best, firmness), (collation, firmness), operation));
                }
            }
        });
    }
    Ok(found.unwrap_or((text_collation(ctx), coercibility::COERCIBLE)))
}

fn illegal_mix(a: (CollationId, u8), b: (CollationId, u8), operation: &str) -> Error {
    let shown = |(collation, firmness): (CollationId, u8)| {
        let firmness = match firmness {
            coercibility::EXPLICIT => "EXPLICIT",
            coercibility::NONE => "NONE",
            coercibility::IMPLICIT => "IMPLICIT",
            coercibility::SYSTEM => "SYSCONST",
            coercibility::COERCIBLE => "COERCIBLE",
            coercibility::NUMERIC => "NUMERIC",
            _ => "IGNORABLE",
        };
        format!("({},{firmness})", collation.name())
    };
    Error::illegal_mix(shown(a), shown(b), operation)
}

/// The escape character of LIKE: what ESCAPE names, else a backslash unless sql_mode makes it an
/// ordinary character.
pub(crate) fn escape_character(escape: Option<Expr>, ctx: &EvalContext) -> Result<Option<char>> {
    let Some(escape) = escape else {
        let ordinary = ctx.sql_mode.contains(SqlMode::NO_BACKSLASH_ESCAPES);
        return Ok((!ordinary).then_some('\\'));
    };
    let wrong = || Error::wrong_arguments("ESCAPE");
    if !escape.is_constant() {
        return Err(wrong());
    }
    let value = escape.eval(&[], ctx)?;
    if value.is_null() {
        return Ok(Some('\\'));
    }
    let text = value.to_text(&escape.ty).unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Ok(None),
        (Some(c), None) => Ok(Some(c)),
        _ => Err(wrong()),
    }
}

/// Whether a literal is NULL.
pub(crate) fn is_null_literal(expr: &Expr) -> bool {
    expr.ty.kind == TypeKind::Null || matches!(expr.kind, ExprKind::Literal(Value::Null))
}
