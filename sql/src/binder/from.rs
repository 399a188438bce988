//! FROM: tables, derived tables and joins become a plan and a scope.

use super::subquery::column_expr;
use super::{BindContext, BoundColumn, Level, Scope, lateral};
use crate::access::hint;
use crate::ast::{self, BinaryOp, JoinConstraint, TableRef, TableSource};
use crate::expr::{Expr, build};
use crate::planner::plan::{Join, JoinKind, Plan, Scan, move_columns};
use crate::session::{ColumnFlags, ColumnMeta};
use crate::{Error, Result};
use std::sync::Arc;

/// A part of FROM: its rows and what names mean in them.
pub(crate) struct Source {
    /// The rows.
    pub plan: Plan,
    /// The names.
    pub scope: Scope,
}

impl BindContext<'_> {
    /// Everything that FROM lists, joined.
    pub(crate) fn bind_from(&mut self, tables: &[TableRef], straight: bool) -> Result<Source> {
        let mut joined: Option<Source> = None;
        for table in tables {
            joined = Some(match joined {
                None => self.table_ref(table, straight)?,
                Some(left) if lateral::reads_before(table) => {
                    self.join_before(left, table, straight)?
                }
                Some(left) => {
                    let source = self.table_ref(table, straight)?;
                    let kind =
                        if straight { ast::JoinKind::Straight } else { ast::JoinKind::Inner };
                    self.join(left, source, kind, &JoinConstraint::None)?
                }
            });
        }
        Ok(joined.unwrap_or_else(|| Source { plan: Plan::OneRow, scope: Scope::default() }))
    }

    /// A part of FROM that reads nothing of what stands before it.
    pub(super) fn table_ref(&mut self, table: &TableRef, straight: bool) -> Result<Source> {
        self.deeper(|bind| match table {
            TableRef::Table(source) => bind.table_source(source),
            TableRef::Derived { lateral: true, .. } => {
                // The first in FROM has nothing to read.
                let nothing = Source { plan: Plan::OneRow, scope: Scope::default() };
                bind.join_lateral(nothing, table, ast::JoinKind::Inner, &JoinConstraint::None)
            }
            TableRef::Derived { lateral: false, query, alias, columns } => {
                bind.derived_table(query, alias, columns)
            }
            TableRef::Join { kind, left, right, constraint } => {
                let left = bind.table_ref(left, straight)?;
                let kind = match kind {
                    ast::JoinKind::Inner if straight => ast::JoinKind::Straight,
                    kind => *kind,
                };
                if lateral::is_lateral(right) {
                    return bind.join_lateral(left, right, kind, constraint);
                }
                let right = bind.table_ref(right, straight)?;
                bind.join(left, right, kind, constraint)
            }
        })
    }

    /// A table by its name: of the catalog, or computed.
    pub(crate) fn table_source(&mut self, source: &TableSource) -> Result<Source> {
        if let Some(named) = self.named_source(source)? {
            return Ok(named);
        }
        let name = &source.name;
        let database = name
            .database
            .clone()
            .or_else(|| self.database.clone())
            .ok_or_else(Error::no_database)?;
        let alias = source.alias.as_deref().unwrap_or(&name.name);
        if let Some(found) = self.temporary_source(source, &database, alias)? {
            return Ok(found);
        }
        match &source.as_of {
            Some(point) => {
                let point = self.point(point)?;
                self.sources.points.push(point);
            }
            None => self.sources.now = true,
        }
        if let Some(table) = self.catalog.table(&database, &name.name) {
            let table = &table.select_partitions(&source.partitions)?;
            self.sources.tables.push(table.clone());
            self.sources.names.push(self.views.path(alias));
            let read = hint::hinted(table, alias, &source.hints)?;
            let scan = Scan {
                table: read,
                alias: alias.to_string(),
                columns: (0..table.columns.len()).collect(),
                conjuncts: Vec::new(),
            };
            return Ok(Source { scope: Scope::of_table(table, alias), plan: Plan::Scan(scan) });
        }
        if let Some(view) = self.catalog.view(&database, &name.name).cloned() {
            return self.view(&view, source);
        }
        if self.catalog.database(&database).is_none()
            && let Some(tables) = self.virtual_tables
            && let Some(virtual_rows) = tables.table(&database, &name.name)?
        {
            if !source.partitions.is_empty() {
                return Err(Error::partition_clause_on_plain_table());
            }
            if source.as_of.is_some() {
                return Err(Error::invalid_as_of(format!("{database} keeps no past")));
            }
            let columns: Vec<BoundColumn> = virtual_rows
                .columns
                .iter()
                .map(|(column, ty)| BoundColumn {
                    meta: ColumnMeta {
                        database: database.clone(),
                        table: alias.to_string(),
                        org_table: name.name.clone(),
                        name: column.clone(),
                        org_name: column.clone(),
                        ty: *ty,
                        flags: ColumnFlags::of_type(ty),
                        default: None,
                    },
                    ty: *ty,
                })
                .collect();
            return Ok(Source {
                scope: Scope::of_columns(&database, alias, &columns),
                plan: Plan::Rows {
                    name: alias.to_string(),
                    types: columns.iter().map(|column| column.ty).collect(),
                    rows: Arc::new(virtual_rows.rows),
                },
            });
        }
        if !self.catalog.has_database(&database) {
            return Err(Error::unknown_database(&database));
        }
        Err(self.catalog.no_table(&database, &name.name))
    }

    /// The rows of a temporary table, which stands before others of its name. Views do not see it.
    fn temporary_source(
        &mut self,
        source: &TableSource,
        database: &str,
        alias: &str,
    ) -> Result<Option<Source>> {
        let Some(tables) = self.ctx.temporary.as_ref().filter(|_| !self.views.is_open()) else {
            return Ok(None);
        };
        let Some(table) = tables.find(database, &source.name.name) else { return Ok(None) };
        if !source.partitions.is_empty() {
            return Err(Error::partition_clause_on_plain_table());
        }
        if source.as_of.is_some() {
            return Err(Error::invalid_as_of("a temporary table keeps no past"));
        }
        let known = self.sources.temporary.iter().find(|(id, _)| *id == table.id);
        if let Some((_, first)) = known {
            return Err(Error::cannot_reopen(first));
        }
        self.sources.temporary.push((table.id, alias.to_string()));
        self.sources.now = true;
        let plan = Plan::Rows {
            name: alias.to_string(),
            types: table.columns.iter().map(|column| column.ty).collect(),
            rows: tables.page(table.id)?,
        };
        Ok(Some(Source { scope: Scope::of_table(&table, alias), plan }))
    }

    fn derived_table(
        &mut self,
        query: &ast::Query,
        alias: &str,
        names: &[String],
    ) -> Result<Source> {
        super::query::refuse_inner_locks(query)?;
        let (plan, mut columns) = self.query(query)?;
        name_columns(&mut columns, names)?;
        Ok(Source { scope: Scope::of_columns("", alias, &columns), plan })
    }

    /// What names mean in a join, and its conditions.
    pub(super) fn joined(
        &mut self,
        left: Scope,
        right: Scope,
        kind: ast::JoinKind,
        constraint: &JoinConstraint,
    ) -> Result<(Scope, Vec<Expr>)> {
        for column in &right.columns {
            // What is no table of a database has the name alone.
            let database = Some(column.database.as_str()).filter(|name| !name.is_empty());
            if left.has_table(database, &column.table) || left.has_table(Some(""), &column.table) {
                return Err(Error::nonunique_table(&column.table));
            }
        }
        let left_width = left.columns.len();
        let mut scope = left;
        scope.append(right, kind == ast::JoinKind::Left);
        if kind == ast::JoinKind::Right {
            scope.make_nullable(0..left_width);
        }
        let on = match constraint {
            JoinConstraint::None => Vec::new(),
            JoinConstraint::On(condition) => {
                let level = Level { scope: scope.clone(), clause: "on clause", ..Level::default() };
                self.in_level(level, |bind| bind.expr(condition))?.0.conjuncts()
            }
            JoinConstraint::Using(names) => {
                self.using(&mut scope, left_width, names, kind == ast::JoinKind::Right)?
            }
            JoinConstraint::Natural => {
                let names: Vec<String> = scope
                    .star
                    .iter()
                    .filter(|&&i| i < left_width)
                    .map(|&i| scope.columns[i].name.clone())
                    .filter(|name| {
                        scope.star.iter().any(|&i| {
                            i >= left_width && scope.columns[i].name.eq_ignore_ascii_case(name)
                        })
                    })
                    .collect();
                self.using(&mut scope, left_width, &names, kind == ast::JoinKind::Right)?
            }
        };
        Ok((scope, on))
    }

    /// Two parts of FROM, joined.
    pub(super) fn join(
        &mut self,
        left: Source,
        right: Source,
        kind: ast::JoinKind,
        constraint: &JoinConstraint,
    ) -> Result<Source> {
        let (left_width, right_width) = (left.scope.columns.len(), right.scope.columns.len());
        let (scope, mut on) = self.joined(left.scope, right.scope, kind, constraint)?;
        let plan = match kind {
            ast::JoinKind::Inner | ast::JoinKind::Straight => Plan::Join(Box::new(Join {
                left: left.plan,
                right: right.plan,
                kind: JoinKind::Inner,
                on,
                straight: kind == ast::JoinKind::Straight,
            })),
            ast::JoinKind::Left => Plan::Join(Box::new(Join {
                left: left.plan,
                right: right.plan,
                kind: JoinKind::Left,
                on,
                straight: false,
            })),
            ast::JoinKind::Right => {
                // The same join seen from the other side, with its columns put back in order.
                let swapped = |column: usize| {
                    if column < left_width { column + right_width } else { column - left_width }
                };
                for expr in &mut on {
                    *expr = move_columns(expr, &swapped, &mut self.subqueries);
                }
                let join = Plan::Join(Box::new(Join {
                    left: right.plan,
                    right: left.plan,
                    kind: JoinKind::Left,
                    on,
                    straight: false,
                }));
                let types = join.types();
                let exprs = (0..left_width + right_width)
                    .map(|i| column_expr(swapped(i), types[swapped(i)], ""))
                    .collect();
                Plan::Project { input: Box::new(join), exprs }
            }
        };
        Ok(Source { plan, scope })
    }

    /// USING: equalities of the named columns, of which only one stays visible.
    fn using(
        &mut self,
        scope: &mut Scope,
        left_width: usize,
        names: &[String],
        keep_right: bool,
    ) -> Result<Vec<Expr>> {
        let mut on = Vec::new();
        let mut shared = Vec::new();
        let mut dropped = Vec::new();
        for name in names {
            let left = find_in(scope, 0..left_width, name)?;
            let right = find_in(scope, left_width..scope.columns.len(), name)?;
            let column = |position: usize| {
                let column = &scope.columns[position];
                let expr = column_expr(position, column.ty, &column.name);
                match column.ty.is_number_of_another() {
                    true => build::member_text(expr),
                    false => Ok(expr),
                }
            };
            on.push(build::binary(BinaryOp::Equal, column(left)?, column(right)?, self.ctx)?);
            let (kept, hidden) = if keep_right { (right, left) } else { (left, right) };
            shared.push((left, kept));
            dropped.push(left);
            dropped.push(right);
            scope.columns[hidden].hidden = true;
        }
        // MySQL's order of `*`: shared columns as the left table has them, then the others.
        shared.sort_unstable();
        let rest = scope.star.iter().copied().filter(|position| !dropped.contains(position));
        scope.star = shared.iter().map(|(_, kept)| *kept).chain(rest).collect();
        Ok(on)
    }
}

/// Gives the columns of a derived table the names of its column list, if it has one.
pub(super) fn name_columns(columns: &mut [BoundColumn], names: &[String]) -> Result<()> {
    if !names.is_empty() {
        if names.len() != columns.len() {
            return Err(Error::column_list_mismatch());
        }
        for (column, name) in columns.iter_mut().zip(names) {
            column.meta.name.clone_from(name);
        }
    }
    check_names(columns)
}

/// 1060 when two columns have one name.
pub(super) fn check_names(columns: &[BoundColumn]) -> Result<()> {
    for (i, column) in columns.iter().enumerate() {
        let name = &column.meta.name;
        if columns[..i].iter().any(|other| other.meta.name.eq_ignore_ascii_case(name)) {
            return Err(Error::duplicate_column(name));
        }
    }
    Ok(())
}

fn find_in(scope: &Scope, range: std::ops::Range<usize>, name: &str) -> Result<usize> {
    let mut found = None;
    for position in range {
        let column = &scope.columns[position];
        if column.hidden || column.is_row_id() || !column.name.eq_ignore_ascii_case(name) {
            continue;
        }
        if found.is_some() {
            return Err(Error::ambiguous_column(name, "from clause"));
        }
        found = Some(position);
    }
    found.ok_or_else(|| Error::unknown_column(name, "from clause"))
}
