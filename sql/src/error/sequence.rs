//! Sequences.

use super::{Error, errors};

errors! {
    /// A sequence that has given its last value.
    sequence_run_out(name) = 4084, "HY000", "Sequence '{name}' has run out";
    /// Options of a sequence that do not go together, or values outside of its bounds.
    sequence_options(name) = 4085, "HY000", "Sequence '{name}' has out of range value for options";
    /// A table where a sequence was wanted.
    not_a_sequence(name) = 4089, "42S02", "'{name}' is not a SEQUENCE";
    /// Changing or dropping a sequence that does not exist.
    unknown_sequence(names) = 4091, "42S02", "Unknown SEQUENCE: '{names}'";
}
