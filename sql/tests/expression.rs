//! What expressions mean: golden scripts of `expression → value : type, warnings`.
//!
//! A command is an expression after `>`. The context is fixed: NOW() is 2024-02-29 12:34:56.789012 UTC,
//! the connection's collation utf8mb4_0900_ai_ci, sql_mode MySQL's default. Tags before `>` change it:
//! `strict` (bad values are errors, as in INSERT), `lax` (an empty sql_mode), `zone` (+02:00),
//! `no_unsigned_subtraction`, `no_backslash_escapes`, `cut_fractions`, `invalid_dates`.

use std::error::Error;
use std::sync::Arc;

use base::{Rng, SystemClock};
use goldenscript::{Command, Context, Runner};
use sql::ast::{QueryBody, SelectItem, Statement};
use sql::binder::{BindContext, Scope, bind_expr};
use sql::catalog::Catalog;
use sql::context::{EvalContext, NoVariables, SqlMode};
use sql::expr::Expr;
use sql::parser::{ParseMode, parse_statement};
use sql::types::datetime::TimeZone;
use sql::types::{DECIMALS_NOT_FIXED, TypeKind};

test_each_file::test_each_path! { in "sql/src/testscripts/expr" as scripts => script }

/// 2024-02-29 12:34:56.789012 UTC.
const NOW: u64 = 1_709_210_096_789_012;

fn script(path: &std::path::Path) {
    goldenscript::run(&mut Expressions, path).expect("the script runs");
}

struct Expressions;

impl Runner for Expressions {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let tag = |name: &str| context.tags.contains(name);
        let mut ctx =
            EvalContext::new(Arc::new(NoVariables), SystemClock::shared(), Rng::seeded(1));
        ctx.now_unix_micros = NOW;
        ctx.database = Some("police".to_owned());
        ctx.user = "ann@localhost".to_owned();
        ctx.current_user = "ann@%".to_owned();
        ctx.version = "8.0.46-PrecinctDB".to_owned();
        ctx.connection_id = 7;
        ctx.strict_dml = tag("strict");
        if tag("lax") {
            ctx.sql_mode = SqlMode::EMPTY;
        }
        for (name, mode) in [
            ("no_unsigned_subtraction", SqlMode::NO_UNSIGNED_SUBTRACTION),
            ("no_backslash_escapes", SqlMode::NO_BACKSLASH_ESCAPES),
            ("cut_fractions", SqlMode::TIME_TRUNCATE_FRACTIONAL),
            ("invalid_dates", SqlMode::ALLOW_INVALID_DATES),
        ] {
            if tag(name) {
                ctx.sql_mode = ctx.sql_mode.union(mode);
            }
        }
        if tag("zone") {
            ctx.time_zone = TimeZone::parse("+02:00")?;
        }
        Ok(evaluate(&command.name, &ctx).unwrap_or_else(|error| error.to_string()))
    }
}

fn evaluate(text: &str, ctx: &EvalContext) -> sql::Result<String> {
    let mode = ParseMode {
        no_backslash_escapes: ctx.sql_mode.contains(SqlMode::NO_BACKSLASH_ESCAPES),
        ..ParseMode::default()
    };
    let statement = parse_statement(&format!("SELECT {text}"), &mode)?;
    let Statement::Query(query) = statement else { panic!("{text} is no expression") };
    let QueryBody::Select(mut select) = query.body else { panic!("{text} is no expression") };
    let SelectItem::Expr { expr, .. } = select.items.swap_remove(0) else {
        panic!("{text} is no expression")
    };
    let mut bind = BindContext::new(Arc::new(Catalog::default()), ctx.database.clone(), ctx);
    let bound = bind_expr(&expr, &Scope::default(), &mut bind)?;
    let value = bound.eval(&[], ctx)?;
    let mut out = value.to_text(&bound.ty).unwrap_or("NULL".to_owned());
    if bound.ty.is_bytes() && !value.is_null() {
        let bytes = value.as_bytes().unwrap_or_default();
        out = format!("0x{}", bytes.iter().map(|b| format!("{b:02X}")).collect::<String>());
    }
    out.push_str(&format!(" : {}", type_name(&bound)));
    for warning in ctx.warnings.to_vec() {
        out.push_str(&format!("\n  {} {} {}", warning.level.name(), warning.code, warning.message));
    }
    Ok(out)
}

fn type_name(expr: &Expr) -> String {
    let ty = &expr.ty;
    let name = ty.kind_name().to_lowercase();
    let mut out = match ty.kind {
        TypeKind::Decimal => format!("{name}({},{})", ty.length, ty.decimals),
        TypeKind::Double if ty.decimals < DECIMALS_NOT_FIXED => format!("{name}(,{})", ty.decimals),
        TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp if ty.decimals > 0 => {
            format!("{name}({})", ty.decimals)
        }
        TypeKind::Char | TypeKind::Varchar | TypeKind::BigInt => format!("{name}({})", ty.length),
        _ => name,
    };
    if ty.unsigned && ty.kind != TypeKind::Year {
        out.push_str(" unsigned");
    }
    if !ty.nullable {
        out.push_str(" not null");
    }
    out
}
