//! Bound expressions: fully typed, fully cast, evaluated per row or per batch.
//!
//! ```text
//! ast::Expr ──binder──> build::* ──> Expr ──eval───────> Value      (row form: point plans, DML, DDL)
//!                        (types,      └────eval_batch──> ArrayRef   (vector form: operators)
//!                         casts)
//! ```
//!
//! Invariants:
//! 1. A value that an expression yields is NULL or of the variant that its type fixes (`value`).
//! 2. Operands of a comparison, an arithmetic operator, a CASE … are already cast to one domain, so
//!    evaluation never decides a type.
//! 3. Lazy kinds (AND, OR, IF, CASE, COALESCE, IN) evaluate an operand only for the rows that need
//!    it, in both forms; else false warnings and errors would appear.
//! 4. Both forms give equal values, warnings and errors (`expr/parity.rs` holds them to it).
//!
//! Cloning is cheap: operands are shared. Not here: names (`binder`), aggregates, subqueries (`exec`).

pub mod arithmetic;
pub mod build;
pub mod compare;
pub mod eval;
pub mod key;
pub mod like;
pub mod print;
pub mod vector;

#[cfg(test)]
mod parity;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use arithmetic::ArithmeticOp;
pub use compare::{CompareOp, compare, compare_values};
pub use key::{ValueSet, key_bytes, put_key, weight_array};

use crate::context::Scope;
use crate::function::{Eval, Function, Volatility};
use crate::types::{Domain, SqlType, TypeKind};
use crate::value::Value;

/// How firmly a text holds to its collation; the lower wins (MySQL's coercibility).
pub mod coercibility {
    /// COLLATE.
    pub const EXPLICIT: u8 = 0;
    /// Two collations that cannot be reconciled.
    pub const NONE: u8 = 1;
    /// A column.
    pub const IMPLICIT: u8 = 2;
    /// USER(), VERSION() and the like.
    pub const SYSTEM: u8 = 3;
    /// A literal, a parameter, a user variable.
    pub const COERCIBLE: u8 = 4;
    /// A number or date.
    pub const NUMERIC: u8 = 5;
    /// NULL.
    pub const IGNORABLE: u8 = 6;
}

/// A bound expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Type of the result.
    pub ty: SqlType,
    /// What is computed.
    pub kind: ExprKind,
    /// How firmly the result holds to its collation, see [`coercibility`].
    pub coercibility: u8,
    /// For columns: the name that error texts show, `` `db`.`table`.`column` ``.
    pub name: Option<Arc<str>>,
}

/// Why a cast stands here; it decides what a bad value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CastMode {
    /// CAST, CONVERT, or an operand that a function or operator needs in another type: bad values
    /// give a warning, bad dates NULL.
    Convert,
    /// An operand of a comparison: a constant that is no date is error 1525.
    Compare,
    /// An operand of a function that only looks at parts of a date: days that no calendar has count.
    Part,
}

/// What an expression computes.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// The n-th column of the row.
    Column(usize),
    /// A constant.
    Literal(Value),
    /// The n-th parameter (`ctx.params[n]`); the value is cast to `ty` when it is of another variant.
    Param(usize),
    /// A function of [`crate::function`] over evaluated arguments.
    Call {
        /// Which function.
        function: &'static Function,
        /// Its row form for these argument types.
        eval: Eval,
        /// Arguments, cast to what the function wants.
        args: Arc<[Expr]>,
    },
    /// `+ - * / DIV %` in one numeric domain.
    Arithmetic {
        /// The operator.
        op: ArithmeticOp,
        /// Integer, Decimal or Double: the domain of both operands.
        domain: Domain,
        /// Left and right operand.
        args: Arc<[Expr; 2]>,
    },
    /// A comparison: 1, 0, or NULL when an operand is NULL (never for `<=>`).
    Compare {
        /// The operator.
        op: CompareOp,
        /// The domain of both operands.
        domain: Domain,
        /// Left and right operand; for `Domain::Text` the collation is that of the left type.
        args: Arc<[Expr; 2]>,
    },
    /// AND of all operands, left to right, stopping at the first false one.
    And(Arc<[Expr]>),
    /// OR of all operands, left to right, stopping at the first true one.
    Or(Arc<[Expr]>),
    /// XOR.
    Xor(Arc<[Expr; 2]>),
    /// NOT.
    Not(Arc<Expr>),
    /// IS NULL, IS NOT NULL.
    IsNull {
        /// What is tested.
        arg: Arc<Expr>,
        /// IS NOT NULL.
        negated: bool,
    },
    /// IS TRUE, IS FALSE and their negations; never NULL.
    IsTruth {
        /// What is tested.
        arg: Arc<Expr>,
        /// TRUE or FALSE.
        expected: bool,
        /// IS NOT.
        negated: bool,
    },
    /// IF(condition, then, otherwise).
    If(Arc<[Expr; 3]>),
    /// CASE: conditions and results, cast to one type.
    Case {
        /// WHEN conditions with their THEN results.
        whens: Arc<[(Expr, Expr)]>,
        /// ELSE; NULL without it.
        otherwise: Option<Arc<Expr>>,
    },
    /// The first operand that is not NULL.
    Coalesce(Arc<[Expr]>),
    /// `arg [NOT] IN (…)`; operands are cast to one domain.
    InList {
        /// What is looked for.
        arg: Arc<Expr>,
        /// Where; empty when `set` holds all of it.
        list: Arc<[Expr]>,
        /// Constant members, by key.
        set: Option<Arc<ValueSet>>,
        /// NOT IN.
        negated: bool,
    },
    /// `arg LIKE pattern` with this escape character, under the collation of `arg`'s type.
    Like {
        /// The text.
        arg: Arc<Expr>,
        /// The pattern.
        pattern: Arc<Expr>,
        /// The escape character; `None` when there is none.
        escape: Option<char>,
    },
    /// A conversion to `ty`.
    Cast {
        /// What is converted.
        arg: Arc<Expr>,
        /// What a bad value does.
        mode: CastMode,
    },
    /// `@@name`.
    SystemVariable {
        /// Where it is read.
        scope: Option<Scope>,
        /// Its name.
        name: Arc<str>,
    },
    /// `@name`.
    UserVariable {
        /// Its name, lower case.
        name: Arc<str>,
    },
    /// `@name := value`; the plan runs in row order.
    AssignUserVariable {
        /// Its name, lower case.
        name: Arc<str>,
        /// The new value.
        value: Arc<Expr>,
    },
}

impl Expr {
    pub(crate) fn new(ty: SqlType, kind: ExprKind) -> Expr {
        let coercibility = if ty.kind == TypeKind::Null {
            coercibility::IGNORABLE
        } else if ty.is_string() {
            coercibility::COERCIBLE
        } else {
            coercibility::NUMERIC
        };
        Expr { ty, kind, coercibility, name: None }
    }

    /// The same expression with another coercibility.
    pub(crate) fn with_coercibility(self, coercibility: u8) -> Expr {
        Expr { coercibility, ..self }
    }

    /// The literal's value, when this is a literal.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Calls `visit` for every direct operand, in order of evaluation.
    pub fn operands(&self, visit: &mut dyn FnMut(&Expr)) {
        match &self.kind {
            ExprKind::Column(_)
            | ExprKind::Literal(_)
            | ExprKind::Param(_)
            | ExprKind::SystemVariable { .. }
            | ExprKind::UserVariable { .. } => {}
            ExprKind::Call { args, .. }
            | ExprKind::And(args)
            | ExprKind::Or(args)
            | ExprKind::Coalesce(args) => args.iter().for_each(visit),
            ExprKind::Arithmetic { args, .. }
            | ExprKind::Compare { args, .. }
            | ExprKind::Xor(args) => args.iter().for_each(visit),
            ExprKind::If(args) => args.iter().for_each(visit),
            ExprKind::Not(arg)
            | ExprKind::IsNull { arg, .. }
            | ExprKind::IsTruth { arg, .. }
            | ExprKind::Cast { arg, .. }
            | ExprKind::AssignUserVariable { value: arg, .. } => visit(arg),
            ExprKind::Case { whens, otherwise } => {
                for (when, then) in whens.iter() {
                    visit(when);
                    visit(then);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            ExprKind::InList { arg, list, .. } => {
                visit(arg);
                list.iter().for_each(visit);
            }
            ExprKind::Like { arg, pattern, .. } => {
                visit(arg);
                visit(pattern);
            }
        }
    }

    /// The same expression with every direct operand replaced.
    pub fn map_operands(&self, f: &mut dyn FnMut(&Expr) -> Expr) -> Expr {
        fn many(args: &[Expr], f: &mut dyn FnMut(&Expr) -> Expr) -> Arc<[Expr]> {
            args.iter().map(f).collect()
        }
        fn pair(args: &[Expr; 2], f: &mut dyn FnMut(&Expr) -> Expr) -> Arc<[Expr; 2]> {
            Arc::new([f(&args[0]), f(&args[1])])
        }
        let kind = match &self.kind {
            ExprKind::Column(_)
            | ExprKind::Literal(_)
            | ExprKind::Param(_)
            | ExprKind::SystemVariable { .. }
            | ExprKind::UserVariable { .. } => self.kind.clone(),
            ExprKind::Call { function, eval, args } => {
                ExprKind::Call { function, eval: *eval, args: many(args, f) }
            }
            ExprKind::And(args) => ExprKind::And(many(args, f)),
            ExprKind::Or(args) => ExprKind::Or(many(args, f)),
            ExprKind::Coalesce(args) => ExprKind::Coalesce(many(args, f)),
            ExprKind::Arithmetic { op, domain, args } => {
                ExprKind::Arithmetic { op: *op, domain: *domain, args: pair(args, f) }
            }
            ExprKind::Compare { op, domain, args } => {
                ExprKind::Compare { op: *op, domain: *domain, args: pair(args, f) }
            }
            ExprKind::Xor(args) => ExprKind::Xor(pair(args, f)),
            ExprKind::If(args) => ExprKind::If(Arc::new([f(&args[0]), f(&args[1]), f(&args[2])])),
            ExprKind::Not(arg) => ExprKind::Not(Arc::new(f(arg))),
            ExprKind::IsNull { arg, negated } => {
                ExprKind::IsNull { arg: Arc::new(f(arg)), negated: *negated }
            }
            ExprKind::IsTruth { arg, expected, negated } => {
                ExprKind::IsTruth { arg: Arc::new(f(arg)), expected: *expected, negated: *negated }
            }
            ExprKind::Cast { arg, mode } => ExprKind::Cast { arg: Arc::new(f(arg)), mode: *mode },
            ExprKind::AssignUserVariable { name, value } => {
                ExprKind::AssignUserVariable { name: name.clone(), value: Arc::new(f(value)) }
            }
            ExprKind::Case { whens, otherwise } => ExprKind::Case {
                whens: whens.iter().map(|(when, then)| (f(when), f(then))).collect(),
                otherwise: otherwise.as_ref().map(|otherwise| Arc::new(f(otherwise))),
            },
            ExprKind::InList { arg, list, set, negated } => ExprKind::InList {
                arg: Arc::new(f(arg)),
                list: many(list, f),
                set: set.clone(),
                negated: *negated,
            },
            ExprKind::Like { arg, pattern, escape } => ExprKind::Like {
                arg: Arc::new(f(arg)),
                pattern: Arc::new(f(pattern)),
                escape: *escape,
            },
        };
        Expr { kind, ..self.clone() }
    }

    /// Whether `test` holds for this expression or anything below it.
    pub fn any(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.operands(&mut |operand| found = found || operand.any(test));
        found
    }

    /// Adds the columns that are read.
    pub fn columns(&self, out: &mut BTreeSet<usize>) {
        if let ExprKind::Column(index) = self.kind {
            out.insert(index);
        }
        self.operands(&mut |operand| operand.columns(out));
    }

    /// The same expression over a row whose columns stand elsewhere.
    pub fn map_columns(&self, f: &dyn Fn(usize) -> usize) -> Expr {
        match self.kind {
            ExprKind::Column(index) => Expr { kind: ExprKind::Column(f(index)), ..self.clone() },
            _ => self.map_operands(&mut |operand| operand.map_columns(f)),
        }
    }

    /// The same expression with columns replaced by expressions; `None` keeps a column.
    pub fn substitute(&self, f: &dyn Fn(usize) -> Option<Expr>) -> Expr {
        match self.kind {
            ExprKind::Column(index) => f(index).unwrap_or_else(|| self.clone()),
            _ => self.map_operands(&mut |operand| operand.substitute(f)),
        }
    }

    /// The most changeable thing in this expression.
    fn volatility(&self) -> Volatility {
        let own = match &self.kind {
            ExprKind::Call { function, .. } => function.volatility,
            ExprKind::Param(_) | ExprKind::SystemVariable { .. } => Volatility::Statement,
            ExprKind::UserVariable { .. } | ExprKind::AssignUserVariable { .. } => Volatility::Row,
            _ => Volatility::Pure,
        };
        let mut most = own;
        self.operands(&mut |operand| most = most.max(operand.volatility()));
        most
    }

    /// Whether it gives the same each time it is computed for a row: no RAND(), no user variable.
    pub fn is_steady(&self) -> bool {
        self.volatility() <= Volatility::Statement
    }

    /// Whether the value is the same for every row of the statement: no column, no RAND(), no user
    /// variable. Parameters and NOW() are constant in this sense.
    pub fn is_constant(&self) -> bool {
        self.volatility() <= Volatility::Statement
            && !self.any(&|expr| matches!(expr.kind, ExprKind::Column(_)))
    }

    /// Whether the value is the same in every execution of the plan, so that it may be folded.
    pub fn is_pure_constant(&self) -> bool {
        self.volatility() == Volatility::Pure
            && !self.any(&|expr| matches!(expr.kind, ExprKind::Column(_)))
    }

    /// Whether rows must be evaluated one after the other, in output order (`@v := …`).
    pub fn is_ordered(&self) -> bool {
        self.any(&|expr| {
            matches!(expr.kind, ExprKind::AssignUserVariable { .. } | ExprKind::UserVariable { .. })
        })
    }

    /// Splits a condition at its ANDs: all of the parts must be true.
    pub fn conjuncts(&self) -> Vec<Expr> {
        match &self.kind {
            ExprKind::And(args) => args.iter().flat_map(Expr::conjuncts).collect(),
            _ => vec![self.clone()],
        }
    }
}
