//! Limits of stored programs.

/// Calls of procedures inside of each other: bounds the stack.
pub const PROGRAM_CALLS_MAX: usize = 32;
/// Memory of the result sets of one CALL, bytes.
pub const PROGRAM_RESULT_BYTES_MAX: usize = 256 << 20;
/// Rounds of a stored program's loops after which it lets others have their turn.
pub const PROGRAM_ROUNDS_A_TURN: u64 = 64;
/// Different SQLSTATEs that programs may raise while a node runs: each is kept for good.
pub const SIGNAL_STATES_MAX: usize = 4096;
