//! Limits of the planner.

/// Terms of an OR, and conditions in each of them, among which common ones are looked for.
pub const OR_FACTOR_TERMS_MAX: usize = 256;
