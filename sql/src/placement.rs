//! Placement policies as SQL asks the cluster for them, and what it answers.
//!
//! The cluster keeps the policies and which slots are under them. Databases and tables name policies in the catalog; a
//! table with a policy lies in the slots of one set that is under it.

use crate::ast::PlacementOptions;
use base::SlotRange;

/// What is to be changed. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementChange {
    /// A policy says this.
    Put {
        /// The policy.
        name: String,
        /// What it says.
        options: PlacementOptions,
        /// Whether it is there already.
        how: PutPolicy,
    },
    /// A policy goes.
    Drop {
        /// The policy.
        name: String,
    },
    /// Slots are under a policy, or under none.
    Assign {
        /// The slots.
        slots: SlotRange,
        /// The policy.
        policy: Option<String>,
    },
    /// Slots under a policy are asked for: the first of some sets that is under it, else the last one that is under none.
    Use {
        /// The policy.
        policy: String,
        /// Slots of all sets.
        sets: Vec<SlotRange>,
    },
}

/// Whether a policy that is put is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutPolicy {
    /// It must not be.
    New,
    /// It must be.
    Old,
    /// It may be.
    Either,
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementAnswer {
    /// What cannot be met, in sentences.
    pub warnings: Vec<String>,
    /// The slots that were asked for.
    pub slots: Option<SlotRange>,
    /// Whether they have come under the policy just now.
    pub taken: bool,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementRefusal {
    /// There is such a policy.
    Exists,
    /// There is no such policy.
    Unknown,
    /// It is used for these slots.
    InUse(SlotRange),
    /// All sets are under other policies.
    NoSet,
    /// A sentence for people.
    Other(String),
}

/// How everything stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementView {
    /// The policies, by name.
    pub policies: Vec<PolicyRow>,
    /// What is under them, in order of the slots.
    pub places: Vec<PlaceRow>,
}

impl PlacementView {
    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<&PolicyRow> {
        self.policies.iter().find(|row| row.name == name)
    }

    /// What has some of these slots.
    pub fn places_in(&self, slots: SlotRange) -> impl Iterator<Item = &PlaceRow> {
        let meets =
            move |row: &&PlaceRow| row.slots.start < slots.end && slots.start < row.slots.end;
        self.places.iter().filter(meets)
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its name.
    pub name: String,
    /// What it says.
    pub options: PlacementOptions,
    /// `ok`, or why the nodes that there are cannot meet it.
    pub state: String,
}

/// Slots under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRow {
    /// The slots.
    pub slots: SlotRange,
    /// The policy.
    pub policy: String,
    /// `ok`, or what is not as it should be.
    pub state: String,
}
