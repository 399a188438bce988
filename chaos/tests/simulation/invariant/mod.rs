//! One file per invariant, with its citation.

pub mod acknowledged_is_durable;
pub mod one_leader_per_term;
pub mod state_machine_safety;
