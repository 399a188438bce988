//! Placement policies: CREATE, ALTER and DROP, in the forms of TiDB; ALTER SET; the option of tables and databases.

use super::Parser;
use crate::ast::{PlacementOptions, PlacementStatement, PlacementTarget, Show, Statement};
use crate::error::{Error, Result};
use crate::lexer::TokenKind;

/// Options of TiDB's policies that mean nothing here.
const UNKNOWN: [&str; 8] = [
    "SCHEDULE",
    "VOTERS",
    "LEARNERS",
    "FOLLOWER_CONSTRAINTS",
    "VOTER_CONSTRAINTS",
    "LEARNER_CONSTRAINTS",
    "SURVIVAL_PREFERENCES",
    "SURVIVAL_PREFERENCE",
];

/// Puts a policy's name where none is yet.
///
/// # Errors
/// 1302 for a second one.
pub(super) fn set_once(place: &mut Option<String>, policy: String) -> Result<()> {
    let clause = |name: &str| match name {
        "" => "PLACEMENT POLICY=DEFAULT".to_string(),
        name => format!("PLACEMENT POLICY={name}"),
    };
    match place.as_deref() {
        Some(first) => Err(Error::conflicting_declarations(clause(first), clause(policy.as_str()))),
        None => {
            *place = Some(policy);
            Ok(())
        }
    }
}

impl Parser<'_> {
    /// CREATE [OR REPLACE] PLACEMENT POLICY; CREATE comes next.
    pub(super) fn create_placement_policy(&mut self) -> Result<Statement> {
        self.advance();
        let or_replace = self.accept(&["OR", "REPLACE"]);
        self.expect(&["PLACEMENT", "POLICY"])?;
        let if_not_exists = self.if_not_exists();
        let name = self.identifier()?;
        let options = self.placement_options()?;
        let create = PlacementStatement::Create { or_replace, if_not_exists, name, options };
        Ok(Statement::Placement(Box::new(create)))
    }

    /// ALTER PLACEMENT POLICY; ALTER comes next.
    pub(super) fn alter_placement_policy(&mut self) -> Result<Statement> {
        self.advance();
        self.expect(&["PLACEMENT", "POLICY"])?;
        let if_exists = self.if_exists();
        let name = self.identifier()?;
        let options = self.placement_options()?;
        Ok(Statement::Placement(Box::new(PlacementStatement::Alter { if_exists, name, options })))
    }

    /// DROP PLACEMENT POLICY; DROP comes next.
    pub(super) fn drop_placement_policy(&mut self) -> Result<Statement> {
        self.advance();
        self.expect(&["PLACEMENT", "POLICY"])?;
        let if_exists = self.if_exists();
        let name = self.identifier()?;
        Ok(Statement::Placement(Box::new(PlacementStatement::Drop { if_exists, name })))
    }

    /// ALTER SET … PLACEMENT POLICY; ALTER comes next.
    pub(super) fn alter_set(&mut self) -> Result<Statement> {
        self.at += 2;
        let set = self.identifier()?;
        let policy = self.placement_policy()?.ok_or_else(|| self.error())?;
        let policy = Some(policy).filter(|policy| !policy.is_empty());
        Ok(Statement::Placement(Box::new(PlacementStatement::Set { set, policy })))
    }

    /// `PLACEMENT POLICY [=] name`, if it stands here; empty for DEFAULT.
    pub(super) fn placement_policy(&mut self) -> Result<Option<String>> {
        if !self.accept(&["PLACEMENT", "POLICY"]) {
            return Ok(None);
        }
        self.accept_kind(TokenKind::Equal);
        if self.accept_word("DEFAULT") {
            return Ok(Some(String::new()));
        }
        self.identifier().map(Some)
    }

    /// SHOW PLACEMENT; PLACEMENT has been read.
    pub(super) fn show_placement(&mut self) -> Result<Show> {
        if !self.accept_word("FOR") {
            return Ok(Show::Placement(PlacementTarget::All));
        }
        Ok(Show::Placement(match self.accept_any(&["TABLE", "DATABASE", "SCHEMA", "SET"]) {
            Some("TABLE") => PlacementTarget::Table(self.table_name()?),
            Some("SET") => PlacementTarget::Set(self.identifier()?),
            Some(_) => PlacementTarget::Database(self.identifier()?),
            None => return Err(self.error()),
        }))
    }

    /// Options up to the end of the statement, in any order; commas may stand between.
    fn placement_options(&mut self) -> Result<PlacementOptions> {
        let mut options = PlacementOptions::default();
        let mut clauses: Vec<(String, &str)> = Vec::new();
        while !matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            let word = self.upper();
            if UNKNOWN.contains(&word.as_str()) {
                return Err(Error::not_supported(format!(
                    "{word} in a placement policy: use PRIMARY_REGION, REGIONS, CONSTRAINTS, LEADER_CONSTRAINTS and \
                     FOLLOWERS"
                )));
            }
            let start = self.at;
            self.advance();
            self.accept_kind(TokenKind::Equal);
            match word.as_str() {
                "PRIMARY_REGION" => options.primary_region = Some(self.string()?),
                "REGIONS" => options.regions = Some(self.string()?),
                "CONSTRAINTS" => options.constraints = Some(self.string()?),
                "LEADER_CONSTRAINTS" => options.leader_constraints = Some(self.string()?),
                "FOLLOWERS" => options.followers = Some(self.number()?),
                _ => {
                    self.at = start;
                    return Err(self.error());
                }
            }
            let clause = self.text_from(start);
            if let Some((_, first)) = clauses.iter().find(|(name, _)| *name == word) {
                return Err(Error::conflicting_declarations(*first, clause));
            }
            clauses.push((word, clause));
            self.accept_kind(TokenKind::Comma);
        }
        Ok(options)
    }
}
