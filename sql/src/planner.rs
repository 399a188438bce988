//! The planner: from what a query says to how it is done.
//!
//! ```text
//! BoundQuery ──constants for subqueries that have run (exec)──> unnest ──> push ──> propagate ──> join_order ──> prune ──> exec::build
//!               subqueries that run per row become joins ┘        │        │            │             │
//!               conditions move to their tables ──────────────────┘        │            │             │
//!               constants follow equalities ───────────────────────────────┘            │             │
//!               joins in a sensible order ──────────────────────────────────────────────┘             │
//!               columns that nobody reads disappear ──────────────────────────────────────────────────┘
//! ```
//!
//! Rules decide, and where ANALYZE TABLE has counted tables its figures (`estimate`). Which index a table is read by is chosen last, when every
//! constant is known (`access`).
//!
//! Which joins stay within shards follows from the result (`locality`).
//!
//! Not here: operators (`exec`).

pub(crate) mod estimate;
pub mod explain;
pub mod factor;
pub mod join_order;
pub mod locality;
pub mod plan;
pub mod propagate;
pub mod prune;
pub mod push;
pub mod shared;
pub mod switch;
pub mod unnest;

use crate::Result;
use crate::context::EvalContext;
use plan::{Plan, Subqueries};

pub use explain::{explain, explain_analyze};

/// The plan with conditions, joins and columns where they are cheapest. May add subqueries.
pub fn optimise(plan: Plan, subqueries: &mut Subqueries, ctx: &EvalContext) -> Result<Plan> {
    let plan = unnest::unnest(factor::factor_plan(plan), subqueries, ctx)?;
    let plan = push::push_conditions(plan, subqueries);
    let plan = propagate::propagate(plan, subqueries);
    let plan = join_order::order_joins(plan, subqueries, ctx)?;
    Ok(prune::prune(plan, subqueries))
}
