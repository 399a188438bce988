//! CREATE, ALTER and DROP of procedures, functions, triggers and events.
//!
//! Not here: bodies (`body`), what stands between CREATE and the kind of a program (`view`).

use super::Parser;
use crate::ast::{
    AccountName, Characteristics, CreateRoutine, CreateTrigger, DataUse, EventClauses, EventState,
    Expr, Parameter, ParameterMode, ProgramKind, ProgramStatement, RoutineKind, Schedule,
    SourceText, Statement, TriggerEvent, TriggerOrder,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// CREATE of a program, from its kind on.
    pub(super) fn create_program(&mut self, definer: Option<AccountName>) -> Result<Statement> {
        match self.accept_any(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"]) {
            Some("PROCEDURE") => self.create_routine(RoutineKind::Procedure, definer),
            Some("FUNCTION") => self.create_routine(RoutineKind::Function, definer),
            Some("TRIGGER") => self.create_trigger(definer),
            Some(_) => self.create_event(definer),
            None => Err(self.error()),
        }
    }

    fn create_routine(
        &mut self,
        kind: RoutineKind,
        definer: Option<AccountName>,
    ) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        if kind == RoutineKind::Function && definer.is_none() && self.is("RETURNS") {
            // A function of a library: CREATE FUNCTION f RETURNS STRING SONAME 'file'.
            return Ok(self.unsupported_as("CREATE FUNCTION"));
        }
        let open = self.at;
        self.expect_kind(TokenKind::LeftParen)?;
        let mut parameters = Vec::new();
        if self.kind() != TokenKind::RightParen {
            parameters = self.list(|parser| parser.parameter(kind))?;
        }
        let between = self.tokens.get(open).zip(self.tokens.get(self.at));
        let between =
            between.map(|(open, close)| open.span.end as usize..close.span.start as usize);
        let text = between.and_then(|between| self.text.get(between)).unwrap_or("");
        let parameters_text = SourceText(text.to_string());
        self.expect_kind(TokenKind::RightParen)?;
        let returns = match kind {
            RoutineKind::Procedure => None,
            RoutineKind::Function => {
                self.expect_word("RETURNS")?;
                Some(self.data_type()?)
            }
        };
        let characteristics = self.characteristics(true)?;
        let body = self.program_body()?;
        Ok(program(ProgramStatement::CreateRoutine(CreateRoutine {
            definer,
            if_not_exists,
            name,
            parameters,
            parameters_text,
            returns,
            characteristics,
            body,
        })))
    }

    fn parameter(&mut self, kind: RoutineKind) -> Result<Parameter> {
        let mode = match kind {
            RoutineKind::Function => None,
            RoutineKind::Procedure => match self.accept_any(&["IN", "OUT", "INOUT"]) {
                Some("IN") => Some(ParameterMode::In),
                Some("OUT") => Some(ParameterMode::Out),
                Some(_) => Some(ParameterMode::InOut),
                None => None,
            },
        };
        let name = self.identifier()?;
        Ok(Parameter { mode, name, ty: self.data_type()? })
    }

    /// What a routine says of itself, in any order. ALTER says nothing of DETERMINISTIC.
    fn characteristics(&mut self, creates: bool) -> Result<Characteristics> {
        let mut said = Characteristics::default();
        loop {
            if self.accept_word("COMMENT") {
                said.comment = Some(self.string()?);
            } else if self.accept(&["LANGUAGE", "SQL"]) {
                // There is no other.
            } else if creates && self.accept_word("DETERMINISTIC") {
                said.deterministic = Some(true);
            } else if creates && self.accept(&["NOT", "DETERMINISTIC"]) {
                said.deterministic = Some(false);
            } else if self.accept(&["CONTAINS", "SQL"]) {
                said.data = Some(DataUse::Contains);
            } else if self.accept(&["NO", "SQL"]) {
                said.data = Some(DataUse::None);
            } else if self.accept(&["READS", "SQL", "DATA"]) {
                said.data = Some(DataUse::Reads);
            } else if self.accept(&["MODIFIES", "SQL", "DATA"]) {
                said.data = Some(DataUse::Modifies);
            } else if let Some(security) = self.sql_security()? {
                said.security = Some(security);
            } else {
                return Ok(said);
            }
        }
    }

    /// ALTER PROCEDURE, ALTER FUNCTION.
    pub(super) fn alter_routine(&mut self) -> Result<Statement> {
        self.advance();
        let kind = match self.accept_any(&["PROCEDURE", "FUNCTION"]) {
            Some("PROCEDURE") => RoutineKind::Procedure,
            Some(_) => RoutineKind::Function,
            None => return Err(self.error()),
        };
        let name = self.table_name()?;
        let characteristics = self.characteristics(false)?;
        Ok(program(ProgramStatement::AlterRoutine { kind, name, characteristics }))
    }

    fn create_trigger(&mut self, definer: Option<AccountName>) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        let after = match self.accept_any(&["BEFORE", "AFTER"]) {
            Some(word) => word == "AFTER",
            None => return Err(self.error()),
        };
        let event = match self.accept_any(&["INSERT", "UPDATE", "DELETE"]) {
            Some("INSERT") => TriggerEvent::Insert,
            Some("UPDATE") => TriggerEvent::Update,
            Some(_) => TriggerEvent::Delete,
            None => return Err(self.error()),
        };
        self.expect_word("ON")?;
        let table = self.table_name()?;
        self.expect(&["FOR", "EACH", "ROW"])?;
        let order = match self.accept_any(&["FOLLOWS", "PRECEDES"]) {
            None => None,
            Some(word) => {
                Some(TriggerOrder { precedes: word == "PRECEDES", other: self.identifier()? })
            }
        };
        let body = self.program_body()?;
        Ok(program(ProgramStatement::CreateTrigger(CreateTrigger {
            definer,
            if_not_exists,
            name,
            after,
            event,
            table,
            order,
            body,
        })))
    }

    fn create_event(&mut self, definer: Option<AccountName>) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        if !self.are(&["ON", "SCHEDULE"]) {
            return Err(self.error());
        }
        let clauses = self.event_clauses(true)?;
        if clauses.body.is_none() {
            return Err(self.error());
        }
        Ok(program(ProgramStatement::CreateEvent { definer, if_not_exists, name, clauses }))
    }

    /// ALTER EVENT, from the word EVENT on.
    pub(super) fn alter_event(&mut self, definer: Option<AccountName>) -> Result<Statement> {
        self.expect_word("EVENT")?;
        let name = self.table_name()?;
        let clauses = self.event_clauses(false)?;
        if clauses == EventClauses::default() {
            return Err(self.error());
        }
        Ok(program(ProgramStatement::AlterEvent { definer, name, clauses }))
    }

    /// The clauses of an event, in their order.
    fn event_clauses(&mut self, creates: bool) -> Result<EventClauses> {
        let mut clauses = EventClauses::default();
        if self.accept(&["ON", "SCHEDULE"]) {
            clauses.schedule = Some(self.schedule()?);
        }
        if self.accept(&["ON", "COMPLETION"]) {
            let not = self.accept_word("NOT");
            self.expect_word("PRESERVE")?;
            clauses.preserve = Some(!not);
        }
        if !creates && self.accept(&["RENAME", "TO"]) {
            clauses.rename = Some(self.table_name()?);
        }
        if self.accept_word("ENABLE") {
            clauses.state = Some(EventState::Enabled);
        } else if self.accept_word("DISABLE") {
            clauses.state = Some(match self.accept_word("ON") {
                false => EventState::Disabled,
                true if self.accept_any(&["REPLICA", "SLAVE"]).is_some() => {
                    EventState::DisabledOnReplica
                }
                true => return Err(self.error()),
            });
        }
        if self.accept_word("COMMENT") {
            clauses.comment = Some(self.string()?);
        }
        if self.accept_word("DO") {
            clauses.body = Some(self.program_body()?);
        }
        Ok(clauses)
    }

    fn schedule(&mut self) -> Result<Schedule> {
        if self.accept_word("AT") {
            return self.expr().map(Schedule::At);
        }
        self.expect_word("EVERY")?;
        let amount = self.expr()?;
        let unit = self.interval_unit()?;
        let starts = self.moment("STARTS")?;
        let ends = self.moment("ENDS")?;
        Ok(Schedule::Every { amount, unit, starts, ends })
    }

    /// A word and when.
    fn moment(&mut self, word: &str) -> Result<Option<Box<Expr>>> {
        match self.accept_word(word) {
            true => self.expr().map(|at| Some(Box::new(at))),
            false => Ok(None),
        }
    }

    /// DROP of a program.
    pub(super) fn drop_program(&mut self) -> Result<Statement> {
        self.advance();
        let kind = match self.accept_any(&["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"]) {
            Some("PROCEDURE") => ProgramKind::Routine(RoutineKind::Procedure),
            Some("FUNCTION") => ProgramKind::Routine(RoutineKind::Function),
            Some("TRIGGER") => ProgramKind::Trigger,
            Some(_) => ProgramKind::Event,
            None => return Err(self.error()),
        };
        let if_exists = self.if_exists();
        let name = self.table_name()?;
        Ok(program(ProgramStatement::Drop { kind, if_exists, name }))
    }
}

/// The statement that it is.
pub(super) fn program(statement: ProgramStatement) -> Statement {
    Statement::Program(Box::new(statement))
}
