//! Placement policies: where replicas of tables and sets may be.

use super::TableName;

/// CREATE, ALTER or DROP PLACEMENT POLICY, or ALTER SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementStatement {
    /// CREATE PLACEMENT POLICY.
    Create {
        /// OR REPLACE.
        or_replace: bool,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The policy.
        name: String,
        /// What it says.
        options: PlacementOptions,
    },
    /// ALTER PLACEMENT POLICY: what it says from now on, all of it.
    Alter {
        /// IF EXISTS.
        if_exists: bool,
        /// The policy.
        name: String,
        /// What it says.
        options: PlacementOptions,
    },
    /// DROP PLACEMENT POLICY.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
        /// The policy.
        name: String,
    },
    /// ALTER SET … PLACEMENT POLICY.
    Set {
        /// The set.
        set: String,
        /// The policy; none for DEFAULT.
        policy: Option<String>,
    },
}

/// Options of a policy, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementOptions {
    /// PRIMARY_REGION: where leaders are.
    pub primary_region: Option<String>,
    /// REGIONS, with commas between: where replicas may be.
    pub regions: Option<String>,
    /// CONSTRAINTS on nodes that hold replicas.
    pub constraints: Option<String>,
    /// LEADER_CONSTRAINTS on nodes that lead.
    pub leader_constraints: Option<String>,
    /// FOLLOWERS: replicas beside the leader.
    pub followers: Option<u64>,
}

impl PlacementOptions {
    /// As they are written, with blanks between.
    pub fn text(&self) -> String {
        let texts = [
            ("PRIMARY_REGION", &self.primary_region),
            ("REGIONS", &self.regions),
            ("CONSTRAINTS", &self.constraints),
            ("LEADER_CONSTRAINTS", &self.leader_constraints),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\"")))
        });
        let followers = self.followers.map(|followers| format!("FOLLOWERS={followers}"));
        texts.chain(followers).collect::<Vec<_>>().join(" ")
    }
}

/// What SHOW PLACEMENT is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementTarget {
    /// Everything.
    All,
    /// FOR DATABASE.
    Database(String),
    /// FOR TABLE.
    Table(TableName),
    /// FOR SET.
    Set(String),
}
