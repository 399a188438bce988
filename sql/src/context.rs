//! What an evaluation needs besides its row: modes, time, session, warnings.
//!
//! One `EvalContext` per statement, shared by every operator of its plan. Everything in it is fixed
//! for the statement except the warning list, the row number, the random stream and what the
//! `VariableSource` keeps.
//!
//! Not here: what system variables exist (`sysvar`), who fills the context (`session`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::limits::WARNINGS_MAX;
use base::{Rng, SharedClock, SlotFilter, SystemClock};
use parking_lot::Mutex;

mod locals;

pub use locals::{Local, Locals};

use crate::catalog::AllStatistics;
use crate::collation::CollationId;
use crate::function::aes::BlockMode;
use crate::function::locale::{self, Locale};
use crate::parser::ParseMode;
use crate::temporary::TemporaryTables;
use crate::types::SqlType;
use crate::types::datetime::{DateTime, TimeZone};
use crate::value::Value;
use crate::{Error, Result};

/// The flags of `sql_mode`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SqlMode(pub u64);

macro_rules! sql_modes {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl SqlMode {
            $($(#[$doc])* pub const $name: SqlMode = SqlMode(1 << $bit);)*

            /// Every flag and its name, in MySQL's order.
            pub const NAMES: &'static [(SqlMode, &'static str)] =
                &[$((SqlMode::$name, stringify!($name)),)*];
        }
    };
}

sql_modes! {
    /// REAL means FLOAT.
    REAL_AS_FLOAT = 0;
    /// `||` concatenates.
    PIPES_AS_CONCAT = 1;
    /// `"x"` is an identifier.
    ANSI_QUOTES = 2;
    /// Blanks between a function name and `(`.
    IGNORE_SPACE = 3;
    /// Select items must be grouped or aggregated.
    ONLY_FULL_GROUP_BY = 5;
    /// unsigned − unsigned may be negative.
    NO_UNSIGNED_SUBTRACTION = 6;
    /// SHOW CREATE TABLE without table options.
    NO_DIR_IN_CREATE = 7;
    /// The umbrella mode ANSI.
    ANSI = 18;
    /// Only NULL, not 0, asks for the next AUTO_INCREMENT value.
    NO_AUTO_VALUE_ON_ZERO = 19;
    /// `\` is an ordinary character.
    NO_BACKSLASH_ESCAPES = 20;
    /// Bad values are errors in transactional tables (all of ours).
    STRICT_TRANS_TABLES = 21;
    /// Bad values are errors in all tables.
    STRICT_ALL_TABLES = 22;
    /// 2020-00-15 is refused.
    NO_ZERO_IN_DATE = 23;
    /// 0000-00-00 is refused.
    NO_ZERO_DATE = 24;
    /// Days are only checked against 31.
    ALLOW_INVALID_DATES = 25;
    /// x / 0 warns, in strict mode fails.
    ERROR_FOR_DIVISION_BY_ZERO = 26;
    /// The umbrella mode TRADITIONAL.
    TRADITIONAL = 27;
    /// NOT binds like `!`.
    HIGH_NOT_PRECEDENCE = 29;
    /// CREATE TABLE does not silently take another engine.
    NO_ENGINE_SUBSTITUTION = 30;
    /// CHAR values keep their trailing blanks when read.
    PAD_CHAR_TO_FULL_LENGTH = 31;
    /// Fractions of a second are cut, not rounded.
    TIME_TRUNCATE_FRACTIONAL = 32;
}

impl SqlMode {
    /// No flag.
    pub const EMPTY: SqlMode = SqlMode(0);

    /// MySQL 8.0's default.
    pub const DEFAULT: SqlMode = SqlMode(
        SqlMode::ONLY_FULL_GROUP_BY.0
            | SqlMode::STRICT_TRANS_TABLES.0
            | SqlMode::NO_ZERO_IN_DATE.0
            | SqlMode::NO_ZERO_DATE.0
            | SqlMode::ERROR_FOR_DIVISION_BY_ZERO.0
            | SqlMode::NO_ENGINE_SUBSTITUTION.0,
    );

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: SqlMode) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    pub fn union(self, other: SqlMode) -> SqlMode {
        SqlMode(self.0 | other.0)
    }

    /// STRICT_TRANS_TABLES or STRICT_ALL_TABLES.
    pub fn is_strict(self) -> bool {
        self.0 & (SqlMode::STRICT_TRANS_TABLES.0 | SqlMode::STRICT_ALL_TABLES.0) != 0
    }

    /// How texts of statements are read.
    pub(crate) fn parse_mode(self) -> ParseMode {
        ParseMode {
            ansi_quotes: self.contains(SqlMode::ANSI_QUOTES),
            pipes_as_concat: self.contains(SqlMode::PIPES_AS_CONCAT),
            no_backslash_escapes: self.contains(SqlMode::NO_BACKSLASH_ESCAPES),
            high_not_precedence: self.contains(SqlMode::HIGH_NOT_PRECEDENCE),
            ignore_space: self.contains(SqlMode::IGNORE_SPACE),
        }
    }

    /// Reads the value of `sql_mode`: names with commas between, case-insensitive. ANSI and
    /// TRADITIONAL bring the flags they stand for.
    pub fn parse(text: &str) -> Result<SqlMode> {
        let mut mode = SqlMode::EMPTY;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let found = SqlMode::NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
            let Some((flag, _)) = found else {
                return Err(Error::wrong_value_for_variable("sql_mode", name));
            };
            mode = mode.union(*flag);
        }
        Ok(mode.expand())
    }

    /// Adds what umbrella modes stand for.
    pub fn expand(self) -> SqlMode {
        let mut mode = self;
        if mode.contains(SqlMode::ANSI) {
            mode = mode
                .union(SqlMode::REAL_AS_FLOAT)
                .union(SqlMode::PIPES_AS_CONCAT)
                .union(SqlMode::ANSI_QUOTES)
                .union(SqlMode::IGNORE_SPACE)
                .union(SqlMode::ONLY_FULL_GROUP_BY);
        }
        if mode.contains(SqlMode::TRADITIONAL) {
            mode = mode
                .union(SqlMode::STRICT_TRANS_TABLES)
                .union(SqlMode::STRICT_ALL_TABLES)
                .union(SqlMode::NO_ZERO_IN_DATE)
                .union(SqlMode::NO_ZERO_DATE)
                .union(SqlMode::ERROR_FOR_DIVISION_BY_ZERO)
                .union(SqlMode::NO_ENGINE_SUBSTITUTION);
        }
        mode
    }
}

impl fmt::Display for SqlMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, name) in SqlMode::NAMES.iter().filter(|(flag, _)| self.contains(*flag)) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for SqlMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlMode({self})")
    }
}

/// Where a system variable is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `@@global.x`
    Global,
    /// `@@session.x`
    Session,
}

/// System and user variables, as `sysvar` and `session` keep them. Calls take `&self`: the source
/// brings its own locking.
pub trait VariableSource: Send + Sync + 'static {
    /// A system variable; without a scope the session's value, else the global one.
    fn system(&self, scope: Option<Scope>, name: &str) -> Result<Value>;
    /// A user variable; NULL when it was never set.
    fn user(&self, name: &str) -> Value;
    /// Sets a user variable.
    fn set_user(&self, name: &str, value: Value);
}

/// A source without any variable: constant folding outside of a session, and tests.
#[derive(Debug, Default)]
pub struct NoVariables;

impl VariableSource for NoVariables {
    fn system(&self, _: Option<Scope>, name: &str) -> Result<Value> {
        Err(Error::unknown_variable(name))
    }

    fn user(&self, _: &str) -> Value {
        Value::Null
    }

    fn set_user(&self, _: &str, _: Value) {}
}

/// Types of user variables that a statement assigns numbers to which their present type does not hold:
/// `@sum := @sum + price` after `SET @sum = 0`.
#[derive(Debug, Default)]
pub(crate) struct UserTypes {
    /// By name, in small letters.
    pub(crate) by_name: BTreeMap<String, SqlType>,
    /// Whether one was found since [`EvalContext::found_user_types`] was asked.
    pub(crate) is_new: bool,
}

/// How bad a warning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// A value was changed on its way.
    Warning,
    /// The statement failed.
    Error,
}

impl Level {
    /// As SHOW WARNINGS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Note => "Note",
            Level::Warning => "Warning",
            Level::Error => "Error",
        }
    }
}

/// One row of SHOW WARNINGS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How bad it is.
    pub level: Level,
    /// MySQL's error number.
    pub code: u16,
    /// One sentence.
    pub message: String,
}

#[derive(Debug, Default)]
struct WarningList {
    /// The first `WARNINGS_MAX` warnings.
    kept: Vec<Warning>,
    /// All warnings, also those not kept.
    count: u64,
}

/// The warnings of a statement. Texts stop at `WARNINGS_MAX`, the counter goes on.
#[derive(Debug, Default)]
pub struct Warnings {
    list: Mutex<WarningList>,
}

impl Warnings {
    /// Adds one.
    pub fn push(&self, level: Level, code: u16, message: impl Into<String>) {
        let mut list = self.list.lock();
        list.count += 1;
        if list.kept.len() < WARNINGS_MAX {
            list.kept.push(Warning { level, code, message: message.into() });
        }
    }

    /// Number of warnings, kept or not.
    pub fn count(&self) -> u64 {
        self.list.lock().count
    }

    /// A copy of the kept warnings.
    pub fn to_vec(&self) -> Vec<Warning> {
        self.list.lock().kept.clone()
    }

    /// Forgets those after the first `count`: what they tell of is done again.
    pub fn forget_after(&self, count: u64) {
        let mut list = self.list.lock();
        list.count = list.count.min(count);
        list.kept.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }

    /// Takes all warnings out: those kept, and how many there were.
    pub fn take(&self) -> (Vec<Warning>, u64) {
        let list = std::mem::take(&mut *self.list.lock());
        (list.kept, list.count)
    }
}

/// The end of a statement that may take any time.
const NO_DEADLINE: u64 = u64::MAX;

/// Everything an evaluation needs besides its row.
pub struct EvalContext {
    /// `sql_mode`.
    pub sql_mode: SqlMode,
    /// `time_zone`.
    pub time_zone: TimeZone,
    /// The statement's NOW(), microseconds since 1970 in UTC.
    pub now_unix_micros: u64,
    /// For SYSDATE(), which is not fixed per statement.
    pub clock: SharedClock,
    /// `div_precision_increment`.
    pub div_precision_increment: u8,
    /// `group_concat_max_len`, bytes.
    pub group_concat_max_len: u64,
    /// `cte_max_recursion_depth`: rounds of a recursive query of WITH.
    pub cte_max_recursion_depth: u64,
    /// `block_encryption_mode`, of AES_ENCRYPT and AES_DECRYPT.
    pub block_encryption_mode: BlockMode,
    /// `lc_time_names`: of months and days.
    pub time_names: &'static Locale,
    /// `default_week_format`: what WEEK() counts without a mode.
    pub default_week_format: u8,
    /// `max_allowed_packet`, bytes: strings above it become NULL with a warning.
    pub max_allowed_packet: u64,
    /// `collation_connection`: of literals and of numbers turned into text.
    pub connection_collation: CollationId,
    /// LAST_INSERT_ID() at the start of the statement.
    pub last_insert_id: u64,
    /// Set by LAST_INSERT_ID(expr): the session takes it over when it is not `u64::MAX`.
    pub last_insert_id_set: AtomicU64,
    /// FOUND_ROWS().
    pub found_rows: u64,
    /// ROW_COUNT().
    pub row_count: i64,
    /// CONNECTION_ID().
    pub connection_id: u64,
    /// USER(): name and host as the client gave them, `name@host`.
    pub user: String,
    /// CURRENT_USER(): the account that was matched, `name@host`.
    pub current_user: String,
    /// DATABASE().
    pub database: Option<String>,
    /// VERSION().
    pub version: String,
    /// What ANALYZE TABLE has found, for the planner; empty outside of sessions.
    pub statistics: Arc<AllStatistics>,
    /// Values of `?` parameters.
    pub params: Vec<Value>,
    /// Variables of the stored program around the statement; `None` outside of programs.
    pub locals: Option<Arc<Locals>>,
    /// Slots of the rows that the statement may see and write; `None` for all.
    pub slots: Option<SlotFilter>,
    /// `max_execution_time`: milliseconds that a query which locks nothing may take; 0 for any time.
    pub max_execution_millis: u64,
    /// Monotonic microseconds at which that is over; `u64::MAX` without one.
    pub(crate) deadline: AtomicU64,
    /// The session's temporary tables, when it has some.
    pub(crate) temporary: Option<Arc<TemporaryTables>>,
    /// See [`EvalContext::reads_near`].
    pub(crate) near: AtomicBool,
    /// 1-based row of the statement that is worked on, for warnings.
    pub row_number: AtomicU64,
    /// Whether a bad value is an error: INSERT, UPDATE, DELETE and LOAD DATA in strict mode without
    /// IGNORE. Elsewhere it is a warning.
    pub strict_dml: bool,
    /// Warnings so far.
    pub warnings: Warnings,
    /// System and user variables.
    pub vars: Arc<dyn VariableSource>,
    /// Types of the user variables that the statement assigns to.
    pub(crate) user_types: Mutex<UserTypes>,
    /// Set by KILL QUERY or a lost connection.
    pub cancel: Arc<AtomicBool>,
    /// RAND() and UUID().
    pub rng: Mutex<Rng>,
    /// RAND(constant): the state of each call's generator, by the place of its arguments.
    pub(crate) seeded: Mutex<BTreeMap<usize, (u64, u64)>>,
}

impl EvalContext {
    /// A context with MySQL's defaults; the caller sets the fields that differ.
    pub fn new(vars: Arc<dyn VariableSource>, clock: SharedClock, rng: Rng) -> EvalContext {
        EvalContext {
            sql_mode: SqlMode::DEFAULT,
            time_zone: TimeZone::UTC,
            now_unix_micros: clock.unix_micros(),
            clock,
            div_precision_increment: 4,
            group_concat_max_len: 1024,
            cte_max_recursion_depth: 1000,
            block_encryption_mode: BlockMode::DEFAULT,
            time_names: locale::english(),
            default_week_format: 0,
            max_allowed_packet: base::limits::PACKET_BYTES_MAX as u64,
            connection_collation: CollationId::DEFAULT,
            last_insert_id: 0,
            last_insert_id_set: AtomicU64::new(u64::MAX),
            found_rows: 0,
            row_count: -1,
            connection_id: 0,
            user: String::new(),
            current_user: String::new(),
            database: None,
            version: "8.0.46-PrecinctDB".to_owned(),
            statistics: Arc::default(),
            params: Vec::new(),
            locals: None,
            slots: None,
            max_execution_millis: 0,
            deadline: AtomicU64::new(NO_DEADLINE),
            temporary: None,
            near: AtomicBool::new(false),
            row_number: AtomicU64::new(1),
            strict_dml: false,
            warnings: Warnings::default(),
            vars,
            user_types: Mutex::default(),
            cancel: Arc::new(AtomicBool::new(false)),
            rng: Mutex::new(rng),
            seeded: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whether binding has found assignments that give variables other types than they were bound with:
    /// the statement is bound once more.
    pub(crate) fn found_user_types(&self) -> bool {
        std::mem::take(&mut self.user_types.lock().is_new)
    }

    /// A context without session, with a seeded random stream and a given NOW(): tests, and folding
    /// of constants that depend on nothing.
    pub fn detached(now_unix_micros: u64) -> EvalContext {
        let mut ctx =
            EvalContext::new(Arc::new(NoVariables), SystemClock::shared(), Rng::seeded(1));
        ctx.now_unix_micros = now_unix_micros;
        ctx
    }

    /// What binds something under another `collation_connection`; with warnings and a random stream of its own.
    pub(crate) fn under(&self, connection_collation: CollationId) -> EvalContext {
        let rng = Rng::seeded(self.now_unix_micros);
        let mut other = EvalContext::new(self.vars.clone(), self.clock.clone(), rng);
        other.connection_collation = connection_collation;
        other.sql_mode = self.sql_mode;
        other.time_zone = self.time_zone;
        other.now_unix_micros = self.now_unix_micros;
        other.div_precision_increment = self.div_precision_increment;
        other.group_concat_max_len = self.group_concat_max_len;
        other.block_encryption_mode = self.block_encryption_mode;
        other.time_names = self.time_names;
        other.default_week_format = self.default_week_format;
        other.max_allowed_packet = self.max_allowed_packet;
        other.last_insert_id = self.last_insert_id;
        other.found_rows = self.found_rows;
        other.row_count = self.row_count;
        other.connection_id = self.connection_id;
        other.user.clone_from(&self.user);
        other.current_user.clone_from(&self.current_user);
        other.database.clone_from(&self.database);
        other.version.clone_from(&self.version);
        other.statistics = self.statistics.clone();
        other.slots.clone_from(&self.slots);
        other.strict_dml = self.strict_dml;
        other.cancel = self.cancel.clone();
        other
    }

    /// Says that the statement is a query that locks nothing. Its time begins now.
    pub(crate) fn read_near(&self) {
        self.near.store(true, Ordering::Relaxed);
        if self.max_execution_millis > 0 {
            let end = self.clock.monotonic() + Duration::from_millis(self.max_execution_millis);
            let end = u64::try_from(end.as_micros()).unwrap_or(NO_DEADLINE);
            self.deadline.store(end, Ordering::Relaxed);
        }
    }

    /// Whether it is one, which may read any copy of a broadcast table: the nearest. Whoever locks or writes reads the copy that
    /// is locked.
    pub(crate) fn reads_near(&self) -> bool {
        self.near.load(Ordering::Relaxed)
    }

    /// The statement's NOW() in the session's time zone, all six fraction digits.
    pub fn now(&self) -> DateTime {
        self.time_zone.from_unix_micros(self.now_unix_micros as i64)
    }

    /// Adds a warning made from an error.
    pub fn warn(&self, error: Error) {
        self.warnings.push(Level::Warning, error.code, error.message);
    }

    /// Adds a note made from an error.
    pub fn note(&self, error: Error) {
        self.warnings.push(Level::Note, error.code, error.message);
    }

    /// A bad value: an error in strict DML, else a warning.
    pub fn bad_value(&self, error: Error) -> Result<()> {
        if self.strict_dml {
            return Err(error);
        }
        self.warn(error);
        Ok(())
    }

    /// x / 0: silent, a warning, or an error, as sql_mode says.
    pub fn division_by_zero(&self) -> Result<()> {
        if !self.sql_mode.contains(SqlMode::ERROR_FOR_DIVISION_BY_ZERO) {
            return Ok(());
        }
        self.bad_value(Error::division_by_zero())
    }

    /// The row that is worked on.
    pub fn row(&self) -> u64 {
        self.row_number.load(Ordering::Relaxed)
    }

    /// Says which row is worked on, 1-based.
    pub fn set_row(&self, row: u64) {
        self.row_number.store(row, Ordering::Relaxed);
    }

    /// 1317 when the statement was cancelled, 3024 when its time is over.
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline != NO_DEADLINE && self.clock.monotonic().as_micros() > u128::from(deadline) {
            return Err(Error::query_timeout());
        }
        Ok(())
    }
}

impl fmt::Debug for EvalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalContext")
            .field("sql_mode", &self.sql_mode)
            .field("time_zone", &self.time_zone)
            .field("now_unix_micros", &self.now_unix_micros)
            .field("database", &self.database)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_mode_text_round_trips() {
        let mode = SqlMode::parse("strict_trans_tables, NO_ZERO_DATE").unwrap();
        assert!(mode.is_strict());
        assert_eq!(mode.to_string(), "STRICT_TRANS_TABLES,NO_ZERO_DATE");
        assert_eq!(SqlMode::parse("nonsense").unwrap_err().code, 1231);
        assert!(SqlMode::parse("ANSI").unwrap().contains(SqlMode::ANSI_QUOTES));
    }

    #[test]
    fn queries_end_when_their_time_is_over() {
        let mut ctx = EvalContext::detached(0);
        ctx.read_near();
        ctx.check_cancel().unwrap();
        ctx.max_execution_millis = 1;
        ctx.check_cancel().unwrap();
        ctx.read_near();
        let start = ctx.clock.monotonic();
        while ctx.clock.monotonic() < start + Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        assert_eq!(ctx.check_cancel().unwrap_err().code, 3024);
    }

    #[test]
    fn warnings_beyond_the_limit_are_counted_but_not_kept() {
        let warnings = Warnings::default();
        for _ in 0..WARNINGS_MAX + 5 {
            warnings.push(Level::Warning, 1292, "x");
        }
        assert_eq!(warnings.count(), WARNINGS_MAX as u64 + 5);
        assert_eq!(warnings.to_vec().len(), WARNINGS_MAX);
    }
}
