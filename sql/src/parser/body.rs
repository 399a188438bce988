//! Bodies of stored programs, and the statements about conditions: SIGNAL, RESIGNAL, GET DIAGNOSTICS.
//!
//! A body has semicolons. The lexer stops at each, so a statement's tokens are only those up to its own; behind the semicolon of a
//! step the body reads on ([`Parser::end_step`]). What a text has behind its first statement is never looked at.
//!
//! Inside of a body names may stand where others have variables with `@`: after INTO, in LIMIT, in SET.
//!
//! Not here: whether names are declared, whether a label is around, what may stand in which kind of program.

use super::Parser;
use super::program::program;
use crate::ast::{
    Declaration, Expr, HandlerCondition, IntoTarget, ProgramBody, ProgramStatement,
    SignalCondition, SourceText, Statement, Step,
};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

/// What SIGNAL can set.
const SIGNAL_ITEMS: [&str; 12] = [
    "CLASS_ORIGIN",
    "SUBCLASS_ORIGIN",
    "CONSTRAINT_CATALOG",
    "CONSTRAINT_SCHEMA",
    "CONSTRAINT_NAME",
    "CATALOG_NAME",
    "SCHEMA_NAME",
    "TABLE_NAME",
    "COLUMN_NAME",
    "CURSOR_NAME",
    "MESSAGE_TEXT",
    "MYSQL_ERRNO",
];
/// What GET DIAGNOSTICS tells of a condition besides.
const CONDITION_ITEM: &str = "RETURNED_SQLSTATE";
/// What GET DIAGNOSTICS tells of a statement.
const STATEMENT_ITEMS: [&str; 2] = ["NUMBER", "ROW_COUNT"];

impl Parser<'_> {
    /// The statement that a program consists of.
    pub(super) fn program_body(&mut self) -> Result<ProgramBody> {
        let outer = std::mem::replace(&mut self.in_program, true);
        let start = self.at;
        let step = self.step()?;
        self.in_program = outer;
        Ok(ProgramBody { step, text: SourceText(self.text_from(start).to_string()) })
    }

    /// One statement of a body.
    #[inline(never)]
    fn step(&mut self) -> Result<Step> {
        // Bodies have large frames, so a level counts for two.
        self.nested(|parser| parser.nested(Self::step_by_word))
    }

    #[inline(never)]
    fn step_by_word(&mut self) -> Result<Step> {
        let mut label = None;
        if self.is_identifier() && self.kind_at(1) == TokenKind::Colon {
            label = Some(self.identifier()?);
            self.advance();
            if !self.is_any(&["BEGIN", "LOOP", "WHILE", "REPEAT"]) {
                return Err(self.error());
            }
        }
        let step = match self.upper().as_str() {
            "BEGIN" => self.block(label),
            "LOOP" => self.loop_step(label),
            "WHILE" => self.while_step(label),
            "REPEAT" => self.repeat_step(label),
            "IF" => self.if_step(),
            "CASE" => self.case_step(),
            "LEAVE" => self.named_step(Step::Leave),
            "ITERATE" => self.named_step(Step::Iterate),
            "OPEN" => self.named_step(Step::Open),
            "CLOSE" => self.named_step(Step::Close),
            "FETCH" => self.fetch(),
            "RETURN" => {
                self.advance();
                Ok(Step::Return(self.expr()?))
            }
            _ => Ok(Step::Statement(Box::new(self.statement()?))),
        }?;
        self.higher()?;
        Ok(step)
    }

    /// A word and a name.
    fn named_step(&mut self, step: impl FnOnce(String) -> Step) -> Result<Step> {
        self.advance();
        self.identifier().map(step)
    }

    /// The semicolon behind a step; the body goes on behind it.
    fn end_step(&mut self) -> Result<()> {
        if self.kind() != TokenKind::Semicolon {
            return Err(self.error());
        }
        if self.at + 1 == self.tokens.len() {
            self.lexer.statement(&mut self.tokens);
        }
        self.advance();
        Ok(())
    }

    /// Steps up to one of these words: at least one.
    fn steps(&mut self, ends: &[&str]) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            steps.push(self.step()?);
            self.end_step()?;
            if self.is_any(ends) {
                return Ok(steps);
            }
        }
    }

    #[inline(never)]
    fn block(&mut self, label: Option<String>) -> Result<Step> {
        self.advance();
        let mut declarations = Vec::new();
        while self.is("DECLARE") {
            let declaration = self.declaration()?;
            check_order(&declarations, &declaration)?;
            declarations.push(declaration);
            self.end_step()?;
        }
        let steps = if self.is("END") { Vec::new() } else { self.steps(&["END"])? };
        self.expect_word("END")?;
        self.end_label(&label)?;
        Ok(Step::Block { label, declarations, steps })
    }

    /// The label that may stand again at the end.
    fn end_label(&mut self, label: &Option<String>) -> Result<()> {
        let Some(label) = label else { return Ok(()) };
        if !self.is_identifier() {
            return Ok(());
        }
        let again = self.identifier()?;
        if again.eq_ignore_ascii_case(label) { Ok(()) } else { Err(Error::label_mismatch(again)) }
    }

    #[inline(never)]
    fn loop_step(&mut self, label: Option<String>) -> Result<Step> {
        self.advance();
        let steps = self.steps(&["END"])?;
        self.expect(&["END", "LOOP"])?;
        self.end_label(&label)?;
        Ok(Step::Loop { label, steps })
    }

    #[inline(never)]
    fn while_step(&mut self, label: Option<String>) -> Result<Step> {
        self.advance();
        let condition = self.expr()?;
        self.expect_word("DO")?;
        let steps = self.steps(&["END"])?;
        self.expect(&["END", "WHILE"])?;
        self.end_label(&label)?;
        Ok(Step::While { label, condition, steps })
    }

    #[inline(never)]
    fn repeat_step(&mut self, label: Option<String>) -> Result<Step> {
        self.advance();
        let steps = self.steps(&["UNTIL"])?;
        self.expect_word("UNTIL")?;
        let until = self.expr()?;
        self.expect(&["END", "REPEAT"])?;
        self.end_label(&label)?;
        Ok(Step::Repeat { label, steps, until })
    }

    #[inline(never)]
    fn if_step(&mut self) -> Result<Step> {
        let mut branches = Vec::new();
        // IF or ELSEIF.
        loop {
            self.advance();
            let condition = self.expr()?;
            self.expect_word("THEN")?;
            branches.push((condition, self.steps(&["ELSEIF", "ELSE", "END"])?));
            if !self.is("ELSEIF") {
                break;
            }
        }
        let otherwise = self.otherwise()?;
        self.expect(&["END", "IF"])?;
        Ok(Step::If { branches, otherwise })
    }

    #[inline(never)]
    fn case_step(&mut self) -> Result<Step> {
        self.advance();
        let operand = if self.is("WHEN") { None } else { Some(self.expr()?) };
        let mut branches = Vec::new();
        self.expect_word("WHEN")?;
        loop {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            branches.push((when, self.steps(&["WHEN", "ELSE", "END"])?));
            if !self.accept_word("WHEN") {
                break;
            }
        }
        let otherwise = self.otherwise()?;
        self.expect(&["END", "CASE"])?;
        Ok(Step::Case { operand, branches, otherwise })
    }

    fn otherwise(&mut self) -> Result<Option<Vec<Step>>> {
        match self.accept_word("ELSE") {
            true => self.steps(&["END"]).map(Some),
            false => Ok(None),
        }
    }

    /// `FETCH [[NEXT] FROM] cursor INTO a, b`.
    fn fetch(&mut self) -> Result<Step> {
        self.advance();
        if !self.accept(&["NEXT", "FROM"]) {
            self.accept_word("FROM");
        }
        let cursor = self.identifier()?;
        self.expect_word("INTO")?;
        Ok(Step::Fetch { cursor, into: self.list(Self::identifier)? })
    }

    #[inline(never)]
    fn declaration(&mut self) -> Result<Declaration> {
        self.advance();
        if self.is_any(&["CONTINUE", "EXIT"]) && self.is_at(1, "HANDLER") {
            let exit = self.is("EXIT");
            self.at += 2;
            self.expect_word("FOR")?;
            let conditions = self.list(Self::handler_condition)?;
            return Ok(Declaration::Handler { exit, conditions, step: Box::new(self.step()?) });
        }
        if self.is_identifier() && self.is_at(1, "CONDITION") {
            let name = self.identifier()?;
            self.advance();
            self.expect_word("FOR")?;
            let value = match self.kind() {
                TokenKind::Integer => HandlerCondition::Code(self.number()?),
                _ => HandlerCondition::State(self.sqlstate()?),
            };
            return Ok(Declaration::Condition { name, value });
        }
        if self.is_identifier() && self.is_at(1, "CURSOR") {
            let name = self.identifier()?;
            self.advance();
            self.expect_word("FOR")?;
            if !self.starts_query() && self.kind() != TokenKind::LeftParen {
                return Err(self.error());
            }
            return Ok(Declaration::Cursor { name, query: self.boxed_query()? });
        }
        let names = self.list(Self::identifier)?;
        let ty = self.data_type()?;
        let default = match self.accept_word("DEFAULT") {
            true => Some(Box::new(self.expr()?)),
            false => None,
        };
        Ok(Declaration::Variables { names, ty, default })
    }

    fn handler_condition(&mut self) -> Result<HandlerCondition> {
        if self.accept_word("SQLWARNING") {
            return Ok(HandlerCondition::Warning);
        }
        if self.accept_word("SQLEXCEPTION") {
            return Ok(HandlerCondition::Exception);
        }
        if self.accept(&["NOT", "FOUND"]) {
            return Ok(HandlerCondition::NotFound);
        }
        if self.is("SQLSTATE") {
            return self.sqlstate().map(HandlerCondition::State);
        }
        match self.kind() {
            TokenKind::Integer => self.number().map(HandlerCondition::Code),
            _ => self.identifier().map(HandlerCondition::Name),
        }
    }

    /// `SQLSTATE [VALUE] '45000'`; 1407 for what is none, or says that all is well.
    fn sqlstate(&mut self) -> Result<String> {
        self.expect_word("SQLSTATE")?;
        self.accept_word("VALUE");
        let state = self.string()?;
        let is_right = state.len() == 5
            && state.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            && !state.starts_with("00");
        if is_right { Ok(state) } else { Err(Error::bad_sqlstate(state)) }
    }

    /// SIGNAL.
    pub(super) fn signal(&mut self) -> Result<Statement> {
        self.advance();
        let condition = self.signal_condition()?;
        let items = self.signal_items()?;
        Ok(program(ProgramStatement::Signal { condition, items }))
    }

    /// RESIGNAL.
    pub(super) fn resignal(&mut self) -> Result<Statement> {
        self.advance();
        let condition = match self.is("SQLSTATE") || self.is_identifier() {
            true => Some(self.signal_condition()?),
            false => None,
        };
        let items = self.signal_items()?;
        Ok(program(ProgramStatement::Resignal { condition, items }))
    }

    fn signal_condition(&mut self) -> Result<SignalCondition> {
        match self.is("SQLSTATE") {
            true => self.sqlstate().map(SignalCondition::State),
            false => self.identifier().map(SignalCondition::Name),
        }
    }

    fn signal_items(&mut self) -> Result<Vec<(&'static str, Expr)>> {
        if !self.accept_word("SET") {
            return Ok(Vec::new());
        }
        let mut items: Vec<(&'static str, Expr)> = Vec::new();
        loop {
            let name = self.accept_any(&SIGNAL_ITEMS).ok_or_else(|| self.error())?;
            if items.iter().any(|(known, _)| *known == name) {
                return Err(Error::duplicate_signal_item(name));
            }
            self.expect_kind(TokenKind::Equal)?;
            items.push((name, self.expr()?));
            if !self.accept_kind(TokenKind::Comma) {
                return Ok(items);
            }
        }
    }

    /// `GET [CURRENT | STACKED] DIAGNOSTICS …`.
    pub(super) fn get_diagnostics(&mut self) -> Result<Statement> {
        self.advance();
        let stacked = self.accept_any(&["CURRENT", "STACKED"]) == Some("STACKED");
        self.expect_word("DIAGNOSTICS")?;
        let condition = if self.accept_word("CONDITION") { Some(self.expr()?) } else { None };
        let of_condition = condition.is_some();
        let items = self.list(|parser| {
            let target = parser.select_target()?;
            parser.expect_kind(TokenKind::Equal)?;
            let known = match of_condition {
                true => parser
                    .accept_any(&SIGNAL_ITEMS)
                    .or_else(|| parser.accept_any(&[CONDITION_ITEM])),
                false => parser.accept_any(&STATEMENT_ITEMS),
            };
            Ok((target, known.ok_or_else(|| parser.error())?))
        })?;
        Ok(program(ProgramStatement::GetDiagnostics { stacked, condition, items }))
    }

    /// Where a value goes: a user variable, or one of the program.
    pub(super) fn select_target(&mut self) -> Result<IntoTarget> {
        match self.kind() {
            TokenKind::UserVariable => self.variable_name().map(IntoTarget::User),
            _ => self.identifier().map(IntoTarget::Local),
        }
    }
}

/// MySQL's order of declarations: variables and conditions, cursors, handlers.
///
/// # Errors
/// 1337, 1338.
fn check_order(before: &[Declaration], next: &Declaration) -> Result<()> {
    let is_handler = |declaration: &Declaration| matches!(declaration, Declaration::Handler { .. });
    let is_cursor = |declaration: &Declaration| matches!(declaration, Declaration::Cursor { .. });
    match next {
        Declaration::Handler { .. } => Ok(()),
        Declaration::Cursor { .. } if before.iter().any(is_handler) => {
            Err(Error::cursor_after_handler())
        }
        Declaration::Cursor { .. } => Ok(()),
        _ if before.iter().any(|known| is_handler(known) || is_cursor(known)) => {
            Err(Error::variable_after_cursor())
        }
        _ => Ok(()),
    }
}
