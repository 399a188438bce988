//! Statements about placement policies, as text.

use super::Printer;
use crate::ast::{PlacementOptions, PlacementStatement, PlacementTarget};

impl Printer {
    pub(super) fn placement(&mut self, statement: &PlacementStatement) {
        match statement {
            PlacementStatement::Create { or_replace, if_not_exists, name, options } => {
                self.text("CREATE ");
                self.when(*or_replace, "OR REPLACE ");
                self.text("PLACEMENT POLICY ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.name(name);
                self.placement_options(options);
            }
            PlacementStatement::Alter { if_exists, name, options } => {
                self.text("ALTER PLACEMENT POLICY ");
                self.when(*if_exists, "IF EXISTS ");
                self.name(name);
                self.placement_options(options);
            }
            PlacementStatement::Drop { if_exists, name } => {
                self.text("DROP PLACEMENT POLICY ");
                self.when(*if_exists, "IF EXISTS ");
                self.name(name);
            }
            PlacementStatement::Set { set, policy } => {
                self.text("ALTER SET ");
                self.name(set);
                self.text(" ");
                self.placement_policy(policy.as_deref().unwrap_or_default());
            }
        }
    }

    /// The option of a table, database or set; empty for DEFAULT.
    pub(super) fn placement_policy(&mut self, policy: &str) {
        self.text("PLACEMENT POLICY=");
        match policy.is_empty() {
            true => self.text("DEFAULT"),
            false => self.name(policy),
        }
    }

    pub(super) fn placement_target(&mut self, target: &PlacementTarget) {
        self.text("PLACEMENT");
        match target {
            PlacementTarget::All => {}
            PlacementTarget::Database(database) => {
                self.text(" FOR DATABASE ");
                self.name(database);
            }
            PlacementTarget::Table(table) => {
                self.text(" FOR TABLE ");
                self.table(table);
            }
            PlacementTarget::Set(set) => {
                self.text(" FOR SET ");
                self.name(set);
            }
        }
    }

    fn placement_options(&mut self, options: &PlacementOptions) {
        self.optional_string(" PRIMARY_REGION=", &options.primary_region);
        self.optional_string(" REGIONS=", &options.regions);
        self.optional_string(" CONSTRAINTS=", &options.constraints);
        self.optional_string(" LEADER_CONSTRAINTS=", &options.leader_constraints);
        self.optional(" FOLLOWERS=", &options.followers, |printer, value| printer.value(value));
    }
}
