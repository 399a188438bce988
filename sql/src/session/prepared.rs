//! Prepared statements, of the binary protocol and by name, and cached text queries.
//!
//! A statement is parsed once. A point plan is compiled once per catalog version, sql_mode and default
//! database; everything else is bound at each execution, with the parameters' values at hand.

use super::connection::Session;
use super::on_sets::info_column;
use super::replica_read::{ReplicaHint, hint_of, only_select};
use super::statement::{StatementContext, parse_mode};
use super::{ColumnMeta, Outcome, sequences};
use crate::ast::{PrepareSource, Query, Statement};
use crate::catalog::Catalog;
use crate::collation::CollationId;
use crate::context::{SqlMode, VariableSource};
use crate::lexer::{ParseMode, digest};
use crate::point_plan::{self, PointSelect};
use crate::sysvar::plain_text;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result, parser, show};
use base::limits::{PREPARED_STATEMENTS_MAX, TEXT_PLANS_MAX};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client is told about a prepared statement.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id.
    pub id: u32,
    /// Its parameters.
    pub params: Vec<ColumnMeta>,
    /// The columns of its result; empty when it has none.
    pub columns: Vec<ColumnMeta>,
}

/// A statement that was parsed and waits for its parameters.
struct PreparedStatement {
    /// The tree.
    statement: Arc<Statement>,
    /// Number of parameters.
    params: usize,
    /// What the comment before it says of followers.
    hint: Option<ReplicaHint>,
    /// Its point plan.
    plan: CachedPlan,
}

/// A point plan and what it was compiled under.
#[derive(Default)]
struct CachedPlan {
    /// What it was compiled under; `None` when it never was.
    key: Option<PlanKey>,
    /// The plan; `None` when the statement has none.
    plan: Option<Arc<PointSelect>>,
}

/// What a plan depends on.
#[derive(PartialEq)]
struct PlanKey {
    /// Version of the catalog.
    catalog: u64,
    /// `sql_mode`.
    mode: SqlMode,
    /// Default database.
    database: Option<Arc<str>>,
    /// Kinds of the parameters' values.
    kinds: Vec<u8>,
}

/// The prepared statements of a session.
#[derive(Default)]
pub(crate) struct PreparedStatements {
    by_id: BTreeMap<u32, PreparedStatement>,
    by_name: BTreeMap<String, u32>,
    last_id: u32,
    /// Point plans of text queries by the text without its literals; a statement without such a plan is
    /// remembered as `None`.
    texts: BTreeMap<String, Option<PreparedStatement>>,
}

impl PreparedStatements {
    /// Forgets a statement.
    pub(crate) fn close(&mut self, id: u32) {
        self.by_id.remove(&id);
    }

    fn add(&mut self, statement: PreparedStatement) -> Result<u32> {
        if self.by_id.len() >= PREPARED_STATEMENTS_MAX {
            return Err(Error::too_many_statements(PREPARED_STATEMENTS_MAX));
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if !self.by_id.contains_key(&self.last_id) {
                self.by_id.insert(self.last_id, statement);
                return Ok(self.last_id);
            }
        }
    }
}

impl Session {
    pub(super) async fn prepare_statement(&mut self, sql: &str) -> Result<Prepared> {
        let mode = parse_mode(self.variables.sql_mode());
        let hint = hint_of(sql)?;
        let (statement, params) = parser::parse_prepared(sql, &mode)?;
        refuse_unpreparable(&statement)?;
        if hint.is_some() && !matches!(statement, Statement::Query(_)) {
            return Err(only_select(&statement));
        }
        let columns = self.columns_of(&statement, params).await?;
        let statement = PreparedStatement {
            statement: Arc::new(statement),
            params,
            hint,
            plan: CachedPlan::default(),
        };
        let id = self.prepared.add(statement)?;
        let param = || ColumnMeta::computed("?", SqlType::varchar(16_383, CollationId::DEFAULT));
        Ok(Prepared { id, params: (0..params).map(|_| param()).collect(), columns })
    }

    /// The result's columns, found by binding with NULL for every parameter.
    async fn columns_of(
        &mut self,
        statement: &Statement,
        params: usize,
    ) -> Result<Vec<ColumnMeta>> {
        match statement {
            Statement::Query(query) if query.into.is_none() => {
                self.columns_of_query(query, params).await
            }
            Statement::OnSets(on) => match &on.statement {
                Statement::Query(query) => {
                    let mut columns = self.columns_of_query(query, params).await?;
                    columns.push(info_column());
                    Ok(columns)
                }
                _ => Ok(Vec::new()),
            },
            Statement::Show(_)
            | Statement::Describe { .. }
            | Statement::ChecksumCluster
            | Statement::AdminCheck(_)
            | Statement::DdlJobs { .. } => show::columns(self, statement).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn columns_of_query(&mut self, query: &Query, params: usize) -> Result<Vec<ColumnMeta>> {
        let catalog = self.instance.catalog.current().await?;
        let ctx = self.context(vec![Value::Null; params]);
        let env = StatementContext { catalog, ctx, locking: None, with: None };
        let numbered = sequences::without_calls(query);
        Ok(self.bind(numbered.as_ref().unwrap_or(query), &env)?.columns)
    }

    pub(super) async fn execute_prepared_statement(
        &mut self,
        id: u32,
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let unknown = || Error::unknown_statement(id, "EXECUTE");
        let prepared = self.prepared.by_id.get(&id).ok_or_else(unknown)?;
        if prepared.params != params.len() {
            return Err(Error::wrong_arguments("EXECUTE"));
        }
        let statement = prepared.statement.clone();
        self.replica_hint = prepared.hint;
        if !point_plan::is_candidate(&statement) {
            return self.run(&statement, params).await;
        }
        let catalog = self.instance.catalog.current().await?;
        let Some(key) = self.plan_key(&catalog, &params) else {
            return self.run(&statement, params).await;
        };
        let prepared = self.prepared.by_id.get(&id).ok_or_else(unknown)?;
        let cached = &prepared.plan;
        let plan = if cached.key.as_ref() == Some(&key) {
            cached.plan.clone()
        } else {
            let plan = self.compile(&statement, &catalog, &params)?;
            if let Some(prepared) = self.prepared.by_id.get_mut(&id) {
                prepared.plan = CachedPlan { key: Some(key), plan: plan.clone() };
            }
            plan
        };
        match plan {
            Some(plan) if self.may_run_point(plan.table()) => {
                self.run_point(&plan, catalog, params).await
            }
            _ => self.run(&statement, params).await,
        }
    }

    /// A text query whose plan without literals is known: lexed, not parsed. `None` when it has no point
    /// plan. The number is how many bytes of the text it takes.
    pub(super) async fn execute_cached_text(
        &mut self,
        sql: &str,
        mode: &ParseMode,
    ) -> Option<(Result<Outcome>, usize)> {
        if !point_plan::is_candidate_text(sql) {
            return None;
        }
        let template = digest::template(sql, mode)?;
        if template.has_parameters {
            return None;
        }
        if !self.prepared.texts.contains_key(&template.text) {
            if self.prepared.texts.len() >= TEXT_PLANS_MAX {
                self.prepared.texts.clear();
            }
            let parsed = parser::parse_prepared(&template.text, mode).ok();
            let prepared = parsed.filter(|(statement, params)| {
                *params == template.literals.len() && point_plan::keeps_its_meaning(statement)
            });
            let prepared = prepared.map(|(statement, params)| PreparedStatement {
                statement: Arc::new(statement),
                params,
                hint: None,
                plan: CachedPlan::default(),
            });
            self.prepared.texts.insert(template.text.clone(), prepared);
        }
        self.prepared.texts.get(&template.text)?.as_ref()?;
        let params: Option<Vec<Value>> =
            template.literals.into_iter().map(point_plan::value_of_literal).collect();
        let params = params?;
        let catalog = match self.instance.catalog.current().await {
            Ok(catalog) => catalog,
            Err(error) => return Some((Err(error), template.consumed)),
        };
        let key = self.plan_key(&catalog, &params)?;
        let known = self.prepared.texts.get(&template.text)?.as_ref()?;
        let plan = if known.plan.key.as_ref() == Some(&key) {
            known.plan.plan.clone()
        } else {
            let statement = known.statement.clone();
            // An error of the statement is reported by the ordinary way, with its own text.
            let plan = self.compile(&statement, &catalog, &params).ok().flatten();
            if let Some(Some(known)) = self.prepared.texts.get_mut(&template.text) {
                known.plan = CachedPlan { key: Some(key), plan: plan.clone() };
            }
            plan
        };
        let plan = plan.filter(|plan| self.may_run_point(plan.table()))?;
        Some((self.run_point(&plan, catalog, params).await, template.consumed))
    }

    fn plan_key(&self, catalog: &Catalog, params: &[Value]) -> Option<PlanKey> {
        if !self.temporary.is_empty() {
            // Temporary tables stand before others.
            return None;
        }
        Some(PlanKey {
            catalog: catalog.version,
            mode: self.variables.sql_mode(),
            database: self.database.clone(),
            kinds: point_plan::kinds_of(params)?,
        })
    }

    fn compile(
        &mut self,
        statement: &Statement,
        catalog: &Arc<Catalog>,
        params: &[Value],
    ) -> Result<Option<Arc<PointSelect>>> {
        let Statement::Query(query) = statement else { return Ok(None) };
        let ctx = self.context(params.to_vec());
        let env = StatementContext { catalog: catalog.clone(), ctx, locking: None, with: None };
        let bound = self.bind(query, &env)?;
        Ok(PointSelect::of(query, &bound, &env.ctx)?.map(Arc::new))
    }

    /// PREPARE name FROM …
    pub(crate) async fn prepare_named(&mut self, name: &str, from: &PrepareSource) -> Result<()> {
        let text = match from {
            PrepareSource::Text(text) => text.clone(),
            PrepareSource::Variable(variable) => plain_text(&self.variables.user(variable)),
        };
        self.deallocate(name).ok();
        let prepared = Box::pin(self.prepare_statement(&text)).await?;
        self.prepared.by_name.insert(name.to_lowercase(), prepared.id);
        Ok(())
    }

    /// EXECUTE name USING …
    pub(crate) async fn execute_named(&mut self, name: &str, using: &[String]) -> Result<Outcome> {
        let unknown = || Error::unknown_statement(name, "EXECUTE");
        let id = *self.prepared.by_name.get(&name.to_lowercase()).ok_or_else(unknown)?;
        let params = using.iter().map(|variable| self.variables.user(variable)).collect();
        self.execute_prepared_statement(id, params).await
    }

    /// DEALLOCATE PREPARE.
    pub(crate) fn deallocate(&mut self, name: &str) -> Result<()> {
        let unknown = || Error::unknown_statement(name, "DEALLOCATE PREPARE");
        let id = self.prepared.by_name.remove(&name.to_lowercase()).ok_or_else(unknown)?;
        self.prepared.close(id);
        Ok(())
    }
}

fn refuse_unpreparable(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Prepare { .. }
        | Statement::Execute { .. }
        | Statement::Deallocate(_)
        | Statement::LoadData(_)
        | Statement::LockTables(_)
        | Statement::UnlockTables
        | Statement::Xa(_) => Err(Error::cannot_prepare()),
        _ => Ok(()),
    }
}
