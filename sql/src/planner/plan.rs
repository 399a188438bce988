//! The logical plan: what a query does, before anybody has decided how.
//!
//! A tree of nodes. Expressions of a node see the columns of its input (of both inputs, left then
//! right, for a join) by position. Two ranges of column positions mean something else:
//!
//! ```text
//! 0 ───────────── SUBQUERY ─────────────── OUTER ──────────────
//! input columns   result of subquery n     outer value n of the subquery this plan belongs to
//! ```
//!
//! Placeholders for subqueries disappear when the subquery has run once (uncorrelated) or become a
//! column that an `Apply` operator adds (correlated); placeholders for outer values become literals
//! before the plan of a subquery runs.
//!
//! Invariants:
//! 1. A subquery's number is its position in [`Subqueries`]; nested ones have smaller numbers.
//! 2. `Join::on` and `Filter::conjuncts` are lists of conditions that must all be true.
//!
//! Not here: how a table is read (`access`), operators (`exec`).

use crate::Result;
use crate::binder::rewrite::{self, Rewrite};
use crate::catalog::TableDef;
use crate::expr::{Expr, ExprKind};
use crate::program::function::Call;
use crate::types::SqlType;
use crate::value::Row;
use std::collections::BTreeSet;
use std::sync::Arc;

/// First column position that stands for a subquery's result.
pub const SUBQUERY: usize = 1 << 40;
/// First column position that stands for an outer value.
pub const OUTER: usize = 1 << 41;

/// All subqueries of a statement by number.
pub type Subqueries = Vec<Arc<Subquery>>;

/// A subquery inside an expression.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// What its rows mean to the expression.
    pub kind: SubqueryKind,
    /// The query; its select list is its output.
    pub plan: Arc<Plan>,
    /// Outer values it needs, as expressions of the enclosing query. Empty: it runs once.
    pub outer: Vec<Expr>,
    /// Its rows, once an uncorrelated one has run.
    pub rows: Option<Arc<Vec<Row>>>,
}

/// What the rows of a subquery mean to the expression it stands in.
#[derive(Clone, Debug)]
pub enum SubqueryKind {
    /// One value: NULL without a row, an error with several.
    Scalar,
    /// Whether there is any row.
    Exists,
    /// `left op ANY (…)`, which is also IN, or `left op ALL (…)`, which is also NOT IN.
    Quantified {
        /// The left side, as expressions of the enclosing query.
        left: Vec<Expr>,
        /// Condition over the left side's columns followed by the subquery's columns.
        condition: Expr,
        /// Whether `condition` is an equality of each left column with its counterpart.
        equality: bool,
        /// ALL instead of ANY.
        all: bool,
    },
    /// Rows that [`Plan::Shared`] reads: a query of WITH; with how it goes on when it is recursive.
    Table(Option<Recursion>),
    /// Rows that [`Plan::Lateral`] joins to the row that it reads.
    Lateral,
    /// The rows of a recursive query's last round.
    Working,
    /// A stored function: the outer values are its arguments, the plan's one column has the type of its result.
    Function(Arc<Call>),
}

/// How a recursive query of WITH goes on from its first rows.
#[derive(Clone, Debug)]
pub struct Recursion {
    /// The subquery that stands for the rows of the last round.
    pub working: usize,
    /// What each round does; each reads the rows of the round before.
    pub steps: Vec<Plan>,
    /// Whether equal rows count once.
    pub distinct: bool,
    /// LIMIT: rows to leave out.
    pub offset: Option<Expr>,
    /// LIMIT: most rows.
    pub count: Option<Expr>,
    /// Names of its columns, for errors.
    pub names: Vec<String>,
}

impl Subquery {
    /// A subquery that has not run.
    pub fn new(kind: SubqueryKind, plan: Plan, outer: Vec<Expr>) -> Subquery {
        Subquery { kind, plan: Arc::new(plan), outer, rows: None }
    }

    /// Its plan, and those of its rounds.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        let steps = match &self.kind {
            SubqueryKind::Table(Some(recursion)) => recursion.steps.as_slice(),
            _ => &[],
        };
        std::iter::once(self.plan.as_ref()).chain(steps)
    }

    /// The same with every expression of its plans rewritten.
    pub fn rewrite_plans(&mut self, f: &Rewrite<'_>) {
        self.plan = Arc::new((*self.plan).clone().rewrite(f));
        if let SubqueryKind::Table(Some(recursion)) = &mut self.kind {
            let steps = std::mem::take(&mut recursion.steps);
            recursion.steps = steps.into_iter().map(|step| step.rewrite(f)).collect();
        }
    }

    /// Whether it reads nothing of the enclosing query's row, apart from a left side. A function is called for each row.
    pub fn is_uncorrelated(&self) -> bool {
        self.outer.is_empty() && !matches!(self.kind, SubqueryKind::Function(_))
    }

    /// Rewrites what it reads of the enclosing query.
    pub fn map_enclosing(&mut self, f: &mut dyn FnMut(&Expr) -> Expr) {
        self.enclosing().for_each(|expr| *expr = f(expr));
    }

    /// The same with a rewriting that may fail.
    pub fn try_map_enclosing(&mut self, f: &mut dyn FnMut(&Expr) -> Result<Expr>) -> Result<()> {
        self.enclosing().try_for_each(|expr| {
            *expr = f(expr)?;
            Ok(())
        })
    }

    /// Calls `visit` for everything it reads of the enclosing query.
    pub fn for_each_enclosing(&self, visit: &mut dyn FnMut(&Expr)) {
        self.outer.iter().for_each(&mut *visit);
        if let SubqueryKind::Quantified { left, .. } = &self.kind {
            left.iter().for_each(visit);
        }
    }

    /// Columns of the enclosing query that its result depends on.
    pub fn columns(&self, out: &mut BTreeSet<usize>) {
        self.for_each_enclosing(&mut |expr| expr.columns(out));
    }

    fn enclosing(&mut self) -> impl Iterator<Item = &mut Expr> {
        let left = match &mut self.kind {
            SubqueryKind::Quantified { left, .. } => left.as_mut_slice(),
            SubqueryKind::Scalar
            | SubqueryKind::Exists
            | SubqueryKind::Table(_)
            | SubqueryKind::Lateral
            | SubqueryKind::Working
            | SubqueryKind::Function(_) => &mut [],
        };
        self.outer.iter_mut().chain(left)
    }
}

/// The expression over a row whose columns stand elsewhere. Each subquery in it becomes a new one
/// that finds there what it needs.
pub fn move_columns(expr: &Expr, f: &dyn Fn(usize) -> usize, subqueries: &mut Subqueries) -> Expr {
    match expr.kind {
        ExprKind::Column(column) if column < SUBQUERY => {
            Expr { kind: ExprKind::Column(f(column)), ..expr.clone() }
        }
        ExprKind::Column(column) if column < OUTER => {
            let mut subquery = (*subqueries[column - SUBQUERY]).clone();
            subquery.map_enclosing(&mut |part| move_columns(part, f, subqueries));
            subqueries.push(Arc::new(subquery));
            let kind = ExprKind::Column(SUBQUERY + subqueries.len() - 1);
            Expr { kind, ..expr.clone() }
        }
        _ => expr.map_operands(&mut |operand| move_columns(operand, f, subqueries)),
    }
}

/// Columns of the row that an expression reads, those of its subqueries included.
pub fn columns_of(expr: &Expr, subqueries: &Subqueries) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    expr.columns(&mut all);
    let mut out: BTreeSet<usize> = all.range(..SUBQUERY).copied().collect();
    for number in subqueries_of(expr) {
        subqueries[number].for_each_enclosing(&mut |part| {
            out.extend(columns_of(part, subqueries));
        });
    }
    out
}

/// Numbers of the subqueries whose results an expression reads.
pub fn subqueries_of(expr: &Expr) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    expr.columns(&mut columns);
    columns.range(SUBQUERY..OUTER).map(|column| column - SUBQUERY).collect()
}

/// Whether a plan or a subquery in it reads a value of an enclosing query.
pub fn reads_outer(plan: &Plan, subqueries: &Subqueries) -> bool {
    let mut found = false;
    plan.for_each_expr(&mut |expr| found |= is_outer(expr, subqueries));
    found || plan.inputs().into_iter().any(|input| reads_outer(input, subqueries))
}

/// Whether an expression or a subquery in it reads a value of an enclosing query.
pub fn is_outer(expr: &Expr, subqueries: &Subqueries) -> bool {
    let mut columns = BTreeSet::new();
    expr.columns(&mut columns);
    if columns.range(OUTER..).next().is_some() {
        return true;
    }
    columns.range(SUBQUERY..OUTER).any(|column| {
        let mut found = false;
        subqueries[column - SUBQUERY].for_each_enclosing(&mut |part| {
            found |= is_outer(part, subqueries);
        });
        found
    })
}

/// A node of the logical plan.
#[derive(Clone, Debug)]
pub enum Plan {
    /// One row without columns.
    OneRow,
    /// Rows that are known already: tables of information_schema.
    Rows {
        /// How EXPLAIN names it.
        name: String,
        /// Types of the columns.
        types: Vec<SqlType>,
        /// The rows.
        rows: Arc<Vec<Row>>,
    },
    /// The rows of a query of WITH, which runs once for all that read it.
    Shared {
        /// Its number among the subqueries.
        number: usize,
        /// The name that it has here.
        name: String,
        /// Types of the columns.
        types: Vec<SqlType>,
    },
    /// A table.
    Scan(Scan),
    /// Rows for which all conjuncts are true.
    Filter {
        /// Where rows come from.
        input: Box<Plan>,
        /// The conditions.
        conjuncts: Vec<Expr>,
    },
    /// Computed columns.
    Project {
        /// Where rows come from.
        input: Box<Plan>,
        /// One expression per output column.
        exprs: Vec<Expr>,
    },
    /// Pairs of rows.
    Join(Box<Join>),
    /// Pairs of a row and the rows of a query that reads that row.
    Lateral(Box<Lateral>),
    /// Groups.
    Aggregate {
        /// Where rows come from.
        input: Box<Plan>,
        /// Grouping expressions: the first output columns. Empty: one group, also without rows.
        keys: Vec<Expr>,
        /// Aggregates: the output columns after the keys.
        aggregates: Vec<Aggregate>,
    },
    /// Distinct rows.
    Distinct {
        /// Where rows come from.
        input: Box<Plan>,
    },
    /// Rows in the order of their partitions, with a column more for each window function.
    Window {
        /// Where rows come from: ordered by partition, then by the window's order.
        input: Box<Plan>,
        /// What is computed.
        window: Window,
    },
    /// Ordered rows.
    Sort {
        /// Where rows come from.
        input: Box<Plan>,
        /// Sort keys, the most significant first.
        keys: Vec<SortKey>,
    },
    /// Some of the rows, in their order.
    Limit {
        /// Where rows come from.
        input: Box<Plan>,
        /// Rows to leave out first.
        offset: Option<Expr>,
        /// Most rows to pass; `None` for all.
        count: Option<Expr>,
    },
    /// The rows of all inputs, one input after the other.
    Union {
        /// Inputs of equal width.
        inputs: Vec<Plan>,
        /// Types of the output columns; inputs are cast to them already.
        types: Vec<SqlType>,
    },
}

/// A table to read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table.
    pub table: Arc<TableDef>,
    /// The name it has in the query.
    pub alias: String,
    /// Output: positions in the table, ascending.
    pub columns: Vec<usize>,
    /// Conditions on a row, over all columns of the table (not over `columns`).
    pub conjuncts: Vec<Expr>,
}

impl Scan {
    /// The columns of the table that its output and its conditions read.
    pub fn read_columns(&self) -> BTreeSet<usize> {
        let mut read: BTreeSet<usize> = self.columns.iter().copied().collect();
        self.conjuncts.iter().for_each(|conjunct| conjunct.columns(&mut read));
        read.retain(|column| *column < self.table.columns.len());
        read
    }
}

/// Two inputs and the condition that pairs their rows.
#[derive(Clone, Debug)]
pub struct Join {
    /// First input; its columns come first.
    pub left: Plan,
    /// Second input.
    pub right: Plan,
    /// What happens to rows of the left side without a partner.
    pub kind: JoinKind,
    /// Conditions over the columns of both sides.
    pub on: Vec<Expr>,
    /// STRAIGHT_JOIN: the order is the author's.
    pub straight: bool,
}

/// Rows, and a query that has other rows for each of them.
#[derive(Clone, Debug)]
pub struct Lateral {
    /// What the query reads; its columns come first.
    pub input: Plan,
    /// The query: the placeholder of its subquery.
    pub call: Expr,
    /// The name that the query has.
    pub name: String,
    /// Types of the query's columns.
    pub types: Vec<SqlType>,
    /// What happens to rows of the input without a partner.
    pub kind: JoinKind,
    /// Conditions over the columns of both, without subqueries.
    pub on: Vec<Expr>,
}

/// Which rows a join keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs only.
    Inner,
    /// Pairs, and rows of the left side without a partner, with NULLs on the right.
    Left,
    /// Rows of the left side that have a partner, once each. The output has no column of the right side.
    Semi,
    /// Rows of the left side without a partner. The output has no column of the right side.
    Anti,
}

impl JoinKind {
    /// Whether columns of the right side are in the output.
    pub fn shows_right(self) -> bool {
        match self {
            JoinKind::Inner | JoinKind::Left => true,
            JoinKind::Semi | JoinKind::Anti => false,
        }
    }
}

/// An aggregate of a group.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// Whether equal arguments count once.
    pub distinct: bool,
    /// Arguments over the input's columns; none for COUNT(*).
    pub args: Vec<Expr>,
    /// Type of the result.
    pub ty: SqlType,
}

/// Aggregate functions.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregateFunction {
    /// Rows, or rows whose arguments are all not NULL.
    Count,
    /// Sum of the values that are not NULL; NULL when there is none.
    Sum,
    /// Mean of the values that are not NULL.
    Avg,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// The value of the group's first row: a column that the grouping decides.
    First,
    /// The bits that all values have; all bits without a value.
    BitAnd,
    /// The bits that any value has.
    BitOr,
    /// The bits that an odd number of values have.
    BitXor,
    /// How far values lie from their mean.
    Deviation {
        /// Of a sample: NULL of one value, and divided by one less.
        sample: bool,
        /// The standard deviation; else its square, the variance.
        root: bool,
    },
    /// A document of all values: an array, or an object whose names come first.
    Json {
        /// An object.
        object: bool,
    },
    /// Values as text, one after the other.
    GroupConcat {
        /// Text between two values.
        separator: String,
        /// Order of the values; the expressions are the last arguments.
        descending: Vec<bool>,
    },
}

/// Window functions over one way of dividing and ordering rows. All it reads are columns of the input.
#[derive(Clone, Debug)]
pub struct Window {
    /// Rows with equal values here are one partition.
    pub partition: Vec<usize>,
    /// Rows of a partition with equal values here are peers.
    pub order: Vec<usize>,
    /// The functions.
    pub calls: Vec<WindowCall>,
}

/// A window function.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// What is computed.
    pub function: WindowFunction,
    /// Columns of the arguments.
    pub args: Vec<usize>,
    /// The rows that it looks at.
    pub frame: Frame,
    /// Type of the result.
    pub ty: SqlType,
}

/// Window functions.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowFunction {
    /// Number of the row.
    RowNumber,
    /// Number of the first peer.
    Rank,
    /// Number of the group of peers.
    DenseRank,
    /// Share of the other rows that come before the peers.
    PercentRank,
    /// Share of the rows that come before or are peers.
    CumeDist,
    /// Number of the part, of as many parts as the argument says.
    Ntile,
    /// The first argument so many rows before (LAG) or after (LEAD); the third argument where there is no such row.
    Shift {
        /// LAG.
        back: bool,
    },
    /// The value of the frame's first row.
    First,
    /// The value of the frame's last row.
    Last,
    /// The value of the frame's n-th row.
    Nth,
    /// An aggregate of the frame.
    Aggregate(AggregateFunction),
}

/// The rows around a row that a window function looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Bounds count rows; else they compare the values of the order.
    pub rows: bool,
    /// Where it starts; `Unbounded` is the partition's first row.
    pub start: Bound,
    /// Where it ends; `Unbounded` is the partition's last row.
    pub end: Bound,
    /// RANGE with distances: the column whose values are compared with those of the bounds, and whether it descends.
    pub key: Option<(usize, bool)>,
}

/// A bound of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The end of the partition.
    Unbounded,
    /// The row, or its peers.
    Current,
    /// The column that says how many rows before, or the value of the first or last row that counts.
    Preceding(usize),
    /// The same behind.
    Following(usize),
}

impl Window {
    /// Calls `visit` for every column it reads.
    pub fn columns_mut(&mut self, visit: &mut dyn FnMut(&mut usize)) {
        self.partition.iter_mut().chain(&mut self.order).for_each(&mut *visit);
        for call in &mut self.calls {
            call.args.iter_mut().for_each(&mut *visit);
            for bound in [&mut call.frame.start, &mut call.frame.end] {
                match bound {
                    Bound::Preceding(column) | Bound::Following(column) => visit(column),
                    Bound::Unbounded | Bound::Current => {}
                }
            }
            if let Some((column, _)) = &mut call.frame.key {
                visit(column);
            }
        }
    }

    /// The columns it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        let mut columns = BTreeSet::new();
        self.clone().columns_mut(&mut |column| {
            columns.insert(*column);
        });
        columns
    }
}

/// A sort key.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// What is compared.
    pub expr: Expr,
    /// DESC. NULLs come last then, else first.
    pub descending: bool,
}

impl Plan {
    /// Types of the output columns.
    pub fn types(&self) -> Vec<SqlType> {
        match self {
            Plan::OneRow => Vec::new(),
            Plan::Rows { types, .. } | Plan::Shared { types, .. } | Plan::Union { types, .. } => {
                types.clone()
            }
            Plan::Scan(scan) => scan.columns.iter().map(|&c| scan.table.columns[c].ty).collect(),
            Plan::Filter { input, .. }
            | Plan::Distinct { input }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. } => input.types(),
            Plan::Project { exprs, .. } => exprs.iter().map(|expr| expr.ty).collect(),
            Plan::Join(join) => {
                let mut types = join.left.types();
                if !join.kind.shows_right() {
                    return types;
                }
                let nullable = join.kind == JoinKind::Left;
                types.extend(
                    join.right
                        .types()
                        .into_iter()
                        .map(|ty| SqlType { nullable: ty.nullable || nullable, ..ty }),
                );
                types
            }
            Plan::Lateral(lateral) => {
                let mut types = lateral.input.types();
                types.extend(&lateral.types);
                types
            }
            Plan::Window { input, window } => {
                let mut types = input.types();
                types.extend(window.calls.iter().map(|call| call.ty));
                types
            }
            Plan::Aggregate { keys, aggregates, .. } => keys
                .iter()
                .map(|key| key.ty)
                .chain(aggregates.iter().map(|aggregate| aggregate.ty))
                .collect(),
        }
    }

    /// Number of output columns.
    pub fn width(&self) -> usize {
        match self {
            Plan::OneRow => 0,
            Plan::Rows { types, .. } | Plan::Shared { types, .. } | Plan::Union { types, .. } => {
                types.len()
            }
            Plan::Scan(scan) => scan.columns.len(),
            Plan::Filter { input, .. }
            | Plan::Distinct { input }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. } => input.width(),
            Plan::Project { exprs, .. } => exprs.len(),
            Plan::Join(join) if !join.kind.shows_right() => join.left.width(),
            Plan::Join(join) => join.left.width() + join.right.width(),
            Plan::Lateral(lateral) => lateral.input.width() + lateral.types.len(),
            Plan::Window { input, window } => input.width() + window.calls.len(),
            Plan::Aggregate { keys, aggregates, .. } => keys.len() + aggregates.len(),
        }
    }

    /// Calls `visit` for the expressions of this node, not of its inputs.
    pub fn for_each_expr(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Plan::OneRow
            | Plan::Rows { .. }
            | Plan::Shared { .. }
            | Plan::Union { .. }
            | Plan::Window { .. }
            | Plan::Distinct { .. } => {}
            Plan::Scan(scan) => scan.conjuncts.iter().for_each(visit),
            Plan::Filter { conjuncts: exprs, .. } | Plan::Project { exprs, .. } => {
                exprs.iter().for_each(visit);
            }
            Plan::Join(join) => join.on.iter().for_each(visit),
            Plan::Lateral(lateral) => {
                std::iter::once(&lateral.call).chain(&lateral.on).for_each(visit);
            }
            Plan::Aggregate { keys, aggregates, .. } => {
                keys.iter().for_each(&mut *visit);
                aggregates.iter().flat_map(|aggregate| &aggregate.args).for_each(visit);
            }
            Plan::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
            Plan::Limit { offset, count, .. } => offset.iter().chain(count).for_each(visit),
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } | Plan::Scan(_) => Vec::new(),
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input }
            | Plan::Window { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. } => vec![input],
            Plan::Join(join) => vec![&join.left, &join.right],
            Plan::Lateral(lateral) => vec![&lateral.input],
            Plan::Union { inputs, .. } => inputs.iter().collect(),
        }
    }

    /// The inputs, to be changed.
    pub fn inputs_mut(&mut self) -> Vec<&mut Plan> {
        match self {
            Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } | Plan::Scan(_) => Vec::new(),
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input }
            | Plan::Window { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. } => vec![input],
            Plan::Join(join) => vec![&mut join.left, &mut join.right],
            Plan::Lateral(lateral) => vec![&mut lateral.input],
            Plan::Union { inputs, .. } => inputs.iter_mut().collect(),
        }
    }

    /// The same tree with every expression rewritten, in this node and below.
    #[must_use]
    pub fn rewrite(self, f: &Rewrite<'_>) -> Plan {
        let exprs = |exprs: Vec<Expr>| exprs.iter().map(|expr| rewrite::rewrite(expr, f)).collect();
        let below = |input: Box<Plan>| Box::new(input.rewrite(f));
        match self {
            Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } => self,
            Plan::Scan(scan) => Plan::Scan(Scan { conjuncts: exprs(scan.conjuncts), ..scan }),
            Plan::Filter { input, conjuncts } => {
                Plan::Filter { input: below(input), conjuncts: exprs(conjuncts) }
            }
            Plan::Project { input, exprs: list } => {
                Plan::Project { input: below(input), exprs: exprs(list) }
            }
            Plan::Join(join) => Plan::Join(Box::new(Join {
                left: join.left.rewrite(f),
                right: join.right.rewrite(f),
                on: exprs(join.on),
                ..*join
            })),
            Plan::Lateral(lateral) => Plan::Lateral(Box::new(Lateral {
                input: lateral.input.rewrite(f),
                call: rewrite::rewrite(&lateral.call, f),
                on: exprs(lateral.on),
                ..*lateral
            })),
            Plan::Aggregate { input, keys, aggregates } => Plan::Aggregate {
                input: below(input),
                keys: exprs(keys),
                aggregates: aggregates
                    .into_iter()
                    .map(|aggregate| Aggregate { args: exprs(aggregate.args), ..aggregate })
                    .collect(),
            },
            Plan::Distinct { input } => Plan::Distinct { input: below(input) },
            Plan::Window { input, window } => Plan::Window { input: below(input), window },
            Plan::Sort { input, keys } => Plan::Sort {
                input: below(input),
                keys: keys
                    .into_iter()
                    .map(|key| SortKey { expr: rewrite::rewrite(&key.expr, f), ..key })
                    .collect(),
            },
            Plan::Limit { input, offset, count } => Plan::Limit {
                input: below(input),
                offset: offset.map(|expr| rewrite::rewrite(&expr, f)),
                count: count.map(|expr| rewrite::rewrite(&expr, f)),
            },
            Plan::Union { inputs, types } => Plan::Union {
                inputs: inputs.into_iter().map(|input| input.rewrite(f)).collect(),
                types,
            },
        }
    }
}
