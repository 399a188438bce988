//! WITH: queries that have a name.
//!
//! ```text
//! WITH a AS (…), b AS (… a …) SELECT … FROM a, b, a
//!      │             │                     └─ Plan::Shared: the rows of the statement's named query 0
//!      │             └─ sees what is named before it
//!      └─ subquery 0 of the statement: runs once, however often it is read
//! ```
//!
//! A name means the innermost query of that name, before any table. A named query sees what enclosed its WITH, not what
//! encloses the place where it is read. One that reads a column of an enclosing query has other rows for each of its rows: it
//! is bound again wherever it is named.
//!
//! A recursive query is a UNION: parts that do not read itself, which decide its types, then parts that read the rows which
//! the round before has found (`exec::shared` runs the rounds).
//!
//! Not here: how often it runs and where its rows are kept (`exec::shared`, `planner::shared`).

use super::from::Source;
use super::{BindContext, BoundColumn, Entry, Scope};
use crate::ast::{self, CommonTable, Query, QueryBody, SetOperator, With};
use crate::planner::plan::{JoinKind, Plan, Recursion, Subquery, SubqueryKind, reads_outer};
use crate::session::ColumnMeta;
use crate::{Error, Result};
use base::limits::COMMON_TABLES_MAX;
use std::sync::Arc;

/// A query that has a name here.
#[derive(Debug)]
pub(crate) struct Named {
    table: Arc<CommonTable>,
    recursive: bool,
    /// Entries of the stack that enclose its WITH.
    height: usize,
    state: State,
}

/// How far it is bound.
#[derive(Debug)]
enum State {
    /// Not yet.
    Unbound,
    /// It is that subquery of the statement.
    Bound { number: usize, columns: Vec<BoundColumn> },
    /// It is being bound, and a part of it that may read it.
    Recursive(Working),
}

/// A recursive query while its parts are bound.
#[derive(Debug)]
struct Working {
    /// The subquery that stands for the rows of the last round.
    number: usize,
    /// Its columns, once a part that does not read it is bound.
    columns: Option<Vec<BoundColumn>>,
    /// Entries of the stack outside of the part.
    height: usize,
    /// How often the part reads it.
    reads: usize,
}

/// What a WITH has added.
pub(crate) struct WithScope(usize);

impl BindContext<'_> {
    /// Adds what a WITH names.
    ///
    /// # Errors
    /// 1066 for a name that it has twice.
    pub(crate) fn enter_with(&mut self, with: Option<&With>) -> Result<WithScope> {
        let scope = WithScope(self.named.len());
        for table in with.iter().flat_map(|with| &with.tables) {
            let own = &self.named[scope.0..];
            if own.iter().any(|named| named.table.name == table.name) {
                return Err(Error::nonunique_table(&table.name));
            }
            self.named.push(Named {
                table: Arc::new(table.clone()),
                recursive: with.is_some_and(|with| with.recursive),
                height: self.stack.len(),
                state: State::Unbound,
            });
        }
        Ok(scope)
    }

    /// Forgets what a WITH has named.
    pub(crate) fn leave_with(&mut self, scope: WithScope) {
        self.named.truncate(scope.0);
    }

    /// Whether an entry of the stack encloses the query that is being bound.
    pub(crate) fn is_visible(&self, place: usize) -> bool {
        !self.hidden.iter().any(|hidden| hidden.contains(&place))
    }

    /// The named query that a table of FROM means, if it means one.
    pub(crate) fn named_source(&mut self, source: &ast::TableSource) -> Result<Option<Source>> {
        if source.name.database.is_some() {
            return Ok(None);
        }
        let found = self.named.iter().rposition(|named| named.table.name == source.name.name);
        let Some(place) = found else { return Ok(None) };
        if !source.partitions.is_empty() {
            return Err(Error::partition_clause_on_plain_table());
        }
        if source.as_of.is_some() {
            return Err(Error::invalid_as_of(
                "a query of WITH is read as its tables are: say it behind them",
            ));
        }
        self.reads_named = true;
        let alias = source.alias.as_deref().unwrap_or(&source.name.name);
        let named = &mut self.named[place];
        let (plan, columns) = match &mut named.state {
            State::Recursive(working) => {
                working.reads += 1;
                let Some(columns) = working.columns.clone() else {
                    return Err(Error::recursive_order(&named.table.name));
                };
                let mut inner = self.stack.iter().skip(working.height);
                let in_subquery = inner.any(|e| matches!(e, Entry::Frame { .. }));
                if working.reads > 1 || in_subquery {
                    return Err(Error::recursive_reads(&named.table.name));
                }
                (leaf(working.number, alias, &columns), columns)
            }
            State::Bound { number, columns } => (leaf(*number, alias, columns), columns.clone()),
            State::Unbound => self.bind_named(place, alias)?,
        };
        Ok(Some(Source { scope: Scope::of_columns("", alias, &columns), plan }))
    }

    /// Binds a named query where it is read for the first time, or again.
    fn bind_named(&mut self, place: usize, alias: &str) -> Result<(Plan, Vec<BoundColumn>)> {
        self.bindings += 1;
        if self.bindings > COMMON_TABLES_MAX {
            return Err(Error::not_supported(format!(
                "queries of WITH that are read in more than {COMMON_TABLES_MAX} places and depend on the row that encloses them; \
                 join their tables instead"
            )));
        }
        let (table, recursive, height) = {
            let named = &self.named[place];
            (named.table.clone(), named.recursive, named.height)
        };
        // It sees the queries named before it, and what enclosed its WITH.
        let later = self.named.split_off(place);
        let frames = self.stack.len();
        self.hidden.push(height.min(frames)..frames);
        let bound = self.deeper(|bind| bind.named_query(&table, recursive));
        self.hidden.pop();
        self.named.truncate(place);
        self.named.extend(later);
        let (subquery, mut columns) = bound?;
        if !table.columns.is_empty() {
            if table.columns.len() != columns.len() {
                return Err(Error::column_list_mismatch());
            }
            for (column, name) in columns.iter_mut().zip(&table.columns) {
                column.meta.name.clone_from(name);
            }
        }
        super::from::check_names(&columns)?;
        let is_recursive = matches!(subquery.kind, SubqueryKind::Table(Some(_)));
        if subquery.plans().any(|plan| reads_outer(plan, &self.subqueries)) {
            return match is_recursive {
                false => Ok((Arc::unwrap_or_clone(subquery.plan), columns)),
                true => Err(Error::not_supported(
                    "a recursive query that reads columns of an enclosing query; join them to its result",
                )),
            };
        }
        self.subqueries.push(Arc::new(subquery));
        let number = self.subqueries.len() - 1;
        let plan = leaf(number, alias, &columns);
        self.named[place].state = State::Bound { number, columns: columns.clone() };
        Ok((plan, columns))
    }

    /// The query behind a name.
    fn named_query(
        &mut self,
        table: &Arc<CommonTable>,
        recursive: bool,
    ) -> Result<(Subquery, Vec<BoundColumn>)> {
        super::query::refuse_inner_locks(&table.query)?;
        if recursive && let Some(found) = self.recursive_query(table)? {
            return Ok(found);
        }
        let (plan, columns) = self.query(&table.query)?;
        Ok((Subquery::new(SubqueryKind::Table(None), plan, Vec::new()), columns))
    }

    /// A query of WITH RECURSIVE; `None` when it does not read itself.
    fn recursive_query(
        &mut self,
        table: &Arc<CommonTable>,
    ) -> Result<Option<(Subquery, Vec<BoundColumn>)>> {
        let query = &table.query;
        let mut members = Vec::new();
        members_of(&query.body, true, &mut members);
        let number = self.subqueries.len();
        let working = Subquery::new(SubqueryKind::Working, Plan::OneRow, Vec::new());
        self.subqueries.push(Arc::new(working));
        let inner = self.enter_with(query.with.as_ref())?;
        let place = self.named.len();
        self.named.push(Named {
            table: table.clone(),
            recursive: true,
            height: self.stack.len(),
            state: State::Recursive(Working {
                number,
                columns: None,
                height: self.stack.len(),
                reads: 0,
            }),
        });
        let bound = self.recursive_members(table, &members, place);
        self.named.truncate(place);
        self.leave_with(inner);
        let Some((seed, steps, distinct)) = bound? else { return Ok(None) };
        if !query.order_by.is_empty() {
            return Err(Error::not_supported(
                "ORDER BY over a recursive query of WITH; order where it is read",
            ));
        }
        let (plan, columns) = seed;
        let mut limit = (None, None);
        if let Some(asked) = &query.limit {
            let plan = self.sort_and_limit(Plan::OneRow, Vec::new(), Some(asked))?;
            if let Plan::Limit { offset, count, .. } = plan {
                limit = (offset, count);
            }
        }
        let names = match table.columns.is_empty() {
            true => columns.iter().map(|column| column.meta.name.clone()).collect(),
            false => table.columns.clone(),
        };
        let (offset, count) = limit;
        let recursion = Recursion { working: number, steps, distinct, offset, count, names };
        let kind = SubqueryKind::Table(Some(recursion));
        Ok(Some((Subquery::new(kind, plan, Vec::new()), columns)))
    }

    /// The parts of a recursive query: what it begins with, what each round does, and whether equal rows count once.
    #[expect(clippy::type_complexity, reason = "three parts of one thing, taken apart at once")]
    fn recursive_members(
        &mut self,
        table: &Arc<CommonTable>,
        members: &[(&QueryBody, bool)],
        place: usize,
    ) -> Result<Option<((Plan, Vec<BoundColumn>), Vec<Plan>, bool)>> {
        let mut seed: Option<(Plan, Vec<BoundColumn>)> = None;
        let mut steps: Vec<Plan> = Vec::new();
        let mut distinct = false;
        for (body, all) in members {
            self.working(place)?.reads = 0;
            let bound = self.body(body);
            let reads = self.working(place)?.reads;
            if reads == 0 {
                let bound = bound?;
                if !steps.is_empty() {
                    return Err(Error::recursive_order(&table.name));
                }
                seed = Some(match seed {
                    None => bound,
                    Some(before) => self.union(before, bound, *all)?,
                });
                let columns = seed.as_ref().map(|(_, columns)| working_columns(columns, table));
                self.working(place)?.columns = columns.transpose()?;
                continue;
            }
            if members.len() == 1 {
                return Err(Error::recursive_without_union(&table.name));
            }
            let (plan, columns) = bound?;
            let width = self.working(place)?.columns.as_ref().map_or(0, Vec::len);
            if columns.len() != width {
                return Err(Error::union_width());
            }
            let number = self.working(place)?.number;
            check_step(&plan, number, &table.name)?;
            distinct |= !all;
            steps.push(plan);
        }
        let Some((plan, columns)) = seed else { return Ok(None) };
        if steps.is_empty() {
            return Ok(None);
        }
        let columns = columns.into_iter().map(nullable).collect();
        Ok(Some(((plan, columns), steps, distinct)))
    }

    fn working(&mut self, place: usize) -> Result<&mut Working> {
        match self.named.get_mut(place).map(|named| &mut named.state) {
            Some(State::Recursive(working)) => Ok(working),
            _ => Err(Error::internal("a recursive query is no more named")),
        }
    }
}

/// The parts of a UNION in their order, and whether duplicates of what comes before and of the part stay.
fn members_of<'q>(body: &'q QueryBody, all: bool, out: &mut Vec<(&'q QueryBody, bool)>) {
    match body {
        QueryBody::SetOperation { op: SetOperator::Union, all: right_all, left, right } => {
            members_of(left, all, out);
            match &**right {
                // Very many parts are paired.
                QueryBody::SetOperation { op: SetOperator::Union, all: inner, .. }
                    if inner == right_all =>
                {
                    members_of(right, *right_all, out);
                }
                _ => out.push((right, *right_all)),
            }
        }
        QueryBody::Query(query) if is_bare(query) => members_of(&query.body, all, out),
        body => out.push((body, all)),
    }
}

/// Whether parentheses around a query mean nothing.
fn is_bare(query: &Query) -> bool {
    query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.locks.is_empty()
        && query.into.is_none()
}

/// The columns as the recursive parts see them: the first round may find NULL where the others do not.
fn working_columns(columns: &[BoundColumn], table: &CommonTable) -> Result<Vec<BoundColumn>> {
    if !table.columns.is_empty() && table.columns.len() != columns.len() {
        return Err(Error::column_list_mismatch());
    }
    let mut columns: Vec<BoundColumn> = columns.iter().cloned().map(nullable).collect();
    for (column, name) in columns.iter_mut().zip(&table.columns) {
        column.meta.name.clone_from(name);
    }
    Ok(columns)
}

fn nullable(column: BoundColumn) -> BoundColumn {
    let ty = column.ty.with_nullable(true);
    BoundColumn { meta: ColumnMeta::computed(column.meta.name, ty), ty }
}

fn leaf(number: usize, alias: &str, columns: &[BoundColumn]) -> Plan {
    let types = columns.iter().map(|column| column.ty).collect();
    Plan::Shared { number, name: alias.to_string(), types }
}

/// Refuses what a recursive part may not do with the rows of the round before.
fn check_step(plan: &Plan, working: usize, name: &str) -> Result<()> {
    let reads = |plan: &Plan| reads_number(plan, working);
    match plan {
        Plan::Aggregate { input, .. } if reads(input) => {
            return Err(Error::recursive_aggregate(name));
        }
        Plan::Distinct { input } | Plan::Sort { input, .. } | Plan::Limit { input, .. }
            if reads(input) =>
        {
            return Err(Error::not_supported(
                "ORDER BY, LIMIT or SELECT DISTINCT in a recursive part of WITH; say it behind the whole UNION or where it is \
                 read",
            ));
        }
        Plan::Join(join) if join.kind == JoinKind::Left && reads(&join.right) => {
            return Err(Error::recursive_outer_join(name));
        }
        _ => {}
    }
    plan.inputs().into_iter().try_for_each(|input| check_step(input, working, name))
}

fn reads_number(plan: &Plan, number: usize) -> bool {
    matches!(plan, Plan::Shared { number: other, .. } if *other == number)
        || plan.inputs().into_iter().any(|input| reads_number(input, number))
}
