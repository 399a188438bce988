//! What CREATE PROCEDURE, CREATE FUNCTION and CREATE TRIGGER refuse: names that nothing declares or that are declared twice, labels, and
//! statements that cannot stand there.
//!
//! Not here: the order of declarations, which the grammar knows, and names of tables, columns and routines: they may come later.

use super::frame::declared_type;
use crate::ast::{
    CreateRoutine, CreateTrigger, Declaration, HandlerCondition, IntoTarget, ProgramStatement,
    Query, RoutineKind, SelectInto, SetItem, SignalCondition, Statement, Step, TriggerEvent,
};
use crate::catalog::TableDef;
use crate::collation::CollationId;
use crate::context::SqlMode;
use crate::lexer::{self, Token, TokenKind};
use crate::session::statement::parse_mode;
use crate::{Error, Result, sysvar};

/// Checks a routine in a database of this collation.
///
/// # Errors
/// The first mistake, with MySQL's number.
pub(crate) fn routine(
    wanted: &CreateRoutine,
    database: &str,
    collation: CollationId,
) -> Result<()> {
    let mut names = Names::default();
    for parameter in &wanted.parameters {
        declared_type(&parameter.name, &parameter.ty, collation)?;
        if has(&names.variables, &parameter.name) {
            return Err(Error::duplicate_parameter(&parameter.name));
        }
        names.variables.push(&parameter.name);
    }
    let mut check = Check {
        kind: wanted.kind(),
        trigger: None,
        collation,
        scopes: vec![names],
        labels: Vec::new(),
        returns: false,
    };
    check.step(&wanted.body.step)?;
    match check.kind == RoutineKind::Function && !check.returns {
        true => Err(Error::no_return_in(format!("{database}.{}", wanted.name.name))),
        false => Ok(()),
    }
}

/// Checks a trigger of a table, in a database of this collation.
///
/// # Errors
/// The first mistake, with MySQL's number.
pub(crate) fn trigger(
    wanted: &CreateTrigger,
    table: &TableDef,
    collation: CollationId,
    mode: SqlMode,
) -> Result<()> {
    let mut check = Check {
        // What a function may not do, a trigger may not do either.
        kind: RoutineKind::Function,
        trigger: Some((wanted, table)),
        collation,
        scopes: vec![Names::default()],
        labels: Vec::new(),
        returns: false,
    };
    check.step(&wanted.body.step)?;
    for (row, column) in rows_named(&wanted.body.text.0, mode) {
        check.row_column(&row, &column)?;
    }
    Ok(())
}

/// The columns of NEW and OLD that a text names: `NEW.a` is (`NEW`, `a`).
fn rows_named(text: &str, mode: SqlMode) -> Vec<(String, String)> {
    let parse_mode = parse_mode(mode);
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let part = &text[offset..];
        let tokens = lexer::tokens(part, &parse_mode);
        let source = |token: &Token| token.span.of(part);
        for three in tokens.windows(3) {
            let is_row = matches!(three[0].kind, TokenKind::Word | TokenKind::Reserved);
            let row = source(&three[0]).to_ascii_uppercase();
            if is_row && matches!(row.as_str(), "NEW" | "OLD") && three[1].kind == TokenKind::Dot {
                let name = source(&three[2]);
                found.push(match three[2].kind {
                    TokenKind::Quoted => (row, lexer::identifier_value(name)),
                    _ => (row, name.to_string()),
                });
            }
        }
        match tokens.last() {
            Some(end) if end.kind == TokenKind::Semicolon => offset += end.span.end as usize,
            _ => return found,
        }
    }
}

/// Whether a statement commits or ends the transaction around it.
pub(crate) fn commits(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Begin(_)
            | Statement::Commit(_)
            | Statement::Rollback(_)
            | Statement::CreateTable(_)
            | Statement::CreateTableLike(_)
            | Statement::AlterTable(_)
            | Statement::DropTable(_)
            | Statement::TruncateTable { .. }
            | Statement::RenameTable(_)
            | Statement::CreateIndex(_)
            | Statement::DropIndex(_)
            | Statement::View(_)
            | Statement::CreateDatabase(_)
            | Statement::DropDatabase { .. }
            | Statement::Account(_)
    )
}

/// What a block declares.
#[derive(Default)]
struct Names<'a> {
    variables: Vec<&'a str>,
    conditions: Vec<&'a str>,
    cursors: Vec<&'a str>,
    handled: Vec<&'a HandlerCondition>,
}

fn has(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

struct Check<'a> {
    kind: RoutineKind,
    /// The trigger and its table.
    trigger: Option<(&'a CreateTrigger, &'a TableDef)>,
    collation: CollationId,
    scopes: Vec<Names<'a>>,
    /// Labels around, and whether they are loops' ones.
    labels: Vec<(&'a str, bool)>,
    /// Whether a RETURN was found.
    returns: bool,
}

impl<'a> Check<'a> {
    fn steps(&mut self, steps: &'a [Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &'a Step) -> Result<()> {
        match step {
            Step::Statement(statement) => self.statement(statement),
            Step::Block { label, declarations, steps } => self.labelled(label, false, |check| {
                check.scopes.push(Names::default());
                declarations.iter().try_for_each(|declaration| check.declare(declaration))?;
                check.steps(steps)?;
                check.scopes.pop();
                Ok(())
            }),
            Step::If { branches, otherwise } | Step::Case { branches, otherwise, .. } => {
                branches.iter().try_for_each(|(_, steps)| self.steps(steps))?;
                otherwise.iter().try_for_each(|steps| self.steps(steps))
            }
            Step::Loop { label, steps }
            | Step::While { label, steps, .. }
            | Step::Repeat { label, steps, .. } => {
                self.labelled(label, true, |check| check.steps(steps))
            }
            Step::Leave(name) => match self.labels.iter().any(|(label, _)| same(label, name)) {
                true => Ok(()),
                false => Err(Error::no_such_label("LEAVE", name)),
            },
            Step::Iterate(name) => {
                let is_loop = |(label, is_loop): &(&str, bool)| *is_loop && same(label, name);
                match self.labels.iter().any(is_loop) {
                    true => Ok(()),
                    false => Err(Error::no_such_label("ITERATE", name)),
                }
            }
            Step::Return(_) if self.kind == RoutineKind::Procedure || self.trigger.is_some() => {
                Err(Error::return_outside_function())
            }
            Step::Return(_) => {
                self.returns = true;
                Ok(())
            }
            Step::Open(name) | Step::Close(name) => self.cursor(name),
            Step::Fetch { cursor, into } => {
                self.cursor(cursor)?;
                into.iter().try_for_each(|name| self.variable(name))
            }
        }
    }

    fn labelled(
        &mut self,
        label: &'a Option<String>,
        is_loop: bool,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(label) = label else { return work(self) };
        if self.labels.iter().any(|(known, _)| same(known, label)) {
            return Err(Error::label_redefined(label));
        }
        self.labels.push((label.as_str(), is_loop));
        let worked = work(self);
        self.labels.pop();
        worked
    }

    fn declare(&mut self, declaration: &'a Declaration) -> Result<()> {
        let collation = self.collation;
        if let Declaration::Handler { conditions, step, .. } = declaration {
            for condition in conditions {
                self.handled(condition)?;
            }
            // A handler cannot leave what is around the block that declares it.
            let labels = std::mem::take(&mut self.labels);
            let checked = self.step(step);
            self.labels = labels;
            return checked;
        }
        let Some(scope) = self.scopes.last_mut() else {
            return Err(Error::internal("a declaration outside of every block"));
        };
        match declaration {
            Declaration::Variables { names, ty, .. } => {
                for name in names {
                    declared_type(name, ty, collation)?;
                    if has(&scope.variables, name) {
                        return Err(Error::duplicate_variable(name));
                    }
                    scope.variables.push(name);
                }
            }
            Declaration::Condition { name, .. } => {
                if has(&scope.conditions, name) {
                    return Err(Error::duplicate_condition(name));
                }
                scope.conditions.push(name);
            }
            Declaration::Cursor { name, .. } => {
                if has(&scope.cursors, name) {
                    return Err(Error::duplicate_cursor(name));
                }
                scope.cursors.push(name);
            }
            Declaration::Handler { .. } => {}
        }
        Ok(())
    }

    fn handled(&mut self, condition: &'a HandlerCondition) -> Result<()> {
        if let HandlerCondition::Name(name) = condition {
            self.condition(name)?;
        }
        match self.scopes.last_mut() {
            Some(scope) if scope.handled.contains(&condition) => Err(Error::duplicate_handler()),
            Some(scope) => {
                scope.handled.push(condition);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn variable(&self, name: &str) -> Result<()> {
        match self.scopes.iter().any(|scope| has(&scope.variables, name)) {
            true => Ok(()),
            false => Err(Error::undeclared_variable(name)),
        }
    }

    fn condition(&self, name: &str) -> Result<()> {
        match self.scopes.iter().any(|scope| has(&scope.conditions, name)) {
            true => Ok(()),
            false => Err(Error::undefined_condition(name)),
        }
    }

    fn cursor(&self, name: &str) -> Result<()> {
        match self.scopes.iter().any(|scope| has(&scope.cursors, name)) {
            true => Ok(()),
            false => Err(Error::undefined_cursor(name)),
        }
    }

    fn target(&self, target: &IntoTarget) -> Result<()> {
        match target {
            IntoTarget::User(_) => Ok(()),
            IntoTarget::Local(name) => self.variable(name),
        }
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<()> {
        let in_function = self.kind == RoutineKind::Function;
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Set(items) => items.iter().try_for_each(|item| match item {
                SetItem::Named { name, .. } if self.sets_row(name) => self.set_row(name),
                SetItem::Named { name, .. }
                    if self.variable(name).is_err()
                        && sysvar::find(&name.to_ascii_lowercase()).is_none() =>
                {
                    Err(Error::unknown_variable(name))
                }
                _ => Ok(()),
            }),
            Statement::Program(program) => self.program(program),
            Statement::Use { .. } => Err(Error::not_in_programs("USE")),
            Statement::LockTables(_) => Err(Error::not_in_programs("LOCK")),
            Statement::UnlockTables => Err(Error::not_in_programs("UNLOCK")),
            Statement::LoadData(_) => Err(Error::not_in_programs("LOAD DATA")),
            Statement::Show(_) | Statement::Describe { .. } | Statement::Explain(_)
                if in_function =>
            {
                Err(self.rows())
            }
            Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate(_)
                if in_function =>
            {
                Err(Error::dynamic_in_function())
            }
            _ if in_function && commits(statement) => Err(Error::commit_in_function()),
            _ => Ok(()),
        }
    }

    fn rows(&self) -> Error {
        Error::rows_from(if self.trigger.is_some() { "trigger" } else { "function" })
    }

    /// Whether an assignment means a column of NEW or OLD.
    fn sets_row(&self, name: &str) -> bool {
        let row = name.split_once('.').map(|(row, _)| row);
        self.trigger.is_some() && row.is_some_and(|row| same(row, "NEW") || same(row, "OLD"))
    }

    fn set_row(&self, name: &str) -> Result<()> {
        let (Some((trigger, _)), Some((row, column))) = (self.trigger, name.split_once('.')) else {
            return Ok(());
        };
        let row = row.to_ascii_uppercase();
        if row == "OLD" {
            return Err(Error::cannot_change_row(row, ""));
        }
        self.row_column(&row, column)?;
        match trigger.after {
            false => Ok(()),
            true => Err(Error::cannot_change_row(row, "after ")),
        }
    }

    /// Checks that there is such a row, with such a column.
    fn row_column(&self, row: &str, column: &str) -> Result<()> {
        let Some((trigger, table)) = self.trigger else { return Ok(()) };
        let is_there = match trigger.event {
            TriggerEvent::Insert => row == "NEW",
            TriggerEvent::Update => true,
            TriggerEvent::Delete => row == "OLD",
        };
        if !is_there {
            return Err(Error::no_such_row(row, trigger.event.name()));
        }
        match table.column(column) {
            Some(_) => Ok(()),
            None => Err(Error::unknown_column(column, row)),
        }
    }

    fn query(&self, query: &Query) -> Result<()> {
        match &query.into {
            Some(SelectInto::Variables(targets)) => {
                targets.iter().try_for_each(|target| self.target(target))
            }
            Some(_) => Ok(()),
            None if self.kind == RoutineKind::Function => Err(self.rows()),
            None => Ok(()),
        }
    }

    fn program(&self, program: &ProgramStatement) -> Result<()> {
        let raised = |condition: &SignalCondition| match condition {
            SignalCondition::State(_) => Ok(()),
            SignalCondition::Name(name) => self.condition(name),
        };
        match program {
            ProgramStatement::Signal { condition, .. } => raised(condition),
            ProgramStatement::Resignal { condition, .. } => condition.iter().try_for_each(raised),
            ProgramStatement::GetDiagnostics { items, .. } => {
                items.iter().try_for_each(|(target, _)| self.target(target))
            }
            ProgramStatement::CreateRoutine(create) => {
                Err(Error::create_inside_routine(create.kind().name()))
            }
            _ if self.kind == RoutineKind::Function => Err(Error::commit_in_function()),
            _ => Ok(()),
        }
    }
}

fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    /// The number of what a statement is refused with; 0 for none.
    fn refused(sql: &str) -> u16 {
        let statement = parser::parse_statement(sql, &parser::ParseMode::default()).unwrap();
        let Statement::Program(program) = statement else { panic!("no program: {sql}") };
        let ProgramStatement::CreateRoutine(create) = *program else { panic!("no routine: {sql}") };
        routine(&create, "d", CollationId::DEFAULT).map_or_else(|error| error.code, |()| 0)
    }

    #[test]
    fn mistakes_have_mysqls_numbers() {
        let cases = [
            ("CREATE PROCEDURE p() BEGIN END", 0),
            ("CREATE PROCEDURE p(a INT, A INT) BEGIN END", 1330),
            ("CREATE PROCEDURE p() BEGIN DECLARE a, a INT; END", 1331),
            ("CREATE PROCEDURE p() LEAVE x", 1308),
            ("CREATE PROCEDURE p() x: BEGIN ITERATE x; END", 1308),
            ("CREATE PROCEDURE p() x: LOOP x: LOOP LEAVE x; END LOOP; END LOOP", 1309),
            ("CREATE PROCEDURE p() RETURN 1", 1313),
            ("CREATE PROCEDURE p() USE d", 1314),
            ("CREATE PROCEDURE p() OPEN c", 1324),
            ("CREATE PROCEDURE p() SELECT 1 INTO x", 1327),
            ("CREATE PROCEDURE p() SET nonsense = 1", 1193),
            ("CREATE PROCEDURE p() SIGNAL nothing", 1319),
            ("CREATE FUNCTION f() RETURNS INT BEGIN END", 1320),
            ("CREATE FUNCTION f() RETURNS INT BEGIN SELECT 1; RETURN 1; END", 1415),
            ("CREATE FUNCTION f() RETURNS INT BEGIN COMMIT; RETURN 1; END", 1422),
            (
                "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR 1062 BEGIN END; \
                 DECLARE EXIT HANDLER FOR 1062 BEGIN END; END",
                1413,
            ),
            ("CREATE PROCEDURE p() x: BEGIN DECLARE EXIT HANDLER FOR 1062 LEAVE x; END", 1308),
        ];
        for (sql, code) in cases {
            assert_eq!(refused(sql), code, "{sql}");
        }
    }
}
