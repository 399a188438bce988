//! Statements about stored programs, their bodies included, as text.

use super::Printer;
use crate::ast::{
    Characteristics, CreateRoutine, CreateTrigger, DataType, Declaration, EventClauses, Expr,
    HandlerCondition, IntoTarget, Parameter, ProgramStatement, Schedule, SignalCondition, Step,
};

impl Printer {
    pub(super) fn program(&mut self, statement: &ProgramStatement) {
        match statement {
            ProgramStatement::CreateRoutine(create) => self.create_routine(create),
            ProgramStatement::AlterRoutine { kind, name, characteristics } => {
                self.value(format_args!("ALTER {} ", kind.name()));
                self.table(name);
                self.characteristics(characteristics);
            }
            ProgramStatement::CreateTrigger(create) => self.create_trigger(create),
            ProgramStatement::CreateEvent { definer, if_not_exists, name, clauses } => {
                self.text("CREATE ");
                self.definer(definer);
                self.text("EVENT ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.table(name);
                self.event_clauses(clauses);
            }
            ProgramStatement::AlterEvent { definer, name, clauses } => {
                self.text("ALTER ");
                self.definer(definer);
                self.text("EVENT ");
                self.table(name);
                self.event_clauses(clauses);
            }
            ProgramStatement::Drop { kind, if_exists, name } => {
                self.value(format_args!("DROP {} ", kind.name()));
                self.when(*if_exists, "IF EXISTS ");
                self.table(name);
            }
            ProgramStatement::Signal { condition, items } => {
                self.text("SIGNAL");
                self.signal_condition(condition);
                self.signal_items(items);
            }
            ProgramStatement::Resignal { condition, items } => {
                self.text("RESIGNAL");
                if let Some(condition) = condition {
                    self.signal_condition(condition);
                }
                self.signal_items(items);
            }
            ProgramStatement::GetDiagnostics { stacked, condition, items } => {
                self.text(if *stacked { "GET STACKED DIAGNOSTICS " } else { "GET DIAGNOSTICS " });
                if let Some(condition) = condition {
                    self.text("CONDITION ");
                    self.expr(condition);
                    self.text(" ");
                }
                self.list(items, |printer, (target, item)| {
                    printer.select_target(target);
                    printer.text(" = ");
                    printer.text(item);
                });
            }
        }
    }

    pub(super) fn select_target(&mut self, target: &IntoTarget) {
        match target {
            IntoTarget::User(name) => self.user_variable(name),
            IntoTarget::Local(name) => self.name(name),
        }
    }

    fn create_routine(&mut self, create: &CreateRoutine) {
        self.text("CREATE ");
        self.definer(&create.definer);
        self.text(create.kind().name());
        self.text(" ");
        self.when(create.if_not_exists, "IF NOT EXISTS ");
        self.table(&create.name);
        self.parenthesised(&create.parameters, Self::parameter);
        self.optional(" RETURNS ", &create.returns, Self::data_type);
        self.characteristics(&create.characteristics);
        self.text(" ");
        self.step(&create.body.step);
    }

    fn parameter(&mut self, parameter: &Parameter) {
        if let Some(mode) = parameter.mode {
            self.text(mode.name());
            self.text(" ");
        }
        self.variable_of_type(std::slice::from_ref(&parameter.name), &parameter.ty);
    }

    /// Names and their type.
    fn variable_of_type(&mut self, names: &[String], ty: &DataType) {
        self.list(names, |printer, name| printer.name(name));
        self.text(" ");
        self.data_type(ty);
    }

    fn characteristics(&mut self, said: &Characteristics) {
        self.optional_string(" COMMENT ", &said.comment);
        self.text(match said.deterministic {
            None => "",
            Some(true) => " DETERMINISTIC",
            Some(false) => " NOT DETERMINISTIC",
        });
        if let Some(data) = said.data {
            self.text(" ");
            self.text(data.name());
        }
        if let Some(security) = said.security {
            self.value(format_args!(" SQL SECURITY {}", security.name()));
        }
    }

    fn create_trigger(&mut self, create: &CreateTrigger) {
        self.text("CREATE ");
        self.definer(&create.definer);
        self.text("TRIGGER ");
        self.when(create.if_not_exists, "IF NOT EXISTS ");
        self.table(&create.name);
        self.text(if create.after { " AFTER " } else { " BEFORE " });
        self.text(create.event.name());
        self.text(" ON ");
        self.table(&create.table);
        self.text(" FOR EACH ROW ");
        if let Some(order) = &create.order {
            self.text(if order.precedes { "PRECEDES " } else { "FOLLOWS " });
            self.name(&order.other);
            self.text(" ");
        }
        self.step(&create.body.step);
    }

    fn event_clauses(&mut self, clauses: &EventClauses) {
        self.optional(" ON SCHEDULE ", &clauses.schedule, Self::schedule);
        self.text(match clauses.preserve {
            None => "",
            Some(true) => " ON COMPLETION PRESERVE",
            Some(false) => " ON COMPLETION NOT PRESERVE",
        });
        self.optional(" RENAME TO ", &clauses.rename, Self::table);
        if let Some(state) = clauses.state {
            self.text(" ");
            self.text(state.name());
        }
        self.optional_string(" COMMENT ", &clauses.comment);
        self.optional(" DO ", &clauses.body, |printer, body| printer.step(&body.step));
    }

    fn schedule(&mut self, schedule: &Schedule) {
        match schedule {
            Schedule::At(at) => {
                self.text("AT ");
                self.expr(at);
            }
            Schedule::Every { amount, unit, starts, ends } => {
                self.text("EVERY ");
                self.expr(amount);
                self.text(" ");
                self.text(unit.name());
                self.optional(" STARTS ", starts, |printer, at| printer.expr(at));
                self.optional(" ENDS ", ends, |printer, at| printer.expr(at));
            }
        }
    }

    fn signal_condition(&mut self, condition: &SignalCondition) {
        self.text(" ");
        match condition {
            SignalCondition::State(state) => self.sqlstate(state),
            SignalCondition::Name(name) => self.name(name),
        }
    }

    fn signal_items(&mut self, items: &[(&'static str, Expr)]) {
        self.when(!items.is_empty(), " SET ");
        self.list(items, |printer, (item, value)| {
            printer.text(item);
            printer.text(" = ");
            printer.expr(value);
        });
    }

    fn sqlstate(&mut self, state: &str) {
        self.text("SQLSTATE ");
        self.string(state);
    }

    /// A label and its colon.
    fn label(&mut self, label: &Option<String>) {
        if let Some(label) = label {
            self.name(label);
            self.text(": ");
        }
    }

    /// Steps, each with its semicolon and a blank behind it.
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
            self.text("; ");
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Statement(statement) => self.statement(statement),
            Step::Block { label, declarations, steps } => {
                self.label(label);
                self.text("BEGIN ");
                for declaration in declarations {
                    self.declaration(declaration);
                    self.text("; ");
                }
                self.steps(steps);
                self.text("END");
            }
            Step::If { branches, otherwise } => {
                for (place, (condition, steps)) in branches.iter().enumerate() {
                    self.text(if place > 0 { "ELSEIF " } else { "IF " });
                    self.branch(condition, steps);
                }
                self.otherwise(otherwise);
                self.text("END IF");
            }
            Step::Case { operand, branches, otherwise } => {
                self.text("CASE ");
                if let Some(operand) = operand {
                    self.expr(operand);
                    self.text(" ");
                }
                for (when, steps) in branches {
                    self.text("WHEN ");
                    self.branch(when, steps);
                }
                self.otherwise(otherwise);
                self.text("END CASE");
            }
            Step::Loop { label, steps } => {
                self.label(label);
                self.text("LOOP ");
                self.steps(steps);
                self.text("END LOOP");
            }
            Step::While { label, condition, steps } => {
                self.label(label);
                self.text("WHILE ");
                self.expr(condition);
                self.text(" DO ");
                self.steps(steps);
                self.text("END WHILE");
            }
            Step::Repeat { label, steps, until } => {
                self.label(label);
                self.text("REPEAT ");
                self.steps(steps);
                self.text("UNTIL ");
                self.expr(until);
                self.text(" END REPEAT");
            }
            Step::Leave(label) => self.word_and_name("LEAVE ", label),
            Step::Iterate(label) => self.word_and_name("ITERATE ", label),
            Step::Open(cursor) => self.word_and_name("OPEN ", cursor),
            Step::Close(cursor) => self.word_and_name("CLOSE ", cursor),
            Step::Fetch { cursor, into } => {
                self.word_and_name("FETCH ", cursor);
                self.text(" INTO ");
                self.list(into, |printer, name| printer.name(name));
            }
            Step::Return(value) => {
                self.text("RETURN ");
                self.expr(value);
            }
        }
    }

    fn word_and_name(&mut self, word: &str, name: &str) {
        self.text(word);
        self.name(name);
    }

    fn branch(&mut self, condition: &Expr, steps: &[Step]) {
        self.expr(condition);
        self.text(" THEN ");
        self.steps(steps);
    }

    fn otherwise(&mut self, steps: &Option<Vec<Step>>) {
        if let Some(steps) = steps {
            self.text("ELSE ");
            self.steps(steps);
        }
    }

    fn declaration(&mut self, declaration: &Declaration) {
        self.text("DECLARE ");
        match declaration {
            Declaration::Variables { names, ty, default } => {
                self.variable_of_type(names, ty);
                self.optional(" DEFAULT ", default, |printer, value| printer.expr(value));
            }
            Declaration::Condition { name, value } => {
                self.name(name);
                self.text(" CONDITION FOR ");
                self.handler_condition(value);
            }
            Declaration::Cursor { name, query } => {
                self.name(name);
                self.text(" CURSOR FOR ");
                self.query(query);
            }
            Declaration::Handler { exit, conditions, step } => {
                self.text(if *exit { "EXIT HANDLER FOR " } else { "CONTINUE HANDLER FOR " });
                self.list(conditions, Self::handler_condition);
                self.text(" ");
                self.step(step);
            }
        }
    }

    fn handler_condition(&mut self, condition: &HandlerCondition) {
        match condition {
            HandlerCondition::Code(code) => self.value(code),
            HandlerCondition::State(state) => self.sqlstate(state),
            HandlerCondition::Name(name) => self.name(name),
            HandlerCondition::Warning => self.text("SQLWARNING"),
            HandlerCondition::NotFound => self.text("NOT FOUND"),
            HandlerCondition::Exception => self.text("SQLEXCEPTION"),
        }
    }
}
