//! Steps of a program, one after the other.
//!
//! A step that fails looks for a handler where it stands ([`Raise::New`]); what found none goes up without asking again
//! ([`Raise::Unhandled`]).
//!
//! Not here: blocks and names (`frame`), handlers (`handle`), SIGNAL and its like (`signal`).

use super::condition::Condition;
use super::frame::{Frame, Handler, Scope, Variable};
use super::{Host, ResultSet};
use crate::ast::{
    BinaryOp, ColumnName, Declaration, Expr, ExprKind, IntoTarget, ProgramStatement, Query,
    SelectInto, SetItem, SetValue, Statement, Step,
};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::types::convert::to_double;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::limits::{CURSOR_BYTES_MAX, PROGRAM_RESULT_BYTES_MAX, PROGRAM_ROUNDS_A_TURN};
use futures::future::BoxFuture;
use std::ops::ControlFlow;

/// How a step ended.
#[derive(Debug)]
pub(super) enum Flow<'a> {
    /// The next one is to run.
    Next,
    /// LEAVE.
    Leave(&'a str),
    /// ITERATE.
    Iterate(&'a str),
    /// RETURN.
    Return(Value),
    /// An EXIT handler of the block at this depth has run.
    Exit(usize),
}

/// Why a step failed.
#[derive(Debug)]
pub(super) enum Raise {
    /// Something that handlers have not been asked about.
    New(Condition),
    /// Something that no handler handles.
    Unhandled(Condition),
}

impl From<Error> for Raise {
    fn from(error: Error) -> Raise {
        Raise::New(Condition::of_error(&error))
    }
}

/// What a step comes to.
pub(super) type Stepped<'a> = std::result::Result<Flow<'a>, Raise>;

/// The name of what CASE compares with.
const OPERAND: &str = "\0case";

/// A program that runs.
pub(crate) struct Run<'a> {
    pub(super) host: &'a mut dyn Host,
    pub(super) frame: Frame<'a>,
    /// Of text variables that name none.
    collation: CollationId,
    /// Functions that are running.
    pub(super) functions: Vec<String>,
    /// What the last statement met.
    pub(super) current: Vec<Condition>,
    /// What the running handlers handle, the innermost last.
    pub(super) stacked: Vec<Vec<Condition>>,
    results: Vec<ResultSet>,
    /// Memory of the results, bytes.
    bytes: usize,
    rounds: u64,
}

/// How a program ended.
pub(crate) struct Ended {
    /// Result sets, in order.
    pub(crate) results: Vec<ResultSet>,
    /// The value of RETURN, `None` without one; or the error that no handler handled.
    pub(crate) end: Result<Option<Value>>,
    /// Values of the parameters.
    pub(crate) parameters: Vec<Value>,
}

impl<'a> Run<'a> {
    /// A program whose parameters are these.
    pub(crate) fn new(
        host: &'a mut dyn Host,
        collation: CollationId,
        functions: Vec<String>,
        current: Vec<Condition>,
    ) -> Run<'a> {
        Run {
            host,
            frame: Frame { scopes: vec![Scope::default()] },
            collation,
            functions,
            current,
            stacked: Vec::new(),
            results: Vec::new(),
            bytes: 0,
            rounds: 0,
        }
    }

    /// Declares a parameter with its value.
    ///
    /// # Errors
    /// What its type does not take.
    pub(crate) fn parameter(
        &mut self,
        parameter: &crate::ast::Parameter,
        value: Value,
    ) -> Result<()> {
        self.frame.declare(Variable::new(&parameter.name, &parameter.ty, self.collation)?);
        let ctx = self.host.context();
        self.frame.set(&parameter.name, value, &ctx)
    }

    /// Declares a column of NEW or OLD: `NEW.a`, what its table's column takes, its value as expressions see it.
    pub(crate) fn row_column(&mut self, name: String, ty: &SqlType, value: Value) {
        self.frame.declare(Variable::column(name, ty, value));
    }

    /// Runs it to its end. `names` are the parameters whose values are asked for.
    pub(crate) async fn run(mut self, body: &'a Step, names: &[&str]) -> Ended {
        let end = match self.step(body).await {
            Ok(Flow::Return(value)) => Ok(Some(value)),
            Ok(_) => Ok(None),
            Err(Raise::New(condition) | Raise::Unhandled(condition)) => Err(condition.error()),
        };
        let parameters = names.iter().map(|name| self.frame.get(name).unwrap_or_default());
        let parameters = parameters.collect();
        Ended { results: self.results, end, parameters }
    }

    /// One step, with the handlers around it.
    pub(super) fn step<'s>(&'s mut self, step: &'a Step) -> BoxFuture<'s, Stepped<'a>>
    where
        'a: 's,
    {
        Box::pin(async move {
            match self.inner(step).await {
                Err(Raise::New(condition)) => self.raise(condition).await,
                other => other,
            }
        })
    }

    async fn steps(&mut self, steps: &'a [Step]) -> Stepped<'a> {
        for step in steps {
            match self.step(step).await? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    async fn inner(&mut self, step: &'a Step) -> Stepped<'a> {
        match step {
            Step::Statement(statement) => self.statement(statement).await,
            Step::Block { label, declarations, steps } => {
                let depth = self.frame.scopes.len();
                self.frame.scopes.push(Scope::default());
                let flow = self.block(declarations, steps).await;
                self.frame.scopes.truncate(depth);
                match flow? {
                    Flow::Exit(at) if at == depth => Ok(Flow::Next),
                    Flow::Leave(name) if is_label(label, name) => Ok(Flow::Next),
                    other => Ok(other),
                }
            }
            Step::If { branches, otherwise } => {
                for (condition, steps) in branches {
                    if self.holds(condition).await? {
                        return self.steps(steps).await;
                    }
                }
                match otherwise {
                    Some(steps) => self.steps(steps).await,
                    None => Ok(Flow::Next),
                }
            }
            Step::Case { operand, branches, otherwise } => {
                let depth = self.frame.scopes.len();
                self.frame.scopes.push(Scope::default());
                let chosen = self.choose(operand.as_ref(), branches).await;
                self.frame.scopes.truncate(depth);
                match (chosen?, otherwise.as_ref()) {
                    (Some(steps), _) | (None, Some(steps)) => self.steps(steps).await,
                    (None, None) => Err(Error::case_not_found().into()),
                }
            }
            Step::Loop { label, steps } => loop {
                self.turn().await?;
                if let ControlFlow::Break(flow) = after_round(label, self.steps(steps).await?) {
                    return Ok(flow);
                }
            },
            Step::While { label, condition, steps } => {
                while self.holds(condition).await? {
                    self.turn().await?;
                    if let ControlFlow::Break(flow) = after_round(label, self.steps(steps).await?) {
                        return Ok(flow);
                    }
                }
                Ok(Flow::Next)
            }
            Step::Repeat { label, steps, until } => loop {
                self.turn().await?;
                if let ControlFlow::Break(flow) = after_round(label, self.steps(steps).await?) {
                    return Ok(flow);
                }
                if self.holds(until).await? {
                    return Ok(Flow::Next);
                }
            },
            Step::Leave(label) => Ok(Flow::Leave(label)),
            Step::Iterate(label) => Ok(Flow::Iterate(label)),
            Step::Return(value) => Ok(Flow::Return(self.value(value).await?)),
            Step::Open(name) => self.open(name).await,
            Step::Fetch { cursor, into } => self.fetch(cursor, into),
            Step::Close(name) => match self.frame.cursor(name)?.rows.take() {
                Some(_) => Ok(Flow::Next),
                None => Err(Error::cursor_closed().into()),
            },
        }
    }

    /// A round of a loop: KILL ends it here, and others get their turn.
    async fn turn(&mut self) -> Result<()> {
        self.host.context().check_cancel()?;
        self.rounds += 1;
        if self.rounds.is_multiple_of(PROGRAM_ROUNDS_A_TURN) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn block(&mut self, declarations: &'a [Declaration], steps: &'a [Step]) -> Stepped<'a> {
        for declaration in declarations {
            match declaration {
                Declaration::Variables { names, ty, default } => {
                    let value = match default {
                        Some(default) => self.value(default).await?,
                        None => Value::Null,
                    };
                    for name in names {
                        self.frame.declare(Variable::new(name, ty, self.collation)?);
                        let ctx = self.host.context();
                        self.frame.set(name, value.clone(), &ctx)?;
                    }
                }
                Declaration::Condition { name, value } => {
                    if let Some(scope) = self.frame.scopes.last_mut() {
                        scope.conditions.push((name.as_str(), value));
                    }
                }
                Declaration::Cursor { name, query } => self.frame.declare_cursor(name, query),
                Declaration::Handler { exit, conditions, step } => {
                    if let Some(scope) = self.frame.scopes.last_mut() {
                        scope.handlers.push(Handler { exit: *exit, conditions, step });
                    }
                }
            }
        }
        self.steps(steps).await
    }

    /// The value of an expression.
    pub(super) async fn value(&mut self, expr: &Expr) -> Result<Value> {
        let locals = self.frame.locals(&self.functions);
        let values = self.host.values(std::slice::from_ref(expr), locals).await?;
        Ok(values.into_iter().next().unwrap_or_default())
    }

    /// Whether a condition is true.
    async fn holds(&mut self, condition: &Expr) -> Result<bool> {
        let value = self.value(condition).await?;
        Ok(!value.is_null() && to_double(&value, &self.host.context())? != 0.0)
    }

    /// What CASE is to do.
    async fn choose(
        &mut self,
        operand: Option<&Expr>,
        branches: &'a [(Expr, Vec<Step>)],
    ) -> Result<Option<&'a Vec<Step>>> {
        if let Some(operand) = operand {
            let value = self.value(operand).await?;
            self.frame.declare(Variable::hidden(OPERAND, value));
        }
        for (when, steps) in branches {
            let holds = match operand {
                None => self.holds(when).await?,
                Some(_) => {
                    let left = bare(OPERAND);
                    let equal = Expr::new(ExprKind::Binary {
                        op: BinaryOp::Equal,
                        left: Box::new(left),
                        right: Box::new(when.clone()),
                    });
                    self.holds(&equal).await?
                }
            };
            if holds {
                return Ok(Some(steps));
            }
        }
        Ok(None)
    }

    async fn statement(&mut self, statement: &'a Statement) -> Stepped<'a> {
        match statement {
            Statement::Set(items) => {
                for item in items {
                    self.set(item).await?;
                }
            }
            Statement::Query(query) => match &query.into {
                Some(SelectInto::Variables(targets)) => self.select_into(query, targets).await?,
                _ => self.run_statement(statement).await?,
            },
            Statement::Call { name, args } => {
                let locals = self.frame.locals(&self.functions);
                let called = self.host.call(name, args, locals).await?;
                for result in called.results {
                    self.keep(result)?;
                }
                let ctx = self.host.context();
                for (name, value) in called.end? {
                    self.frame.set(&name, value, &ctx)?;
                }
            }
            Statement::Program(program) => match &**program {
                ProgramStatement::Signal { condition, items } => {
                    return self.signal(Some(condition), items, false).await;
                }
                ProgramStatement::Resignal { condition, items } => {
                    return self.signal(condition.as_ref(), items, true).await;
                }
                ProgramStatement::GetDiagnostics { stacked, condition, items } => {
                    self.get_diagnostics(*stacked, condition.as_ref(), items).await?;
                    return Ok(Flow::Next);
                }
                _ => self.run_statement(statement).await?,
            },
            _ => self.run_statement(statement).await?,
        }
        let warnings = self.host.context().warnings.to_vec();
        self.noticed(warnings.iter().map(Condition::of_warning).collect()).await
    }

    /// A statement that knows nothing of the program but its variables.
    async fn run_statement(&mut self, statement: &Statement) -> Result<()> {
        let locals = self.frame.locals(&self.functions);
        match self.host.statement(statement, locals).await? {
            Some(result) => self.keep(result),
            None => Ok(()),
        }
    }

    fn keep(&mut self, result: ResultSet) -> Result<()> {
        self.bytes += bytes_of(&result.1);
        if self.bytes > PROGRAM_RESULT_BYTES_MAX {
            return Err(Error::out_of_memory(
                "the result sets of a procedure; let it return fewer rows, or several procedures return them",
            ));
        }
        self.results.push(result);
        Ok(())
    }

    async fn set(&mut self, item: &SetItem) -> Result<()> {
        let item = match item {
            SetItem::Named { name, value } if self.frame.has(name) => {
                let value = match self.settled(value) {
                    SetValue::Default => Value::Null,
                    SetValue::Word(word) if is_value(&word) => Value::Text(word),
                    // No variable of the program: an unknown column.
                    SetValue::Word(word) => self.value(&bare(&word)).await?,
                    SetValue::Expr(expr) => self.value(&expr).await?,
                };
                let ctx = self.host.context();
                return self.frame.set(name, value, &ctx);
            }
            SetItem::Named { name, value } => {
                SetItem::System { scope: None, name: name.clone(), value: self.settled(value) }
            }
            SetItem::System { scope, name, value } => {
                SetItem::System { scope: *scope, name: name.clone(), value: self.settled(value) }
            }
            other => other.clone(),
        };
        self.run_statement(&Statement::Set(vec![item])).await
    }

    /// A bare word behind `=` is a variable of the program when there is one of this name.
    fn settled(&mut self, value: &SetValue) -> SetValue {
        match value {
            SetValue::Word(word) if self.frame.has(word) => SetValue::Expr(bare(word)),
            other => other.clone(),
        }
    }

    async fn select_into(&mut self, query: &Query, targets: &[IntoTarget]) -> Result<()> {
        let mut plain = query.clone();
        plain.into = None;
        let locals = self.frame.locals(&self.functions);
        let (columns, rows) = self.host.rows(&plain, locals).await?;
        if columns.len() != targets.len() {
            return Err(Error::wrong_select_into());
        }
        if rows.len() > 1 {
            return Err(Error::too_many_rows());
        }
        match rows.into_iter().next() {
            Some(row) => {
                for (target, value) in targets.iter().zip(row) {
                    self.put(target, value)?;
                }
            }
            None => self.host.context().warn(Error::no_rows()),
        }
        Ok(())
    }

    /// Sets a variable of the program or of the session.
    pub(super) fn put(&mut self, target: &IntoTarget, value: Value) -> Result<()> {
        let ctx = self.host.context();
        match target {
            IntoTarget::User(name) => {
                ctx.vars.set_user(name, value);
                Ok(())
            }
            IntoTarget::Local(name) => self.frame.set(name, value, &ctx),
        }
    }

    async fn open(&mut self, name: &str) -> Stepped<'a> {
        let cursor = self.frame.cursor(name)?;
        if cursor.rows.is_some() {
            return Err(Error::cursor_open().into());
        }
        let query = cursor.query;
        let locals = self.frame.locals(&self.functions);
        let (columns, rows) = self.host.rows(query, locals).await?;
        if bytes_of(&rows) > CURSOR_BYTES_MAX {
            let what = "the rows of a cursor; read fewer rows";
            return Err(Error::out_of_memory(what).into());
        }
        self.frame.cursor(name)?.rows = Some((columns.len(), rows.into()));
        Ok(Flow::Next)
    }

    fn fetch(&mut self, cursor: &str, into: &[String]) -> Stepped<'a> {
        let cursor = self.frame.cursor(cursor)?;
        let (width, rows) = cursor.rows.as_mut().ok_or_else(Error::cursor_closed)?;
        if *width != into.len() {
            return Err(Error::wrong_fetch().into());
        }
        let row = rows.pop_front().ok_or_else(Error::no_more_rows)?;
        let ctx = self.host.context();
        for (name, value) in into.iter().zip(row) {
            self.frame.set(name, value, &ctx)?;
        }
        Ok(Flow::Next)
    }
}

/// A name alone.
fn bare(name: &str) -> Expr {
    Expr::new(ExprKind::Column(ColumnName::bare(name)))
}

/// Words that SET takes as they are.
fn is_value(word: &str) -> bool {
    ["ON", "ALL", "BINARY", "ROW", "SYSTEM"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn bytes_of(rows: &[Row]) -> usize {
    let of_row = |row: &Row| row.len() * size_of::<Value>();
    rows.iter().map(|row| of_row(row) + row.iter().map(Value::heap_bytes).sum::<usize>()).sum()
}

fn is_label(label: &Option<String>, name: &str) -> bool {
    label.as_deref().is_some_and(|label| label.eq_ignore_ascii_case(name))
}

/// Whether a loop goes on.
fn after_round<'a>(label: &Option<String>, flow: Flow<'a>) -> ControlFlow<Flow<'a>> {
    match flow {
        Flow::Next => ControlFlow::Continue(()),
        Flow::Iterate(name) if is_label(label, name) => ControlFlow::Continue(()),
        Flow::Leave(name) if is_label(label, name) => ControlFlow::Break(Flow::Next),
        other => ControlFlow::Break(other),
    }
}
