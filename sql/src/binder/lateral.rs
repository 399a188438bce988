//! LATERAL: derived tables that read the tables before them in FROM.
//!
//! ```text
//! stack while the derived table is bound:   … │ level: what stands before it │ frame │ its own query blocks
//!                                                                              └ outer[i] = a column before it
//! ```
//!
//! It sees the left side of its own join and, in a list with commas, what stands before that join:
//! `a, b JOIN LATERAL (…) d` is bound as `(a, b) JOIN LATERAL (…) d`, which means the same.
//!
//! Not here: running it (`exec::lateral`).
//!
//! Reference: MySQL 8.4 manual, 15.2.15.9 "Lateral Derived Tables".

use super::from::{Source, name_columns};
use super::subquery::column_expr;
use super::{BindContext, Level, Scope};
use crate::ast::{self, JoinConstraint, TableRef};
use crate::planner::plan::{
    JoinKind, Lateral, Plan, SUBQUERY, Subquery, SubqueryKind, subqueries_of,
};
use crate::types::SqlType;
use crate::{Error, Result};
use std::sync::Arc;

/// Whether a part of FROM reads what stands before it: a lateral derived table, or a join that is read through one.
pub(super) fn reads_before(table: &TableRef) -> bool {
    match table {
        TableRef::Table(_) => false,
        TableRef::Derived { lateral, .. } => *lateral,
        TableRef::Join { kind, left, right, constraint } => {
            let plain = *kind != ast::JoinKind::Right
                && matches!(constraint, JoinConstraint::None | JoinConstraint::On(_));
            plain && (is_lateral(right) || reads_before(left))
        }
    }
}

/// Whether this is a lateral derived table itself.
pub(super) fn is_lateral(table: &TableRef) -> bool {
    matches!(table, TableRef::Derived { lateral: true, .. })
}

impl BindContext<'_> {
    /// A part of FROM for which [`reads_before`] holds, joined to what stands before it.
    pub(super) fn join_before(
        &mut self,
        left: Source,
        table: &TableRef,
        straight: bool,
    ) -> Result<Source> {
        self.deeper(|bind| match table {
            TableRef::Join { kind, left: first, right, constraint } => {
                let left = if reads_before(first) {
                    bind.join_before(left, first, straight)?
                } else {
                    let first = bind.table_ref(first, straight)?;
                    bind.join(left, first, ast::JoinKind::Inner, &JoinConstraint::None)?
                };
                if is_lateral(right) {
                    return bind.join_lateral(left, right, *kind, constraint);
                }
                let right = bind.table_ref(right, straight)?;
                bind.join(left, right, *kind, constraint)
            }
            table => bind.join_lateral(left, table, ast::JoinKind::Inner, &JoinConstraint::None),
        })
    }

    /// A lateral derived table, joined to what it reads.
    ///
    /// # Errors
    /// 3668 behind RIGHT JOIN.
    pub(super) fn join_lateral(
        &mut self,
        left: Source,
        table: &TableRef,
        kind: ast::JoinKind,
        constraint: &JoinConstraint,
    ) -> Result<Source> {
        let TableRef::Derived { query, alias, columns: names, .. } = table else {
            return Err(Error::internal("a lateral derived table that is none"));
        };
        if kind == ast::JoinKind::Right {
            return Err(Error::lateral_join_type(alias));
        }
        let before = Level { scope: left.scope.clone(), clause: "field list", ..Level::default() };
        let ((plan, mut columns, outer), _) = self.in_level(before, |bind| bind.frame(query))?;
        name_columns(&mut columns, names)?;
        let right = Scope::of_columns("", alias, &columns);
        let (scope, on) = self.joined(left.scope, right, kind, constraint)?;
        let is_left = kind == ast::JoinKind::Left;
        if is_left && on.iter().any(|condition| !subqueries_of(condition).is_empty()) {
            return Err(Error::not_supported(
                "a subquery in the ON of a LEFT JOIN LATERAL; write the condition into the derived table",
            ));
        }
        let types: Vec<SqlType> = plan
            .types()
            .into_iter()
            .map(|ty| SqlType { nullable: ty.nullable || is_left, ..ty })
            .collect();
        self.subqueries.push(Arc::new(Subquery::new(SubqueryKind::Lateral, plan, outer)));
        let number = self.subqueries.len() - 1;
        let call = column_expr(SUBQUERY + number, SqlType::boolean(), "(lateral)");
        let (kind, on, above) = match is_left {
            true => (JoinKind::Left, on, Vec::new()),
            false => (JoinKind::Inner, Vec::new(), on),
        };
        let name = alias.clone();
        let joined = Lateral { input: left.plan, call, name, types, kind, on };
        let plan = Plan::Lateral(Box::new(joined));
        let plan = match above.is_empty() {
            true => plan,
            false => Plan::Filter { input: Box::new(plan), conjuncts: above },
        };
        Ok(Source { plan, scope })
    }
}
