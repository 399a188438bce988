//! CALL in a trigger: the procedure's statements are the trigger's.
//!
//! ```text
//! CALL p(NEW.a, v) ──> arguments ──> database and sql_mode of the procedure ──> the body, with the trigger as its host
//! ```
//!
//! Unlike under a CALL of a client nothing commits between two statements: all of them belong to the statement that fires.
//!
//! Not here: CALL of a client (`session::call`).

use super::TriggerHost;
use crate::ast::{Expr, ExprKind, ParameterMode, RoutineKind, TableName};
use crate::collation;
use crate::context::Locals;
use crate::program::Called;
use crate::program::run::Run;
use crate::{Error, Result};
use std::sync::Arc;

/// Where the value of an OUT parameter goes.
enum Target {
    /// A user variable.
    User(String),
    /// A variable of the body that calls.
    Local(String),
}

/// `None` when it can go nowhere.
fn target(arg: &Expr, locals: &Locals) -> Result<Option<Target>> {
    match &arg.kind {
        ExprKind::UserVariable(name) => Ok(Some(Target::User(name.clone()))),
        ExprKind::Column(name) => match &name.table {
            None => Ok(locals.find(&name.column).map(|local| Target::Local(local.name.clone()))),
            Some(row) if locals.find_row(row, &name.column).is_some() => Err(Error::not_supported(
                "NEW or OLD as an OUT argument; pass a variable and set NEW from it",
            )),
            Some(_) => Ok(None),
        },
        _ => Ok(None),
    }
}

impl TriggerHost<'_, '_> {
    pub(super) async fn call_procedure(
        &mut self,
        name: &TableName,
        args: &[Expr],
        locals: Arc<Locals>,
    ) -> Result<Called> {
        let (session, env) = (self.triggers.session, self.triggers.env);
        let around = match self.procedures.last() {
            Some(procedure) => procedure.database.clone(),
            None => self.trigger.definition.database.clone(),
        };
        let database = name.database.clone().unwrap_or(around);
        let full = format!("{database}.{}", name.name);
        let routine = env.catalog.routine(&database, RoutineKind::Procedure, &name.name).cloned();
        let routine = routine.ok_or_else(|| Error::unknown_procedure(&full))?;
        let tree = routine.tree()?;
        if tree.parameters.len() != args.len() {
            let (expected, got) = (tree.parameters.len(), args.len());
            return Err(Error::wrong_argument_count("PROCEDURE", full, expected, got));
        }
        session.check_calls(&routine, &self.procedures)?;
        let (mut values, mut targets, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (parameter, arg)) in tree.parameters.iter().zip(args).enumerate() {
            let mode = parameter.mode.unwrap_or(ParameterMode::In);
            if mode != ParameterMode::In {
                let target = target(arg, &locals)?;
                targets.push(target.ok_or_else(|| Error::not_a_variable(place + 1, &full))?);
                names.push(parameter.name.as_str());
            }
            let given = match mode {
                ParameterMode::Out => None,
                ParameterMode::In | ParameterMode::InOut => {
                    let list = std::slice::from_ref(arg);
                    let evaluated = self.evaluate(list, locals.clone()).await;
                    self.noted(evaluated)?.into_iter().next()
                }
            };
            values.push(given.unwrap_or_default());
        }
        let collation = collation::by_name(&routine.database_collation)?.id;
        // Names in its statements mean its own database; the table of the trigger stays in use.
        let _inside = session.fire(&routine.database, self.triggers.table.id);
        self.procedures.push(routine.clone());
        let ended = {
            let mut run = Run::new(self, collation, locals.functions.clone(), Vec::new());
            let mut declared = Ok(());
            for (parameter, value) in tree.parameters.iter().zip(values) {
                declared = declared.and_then(|()| run.parameter(parameter, value));
            }
            match declared {
                Ok(()) => Ok(run.run(&tree.body.step, &names).await),
                Err(error) => Err(error),
            }
        };
        self.procedures.pop();
        let ended = ended?;
        let mut out = Vec::new();
        if ended.end.is_ok() {
            for (target, value) in targets.into_iter().zip(ended.parameters) {
                match target {
                    Target::User(name) => self.ctx.vars.set_user(&name, value),
                    Target::Local(name) => out.push((name, value)),
                }
            }
        }
        Ok(Called { results: ended.results, end: ended.end.map(|_| out) })
    }
}
