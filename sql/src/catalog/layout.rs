//! Layouts of a table: under which id its rows stand and which slots they have, for a change of the sharding key, of ranges or of the
//! placement policy.
//!
//! ```text
//!           own layout (read, written)      the other one
//! before    old                             none
//! adding    old                             new: delete only ──> write only ──(filled)──┐
//! dropping  new   ◄────────── cut-over: they change places ────────────────────────────┘
//!           new                             old: write only ──> delete only ──> none
//! ```
//!
//! A change of the sharding key, or of the policy, moves every row and, since entries say where their rows are, every index entry. So the
//! table gets a second set of rows and entries under an id of its own, which is added and dropped as an index is
//! (`ddl::rekey_steps`).
//!
//! Invariants:
//! 1. The id under which rows stand is never reused; it is the table's own until its sharding key is changed.
//! 2. Both layouts have the same unique keys, and who writes rows checks them in the layout that is read. So the other one
//!    never has an entry that belongs to another row.
//! 3. Two nodes at definitions one step apart both write both layouts around the cut-over.
//!
//! Not here: how rows are written into both (`dml::mirror`), who fills the new one (`ddl::index_fill`).

use super::{IndexDef, IndexState, Sharding, TableDef};
use base::{TableId, Timestamp};
use std::sync::Arc;

/// Where the rows and entries of a table stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// First four bytes of their keys.
    pub rows: TableId,
    /// How rows find their slot.
    pub sharding: Sharding,
    /// Whether the sharding was declared.
    pub sharding_declared: bool,
    /// Whether it was declared as TDSQL_DISTRIBUTED BY.
    pub distributed_by: bool,
    /// The placement policy, whose slots `sharding` names as one set with all values; empty for none.
    pub placement: String,
    /// The indexes; the same in all layouts but for where entries are placed.
    pub indexes: Vec<IndexDef>,
}

/// The other layout of a table whose sharding key or placement policy is being changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuild {
    /// The table in that layout; it has no other one.
    pub mirror: TableDef,
    /// How statements write it; never public.
    pub state: IndexState,
    /// Since when the table's own layout is the one that is read, and the other one is the former: the cut-over. Zero
    /// before that; the highest of all in a definition for reads from before it, which is never stored.
    pub since: Timestamp,
}

impl Rebuild {
    /// Whether the cut-over was made, and the layout here is on its way out.
    pub fn is_past_cut_over(&self) -> bool {
        self.since > Timestamp::ZERO
    }

    /// Whether new rows are written into it.
    pub fn is_added_to(&self) -> bool {
        self.state != IndexState::DeleteOnly
    }
}

impl TableDef {
    /// The layout that is read.
    pub fn layout(&self) -> Layout {
        Layout {
            rows: self.rows,
            sharding: self.sharding.clone(),
            sharding_declared: self.sharding_declared,
            distributed_by: self.distributed_by,
            placement: self.placement.clone(),
            indexes: self.indexes.clone(),
        }
    }

    /// The same table in one layout alone.
    #[must_use]
    pub fn in_layout(&self, layout: &Layout) -> TableDef {
        let Layout { rows, sharding, sharding_declared, distributed_by, placement, indexes } =
            layout.clone();
        TableDef {
            rows,
            sharding,
            sharding_declared,
            distributed_by,
            placement,
            indexes,
            unpublished: Vec::new(),
            rebuild: None,
            ..self.clone()
        }
    }

    /// The same table with another layout in a state.
    #[must_use]
    pub fn with_other_layout(
        &self,
        layout: &Layout,
        state: IndexState,
        since: Timestamp,
    ) -> TableDef {
        let rebuild = Rebuild { mirror: self.in_layout(layout), state, since };
        TableDef { rebuild: Some(Arc::new(rebuild)), ..self.clone() }
    }

    /// The same table with its layouts in each other's places; itself when it has one.
    #[must_use]
    pub fn with_layouts_swapped(&self, since: Timestamp) -> TableDef {
        let Some(rebuild) = &self.rebuild else { return self.clone() };
        let swapped = self.in_layout(&rebuild.mirror.layout());
        swapped.with_other_layout(&self.layout(), rebuild.state, since)
    }

    /// Whether it is a definition for reads from before the cut-over (`TableDef::at`).
    pub fn reads_former_layout(&self) -> bool {
        self.rebuild.as_ref().is_some_and(|rebuild| rebuild.since == Timestamp::MAX)
    }

    /// The ids under which its rows stand in any layout.
    pub fn stored_ids(&self) -> Vec<TableId> {
        let mut ids = self.key_ids();
        ids.extend(self.rebuild.iter().map(|rebuild| rebuild.mirror.rows));
        ids
    }

    /// The layout that a key belongs to.
    pub fn in_layout_of(&self, key: &[u8]) -> &TableDef {
        let id = engine::key::table_of_key(key).ok();
        match &self.rebuild {
            Some(rebuild) if id == Some(rebuild.mirror.rows) => &rebuild.mirror,
            Some(_) | None => self,
        }
    }
}
