//! MySQL's functions, one family per file.
//!
//! A [`Function`] is a name, the number of its arguments and a `bind` that derives the result type,
//! casts the arguments and picks the row form. Evaluation then only matches on value variants.
//!
//! Lazy forms (IF, CASE, COALESCE, IFNULL, NULLIF, IN) are kinds of `expr::ExprKind`, built by
//! `expr::build::call` under their names.
//!
//! Not here: operators (`expr::arithmetic`, `expr::compare`), aggregates (`exec`).

pub mod aes;
mod backtrack;
pub mod bit;
pub mod bit_text;
pub mod compress;
pub mod date;
pub mod date_arithmetic;
pub mod date_format;
pub mod digest;
pub mod encoding;
pub mod flow;
pub mod information;
pub mod json;
pub mod json_document;
pub mod locale;
pub mod members;
pub(crate) mod narrow;
pub mod network;
pub mod number_format;
pub mod numeric;
pub mod pattern;
pub mod server;
pub mod spatial;
pub mod spatial_relation;
pub mod string;
pub mod string_edit;
pub mod string_search;
pub mod uuid;
pub mod vector;
pub mod weight;
pub mod xml;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// How often a function's value may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volatility {
    /// Never: equal arguments give equal values.
    Pure,
    /// Per statement: NOW(), USER().
    Statement,
    /// Per row: RAND(), UUID(), SYSDATE().
    Row,
}

/// One evaluation of a function.
pub struct Call<'a> {
    /// Evaluated arguments, of the types of `exprs`.
    pub args: &'a [Value],
    /// The bound arguments, for their types.
    pub exprs: &'a [Expr],
    /// Type of the result.
    pub ty: &'a SqlType,
    /// The function's name, for errors.
    pub name: &'static str,
    /// The context.
    pub ctx: &'a EvalContext,
}

/// Row form of a function.
pub type Eval = fn(&Call<'_>) -> Result<Value>;

/// What `bind` decides about one call.
#[derive(Debug)]
pub struct Bound {
    /// Type of the result.
    pub ty: SqlType,
    /// Arguments, cast.
    pub args: Vec<Expr>,
    /// Row form.
    pub eval: Eval,
    /// How firmly the result holds to its collation; `None` for the default of its type.
    pub coercibility: Option<u8>,
}

/// A function.
pub struct Function {
    /// Its name, lower case.
    pub name: &'static str,
    /// Fewest arguments.
    pub args_min: usize,
    /// Most arguments.
    pub args_max: usize,
    /// How often its value may change.
    pub volatility: Volatility,
    /// Derives type and casts.
    pub bind: fn(Vec<Expr>, &EvalContext) -> Result<Bound>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Any number of arguments.
pub const MANY: usize = usize::MAX;

/// A function whose value depends on its arguments alone.
pub(crate) const fn pure(
    name: &'static str,
    args_min: usize,
    args_max: usize,
    bind: fn(Vec<Expr>, &EvalContext) -> Result<Bound>,
) -> Function {
    Function { name, args_min, args_max, volatility: Volatility::Pure, bind }
}

/// A function whose value is fixed for a statement.
pub(crate) const fn per_statement(
    name: &'static str,
    args_min: usize,
    args_max: usize,
    bind: fn(Vec<Expr>, &EvalContext) -> Result<Bound>,
) -> Function {
    Function { name, args_min, args_max, volatility: Volatility::Statement, bind }
}

/// A function whose value may change from row to row.
pub(crate) const fn per_row(
    name: &'static str,
    args_min: usize,
    args_max: usize,
    bind: fn(Vec<Expr>, &EvalContext) -> Result<Bound>,
) -> Function {
    Function { name, args_min, args_max, volatility: Volatility::Row, bind }
}

static FAMILIES: &[&[Function]] = &[
    aes::FUNCTIONS,
    bit::FUNCTIONS,
    bit_text::FUNCTIONS,
    compress::FUNCTIONS,
    date::FUNCTIONS,
    date_arithmetic::FUNCTIONS,
    date_format::FUNCTIONS,
    digest::FUNCTIONS,
    encoding::FUNCTIONS,
    flow::FUNCTIONS,
    information::FUNCTIONS,
    json::FUNCTIONS,
    json_document::FUNCTIONS,
    members::FUNCTIONS,
    narrow::FUNCTIONS,
    network::FUNCTIONS,
    number_format::FUNCTIONS,
    numeric::FUNCTIONS,
    pattern::FUNCTIONS,
    server::FUNCTIONS,
    spatial::FUNCTIONS,
    spatial_relation::FUNCTIONS,
    string::FUNCTIONS,
    string_edit::FUNCTIONS,
    string_search::FUNCTIONS,
    uuid::FUNCTIONS,
    vector::FUNCTIONS,
    weight::FUNCTIONS,
    xml::FUNCTIONS,
];

static REGISTRY: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
    FAMILIES.iter().flat_map(|family| family.iter()).map(|f| (f.name, f)).collect()
});

/// The function of this name, in any case.
pub fn find(name: &str) -> Option<&'static Function> {
    REGISTRY.get(name.to_ascii_lowercase().as_str()).copied()
}

/// Names of all functions, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGISTRY.keys().copied()
}

impl Call<'_> {
    /// Whether any argument is NULL.
    pub fn any_null(&self) -> bool {
        self.args.iter().any(Value::is_null)
    }

    /// The text or bytes of an argument that `bind` cast to a string; empty for NULL.
    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        self.args.get(index).and_then(Value::as_bytes).unwrap_or_default()
    }

    /// The text of an argument that `bind` cast to text; empty for NULL.
    pub(crate) fn text(&self, index: usize) -> &str {
        self.args.get(index).and_then(Value::as_text).unwrap_or_default()
    }

    /// The integer of an argument that `bind` cast to BIGINT, clamped to signed; 0 for NULL.
    pub(crate) fn int(&self, index: usize) -> i64 {
        match self.args.get(index) {
            Some(Value::Int(value)) => *value,
            Some(Value::UInt(value)) => i64::try_from(*value).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// The 64 bits of an argument that `bind` cast to an integer; 0 for NULL.
    pub(crate) fn bits(&self, index: usize) -> u64 {
        match self.args.get(index) {
            Some(Value::Int(value)) => *value as u64,
            Some(Value::UInt(value)) => *value,
            _ => 0,
        }
    }

    /// The number of an argument that `bind` cast to DOUBLE; 0 for NULL.
    pub(crate) fn double(&self, index: usize) -> f64 {
        match self.args.get(index) {
            Some(Value::Double(value)) => *value,
            _ => 0.0,
        }
    }

    /// A string result of the result type: text or bytes.
    pub(crate) fn string(&self, bytes: Vec<u8>) -> Value {
        string_value(bytes, self.ty)
    }
}

/// A bound call whose result keeps no collation of its own.
pub(crate) fn bound(ty: SqlType, args: Vec<Expr>, eval: Eval) -> Bound {
    Bound { ty, args, eval, coercibility: None }
}

/// Whether any argument may be NULL.
pub(crate) fn any_nullable(args: &[Expr]) -> bool {
    args.iter().any(|arg| arg.ty.nullable)
}

/// All arguments as strings of one collation, and how firmly the result holds to it.
pub(crate) fn string_args(
    args: Vec<Expr>,
    name: &str,
    ctx: &EvalContext,
) -> Result<(CollationId, u8, Vec<Expr>)> {
    let args: Vec<Expr> = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    let strings: Vec<&Expr> = args.iter().filter(|arg| !build::is_null_literal(arg)).collect();
    let (collation, firmness) = build::aggregate_collation(&strings, name, ctx)?;
    let args = args.into_iter().map(|arg| build::in_collation(arg, collation, ctx)).collect();
    Ok((collation, firmness, args))
}

/// The argument at `index` as a string; the others as integers.
pub(crate) fn string_and_integers(mut args: Vec<Expr>, ctx: &EvalContext) -> Vec<Expr> {
    for (index, arg) in args.iter_mut().enumerate() {
        *arg = if index == 0 {
            build::as_string(arg.clone(), ctx)
        } else {
            build::as_integer(arg.clone(), ctx)
        };
    }
    args
}

/// Where the characters of a string begin, and where the last one ends. Bytes are their own characters.
pub(crate) fn char_offsets(value: &Value) -> Vec<usize> {
    match value {
        Value::Text(text) => {
            text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).collect()
        }
        other => (0..=other.as_bytes().unwrap_or_default().len()).collect(),
    }
}

/// Refuses a result that no packet could carry: NULL with warning 1301.
pub(crate) fn fits_packet(call: &Call<'_>, bytes: u64) -> bool {
    let limit = call.ctx.max_allowed_packet;
    if bytes > limit {
        call.ctx.warn(Error::packet_overflow(call.name, limit));
        return false;
    }
    true
}

/// Bytes as a value of a string type. Text that lost its form (cut inside a character) keeps its
/// good characters.
pub(crate) fn string_value(bytes: Vec<u8>, ty: &SqlType) -> Value {
    if ty.is_text() {
        match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(error) => Value::Text(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        }
    } else {
        Value::Bytes(bytes)
    }
}
