//! What a session remembers: system variables, user variables, counters that functions read.
//!
//! Registry, kinds and defaults are `sysvar`'s; here are the values of one session and the variables
//! whose setting *does* something: sql_mode, time zone, character sets, autocommit, isolation.
//!
//! Everything sits behind one mutex, because expressions read and write variables through a shared
//! reference while their statement runs.

use crate::ast::IsolationLevel;
use crate::catalog::Catalog;
use crate::collation::{self, CollationId};
use crate::context::{EvalContext, Scope, SqlMode, VariableSource};
use crate::function::aes::BlockMode;
use crate::function::locale;
use crate::instance::Instance;
use crate::planner::switch;
use crate::sysvar::{self, Settable, SystemVariable, VariableScope, plain_text};
use crate::types::datetime::TimeZone;
use crate::value::Value;
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Variables of one session.
pub(crate) struct SessionVariables {
    /// Global values.
    instance: Arc<Instance>,
    /// Everything that changes.
    state: Mutex<State>,
}

/// The changing part of [`SessionVariables`].
#[derive(Debug)]
struct State {
    /// Values that were set here, by name; not those with a field below.
    values: BTreeMap<&'static str, Value>,
    /// Global values of when the session began, where they were not the defaults.
    begun: BTreeMap<&'static str, Value>,
    /// User variables by lower-case name.
    users: BTreeMap<String, Value>,
    /// `sql_mode`.
    sql_mode: SqlMode,
    /// `time_zone` as it was set.
    time_zone_name: String,
    /// `time_zone`.
    time_zone: TimeZone,
    /// `autocommit`.
    autocommit: bool,
    /// `transaction_isolation`.
    isolation: IsolationLevel,
    /// `transaction_read_only`.
    read_only: bool,
    /// `character_set_client`.
    client_charset: String,
    /// `character_set_results`; `None` is NULL: no conversion.
    results_charset: Option<String>,
    /// `character_set_connection`.
    connection_charset: String,
    /// `collation_connection`.
    connection_collation: CollationId,
    /// The client announced latin1 at its login and has not said SET NAMES since.
    announced_latin1: bool,
    /// `collation_database` and `character_set_database`.
    database_collation: CollationId,
    /// `timestamp`: NOW() stands still at this Unix time.
    timestamp: Option<f64>,
    /// LAST_INSERT_ID().
    last_insert_id: u64,
    /// FOUND_ROWS().
    found_rows: u64,
    /// ROW_COUNT().
    row_count: i64,
    /// Warnings and errors of the last statement.
    counts: (u64, u64),
}

/// What setting a variable asks the session to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing more.
    None,
    /// autocommit went on: the open transaction is committed.
    Commit,
}

/// A variable's name, and its new global value as text: `None` for DEFAULT, `Some(None)` for NULL.
pub(crate) type GlobalSetting = (&'static str, Option<Option<String>>);

/// Character sets in which a client may talk to us, and the name MySQL shows for them.
fn known_client_charset(name: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 6] = [
        ("utf8mb4", "utf8mb4"),
        ("utf8mb3", "utf8mb3"),
        ("utf8", "utf8mb3"),
        ("ascii", "ascii"),
        ("latin1", "latin1"),
        ("binary", "binary"),
    ];
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, shown)| *shown)
}

fn parse_isolation(name: &str) -> IsolationLevel {
    match name {
        "READ-UNCOMMITTED" => IsolationLevel::ReadUncommitted,
        "READ-COMMITTED" => IsolationLevel::ReadCommitted,
        "SERIALIZABLE" => IsolationLevel::Serializable,
        _ => IsolationLevel::RepeatableRead,
    }
}

impl State {
    /// A value that was set here or globally before; `None` for the default.
    fn own(&self, name: &str) -> Option<&Value> {
        self.values.get(name).or_else(|| self.begun.get(name))
    }
}

impl SessionVariables {
    /// Variables of a new session: the global values.
    pub(crate) fn new(instance: &Arc<Instance>) -> SessionVariables {
        let text = |name: &str| global_text(instance, name);
        let sql_mode = SqlMode::parse(&text("sql_mode")).unwrap_or(SqlMode::DEFAULT);
        let time_zone_name = text("time_zone");
        let time_zone = TimeZone::parse(&time_zone_name).unwrap_or(TimeZone::UTC);
        let isolation = parse_isolation(&text("transaction_isolation"));
        let is_on = |name: &str| global_value(instance, name) != Value::Int(0);
        let (autocommit, read_only) = (is_on("autocommit"), is_on("transaction_read_only"));
        let state = State {
            values: BTreeMap::new(),
            begun: instance.begin_values(),
            users: BTreeMap::new(),
            sql_mode,
            time_zone_name,
            time_zone,
            autocommit,
            isolation,
            read_only,
            client_charset: "utf8mb4".into(),
            results_charset: Some("utf8mb4".into()),
            connection_charset: "utf8mb4".into(),
            connection_collation: CollationId::DEFAULT,
            announced_latin1: false,
            database_collation: CollationId::DEFAULT,
            timestamp: None,
            last_insert_id: 0,
            found_rows: 0,
            row_count: -1,
            counts: (0, 0),
        };
        SessionVariables { instance: instance.clone(), state: Mutex::new(state) }
    }

    /// A context for one statement.
    pub(crate) fn context(
        self: &Arc<Self>,
        session: &super::SessionInfo,
        database: Option<&str>,
        params: Vec<Value>,
        cancel: &Arc<std::sync::atomic::AtomicBool>,
    ) -> EvalContext {
        let config = &self.instance.config;
        let rng = base::Rng::seeded(self.instance.next_seed());
        let mut ctx = EvalContext::new(self.clone(), config.clock.clone(), rng);
        ctx.user = format!("{}@{}", session.user, session.host);
        ctx.current_user = ctx.user.clone();
        ctx.connection_id = u64::from(session.connection_id);
        ctx.database = database.map(str::to_string);
        ctx.version.clone_from(&config.version);
        ctx.statistics = self.instance.catalog.known().statistics().clone();
        ctx.params = params;
        ctx.cancel = cancel.clone();
        let state = self.state.lock();
        ctx.sql_mode = state.sql_mode;
        ctx.time_zone = state.time_zone;
        if let Some(seconds) = state.timestamp {
            ctx.now_unix_micros = (seconds * 1e6) as u64;
        }
        ctx.connection_collation = state.connection_collation;
        ctx.last_insert_id = state.last_insert_id;
        ctx.found_rows = state.found_rows;
        ctx.row_count = state.row_count;
        if let Some(Value::UInt(digits)) = state.own("div_precision_increment") {
            ctx.div_precision_increment = *digits as u8;
        }
        if let Some(Value::Text(name)) = state.own("block_encryption_mode") {
            ctx.block_encryption_mode = BlockMode::of_name(name).unwrap_or(BlockMode::DEFAULT);
        }
        if let Some(Value::Text(name)) = state.own("lc_time_names") {
            ctx.time_names = locale::find(name).unwrap_or_else(locale::english);
        }
        if let Some(Value::UInt(mode)) = state.own("default_week_format") {
            ctx.default_week_format = *mode as u8;
        }
        if let Some(Value::UInt(bytes)) = state.own("group_concat_max_len") {
            ctx.group_concat_max_len = *bytes;
        }
        if let Some(Value::UInt(millis)) = state.own("max_execution_time") {
            ctx.max_execution_millis = *millis;
        }
        if let Some(Value::UInt(rounds)) = state.own("cte_max_recursion_depth") {
            ctx.cte_max_recursion_depth = *rounds;
        }
        ctx
    }

    /// `sql_mode`.
    pub(crate) fn sql_mode(&self) -> SqlMode {
        self.state.lock().sql_mode
    }

    /// `autocommit`.
    pub(crate) fn autocommit(&self) -> bool {
        self.state.lock().autocommit
    }

    /// `transaction_isolation`.
    pub(crate) fn isolation(&self) -> IsolationLevel {
        self.state.lock().isolation
    }

    /// `transaction_read_only`.
    pub(crate) fn read_only(&self) -> bool {
        self.state.lock().read_only
    }

    /// Sets the isolation level and access mode of later transactions.
    pub(crate) fn set_characteristics(
        &self,
        isolation: Option<IsolationLevel>,
        read_only: Option<bool>,
    ) -> Result<()> {
        let mut state = self.state.lock();
        state.isolation = isolation.unwrap_or(state.isolation);
        state.read_only = read_only.unwrap_or(state.read_only);
        Ok(())
    }

    /// Name of the character set that the client sends.
    pub(crate) fn client_charset(&self) -> String {
        self.state.lock().client_charset.clone()
    }

    /// `sql_select_limit`, when it limits anything.
    pub(crate) fn select_limit(&self) -> Option<u64> {
        match self.state.lock().own("sql_select_limit") {
            Some(Value::UInt(limit)) if *limit != u64::MAX => Some(*limit),
            _ => None,
        }
    }

    /// `replica_read`: whether queries are read at followers only; `None` when they are read at leaders.
    pub(crate) fn reads_followers_only(&self) -> Option<bool> {
        match self.system(Some(Scope::Session), "replica_read") {
            Ok(Value::Text(word)) if word == "follower" => Some(false),
            Ok(Value::Text(word)) if word == "follower_only" => Some(true),
            Ok(_) | Err(_) => None,
        }
    }

    /// A numeric variable's value in this session.
    pub(crate) fn number(&self, name: &'static str) -> u64 {
        match self.system(Some(Scope::Session), name) {
            Ok(Value::UInt(number)) => number,
            Ok(Value::Int(number)) => number.max(0) as u64,
            _ => 0,
        }
    }

    /// A variable's value in this session as text.
    pub(crate) fn text(&self, name: &'static str) -> String {
        self.system(Some(Scope::Session), name).map_or_else(|_| String::new(), |v| plain_text(&v))
    }

    /// Whether a flag is on in this session.
    pub(crate) fn is_on(&self, name: &'static str) -> bool {
        self.number(name) != 0
    }

    /// Sets `character_set_database` and `collation_database` with the default database.
    pub(crate) fn set_database(&self, catalog: Option<&Catalog>, name: Option<&str>) {
        let database = name.and_then(|name| catalog?.database(name));
        let collation = database.map_or(CollationId::DEFAULT, |database| database.collation);
        self.state.lock().database_collation = collation;
    }

    /// LAST_INSERT_ID() of later statements.
    pub(crate) fn set_last_insert_id(&self, id: u64) {
        self.state.lock().last_insert_id = id;
    }

    /// ROW_COUNT() of the next statement.
    pub(crate) fn set_row_count(&self, count: i64) {
        self.state.lock().row_count = count;
    }

    /// What ROW_COUNT() answers next.
    pub(crate) fn row_count(&self) -> i64 {
        self.state.lock().row_count
    }

    /// The `sql_mode` of a stored program while it runs, and the session's again when it has ended.
    pub(crate) fn set_sql_mode(&self, mode: SqlMode) {
        self.state.lock().sql_mode = mode;
    }

    /// FOUND_ROWS() of the next statement.
    pub(crate) fn set_found_rows(&self, count: u64) {
        self.state.lock().found_rows = count;
    }

    /// `warning_count` and `error_count`.
    pub(crate) fn set_counts(&self, warnings: u64, errors: u64) {
        self.state.lock().counts = (warnings, errors);
    }

    /// Takes a collation id of the handshake: it sets all three client character sets.
    pub(crate) fn set_client_collation(&self, id: u16) -> Result<()> {
        let collation = collation::connection_collation(id)
            .ok_or_else(|| Error::unknown_charset(format!("collation {id}")))?;
        let charset = known_client_charset(collation.charset())
            .ok_or_else(|| Error::unknown_charset(collation.charset()))?;
        let mut state = self.state.lock();
        state.client_charset = charset.into();
        state.results_charset = Some(charset.into());
        state.connection_charset = charset.into();
        state.connection_collation = collation;
        state.announced_latin1 = collation::is_latin1(id);
        Ok(())
    }

    /// Whether the client's bytes beyond ASCII may well be characters of latin1.
    pub(crate) fn is_client_latin1(&self) -> bool {
        let state = self.state.lock();
        state.announced_latin1 || state.client_charset == "latin1"
    }

    /// SET NAMES.
    pub(crate) fn set_names(&self, charset: Option<&str>, collation: Option<&str>) -> Result<()> {
        let name = charset.unwrap_or("utf8mb4");
        let charset = known_client_charset(name).ok_or_else(|| Error::unknown_charset(name))?;
        let collation = match collation {
            None => collation::connection_charset(charset)?,
            Some(name) => {
                let id = collation::by_name(name)?.id;
                if known_client_charset(id.charset()) != Some(charset) {
                    return Err(Error::collation_charset_mismatch(name, charset));
                }
                id
            }
        };
        let mut state = self.state.lock();
        state.client_charset = charset.into();
        state.results_charset = Some(charset.into());
        state.connection_charset = charset.into();
        state.connection_collation = collation;
        state.announced_latin1 = false;
        Ok(())
    }

    /// SET CHARACTER SET: like SET NAMES, but the connection takes the database's character set.
    pub(crate) fn set_character_set(&self, charset: Option<&str>) -> Result<()> {
        self.set_names(charset, None)?;
        let mut state = self.state.lock();
        state.connection_collation = state.database_collation;
        state.connection_charset = state.database_collation.charset().into();
        Ok(())
    }

    /// Sets a session variable; `None` takes the global value (SET x = DEFAULT).
    pub(crate) fn set_session(
        &self,
        name: &str,
        value: Option<Value>,
        ctx: &EvalContext,
    ) -> Result<Effect> {
        let variable = sysvar::find(name).ok_or_else(|| Error::unknown_variable(name))?;
        if variable.settable == Settable::ReadOnly {
            return Err(Error::read_only_variable(variable.name));
        }
        if variable.scope == VariableScope::Global {
            return Err(Error::global_variable(variable.name));
        }
        let value = value.unwrap_or_else(|| self.instance.global(variable));
        if is_charset(variable.name) {
            self.set_charset_variable(variable, &value)?;
            return Ok(Effect::None);
        }
        if variable.name == "sql_mode" {
            let mode = sql_mode_of(&value)?;
            self.state.lock().sql_mode = mode;
            return Ok(Effect::None);
        }
        let value = self.merged(variable, value, false)?;
        let given = plain_text(&value);
        let (value, moved) =
            variable.accept(value).map_err(|error| accept_error(variable, &given, error))?;
        if moved {
            ctx.warn(Error::truncated_wrong_value(variable.name, given));
        }
        match variable.settable {
            Settable::ReadOnly => Err(Error::read_only_variable(variable.name)),
            Settable::Fixed(why) => {
                if value == self.instance.global(variable) {
                    Ok(Effect::None)
                } else {
                    Err(Error::not_supported(why))
                }
            }
            Settable::Free => {
                self.state.lock().values.insert(variable.name, value);
                Ok(Effect::None)
            }
            Settable::Special => self.set_special(variable, value),
        }
    }

    fn set_special(&self, variable: &SystemVariable, value: Value) -> Result<Effect> {
        let wrong = |value: &Value| {
            Error::wrong_value_for_variable(variable.name, sysvar::show_wrong(value))
        };
        match variable.name {
            "autocommit" => {
                let on = value != Value::Int(0);
                let before = std::mem::replace(&mut self.state.lock().autocommit, on);
                return Ok(if on && !before { Effect::Commit } else { Effect::None });
            }
            "time_zone" => {
                let name = zone_name(&plain_text(&value))?;
                let mut state = self.state.lock();
                state.time_zone = TimeZone::parse(&name)?;
                state.time_zone_name = name;
            }
            "transaction_isolation" | "tx_isolation" => {
                let level = parse_isolation(&plain_text(&value));
                self.set_characteristics(Some(level), None)?;
            }
            "transaction_read_only" | "tx_read_only" => {
                self.set_characteristics(None, Some(value != Value::Int(0)))?;
            }
            "timestamp" => {
                let Value::Double(seconds) = value else { return Err(wrong(&value)) };
                if !(0.0..=4_294_967_295.0).contains(&seconds) {
                    return Err(wrong(&Value::Double(seconds)));
                }
                self.state.lock().timestamp = (seconds != 0.0).then_some(seconds);
            }
            "optimizer_switch" => {
                let Value::Text(given) = &value else { return Err(wrong(&value)) };
                let text = switch::changed(&self.text(variable.name), given)
                    .map_err(|word| Error::wrong_value_for_variable(variable.name, word))?;
                self.state.lock().values.insert(variable.name, Value::Text(text));
            }
            "last_insert_id" | "identity" => {
                let Value::UInt(id) = value else { return Err(wrong(&value)) };
                self.state.lock().last_insert_id = id;
            }
            name => return Err(Error::internal(format!("variable {name} has no setter"))),
        }
        Ok(Effect::None)
    }

    fn set_charset_variable(&self, variable: &SystemVariable, value: &Value) -> Result<()> {
        let text = plain_text(value);
        let wrong = || Error::wrong_value_for_variable(variable.name, sysvar::show_wrong(value));
        let charset = || known_client_charset(&text).ok_or_else(|| Error::unknown_charset(&text));
        match variable.name {
            "character_set_results" if value.is_null() => self.state.lock().results_charset = None,
            _ if value.is_null() => return Err(wrong()),
            "character_set_results" => {
                let charset = charset()?;
                self.state.lock().results_charset = Some(charset.into());
            }
            "character_set_client" => {
                let charset = charset()?;
                self.state.lock().client_charset = charset.into();
            }
            "character_set_connection" => {
                let charset = charset()?;
                let collation = collation::connection_charset(charset)?;
                let mut state = self.state.lock();
                state.connection_charset = charset.into();
                state.connection_collation = collation;
            }
            "collation_connection" => {
                let id = collation::by_name(&text)?.id;
                let charset = known_client_charset(id.charset())
                    .ok_or_else(|| Error::unknown_charset(id.charset()))?;
                let mut state = self.state.lock();
                state.connection_collation = id;
                state.connection_charset = charset.into();
            }
            name => {
                // Of the server or the database: only what they are already.
                let now = self.system(Some(Scope::Session), name)?;
                if !plain_text(&now).eq_ignore_ascii_case(&text) {
                    return Err(Error::not_supported(format!(
                        "another {name}: name the character set in CREATE DATABASE or CREATE TABLE"
                    )));
                }
            }
        }
        Ok(())
    }

    /// What SET GLOBAL or SET PERSIST is to store: the variable's name and its value as text, without one for DEFAULT. `None` when
    /// there is nothing to do, because the value is in force already.
    pub(crate) fn global_setting(
        &self,
        name: &str,
        value: Option<Value>,
        persist: bool,
        ctx: &EvalContext,
    ) -> Result<Option<GlobalSetting>> {
        let variable = sysvar::find(name).ok_or_else(|| Error::unknown_variable(name))?;
        if variable.scope == VariableScope::Session {
            return Err(Error::session_variable(variable.name));
        }
        let now = self.instance.global(variable);
        let is_now = |value: &Value| {
            *value == now || plain_text(value).eq_ignore_ascii_case(&plain_text(&now))
        };
        let stays = matches!(variable.settable, Settable::ReadOnly | Settable::Fixed(_))
            || is_charset(variable.name);
        let Some(given) = value else {
            return Ok((!stays).then_some((variable.stored_name(), None)));
        };
        if stays {
            // Programs set what they need without asking what it is.
            let same = variable.accept(given.clone()).is_ok_and(|(value, _)| is_now(&value));
            return match variable.settable {
                _ if same || is_now(&given) => Ok(None),
                Settable::Fixed(why) => Err(Error::not_supported(why)),
                _ => Err(Error::not_supported(format!(
                    "SET GLOBAL {}: set it in the configuration file of every node",
                    variable.name
                ))),
            };
        }
        let given = self.merged(variable, given, true)?;
        let shown = plain_text(&given);
        let (value, moved) = match variable.name {
            "sql_mode" => (Value::Text(sql_mode_of(&given)?.to_string()), false),
            "time_zone" => (Value::Text(zone_name(&shown)?), false),
            _ => variable.accept(given).map_err(|error| accept_error(variable, &shown, error))?,
        };
        if moved {
            ctx.warn(Error::truncated_wrong_value(variable.name, &shown));
        }
        if is_now(&value) && !persist {
            return Ok(None);
        }
        let text = (!value.is_null()).then(|| plain_text(&value));
        Ok(Some((variable.stored_name(), Some(text))))
    }

    /// A new value of `optimizer_switch`: what it is, but for what was given; other values are as given.
    fn merged(&self, variable: &SystemVariable, given: Value, global: bool) -> Result<Value> {
        match given {
            Value::Text(given) if variable.name == "optimizer_switch" => {
                let now = match global {
                    true => self.instance.global(variable),
                    false => self.session_value(variable),
                };
                Ok(Value::Text(sysvar::switched(&plain_text(&now), &given)?))
            }
            given => Ok(given),
        }
    }

    /// The session's value of a variable that has one.
    fn session_value(&self, variable: &SystemVariable) -> Value {
        let state = self.state.lock();
        let text = |text: &str| Value::Text(text.to_string());
        match variable.name {
            "autocommit" => Value::Int(i64::from(state.autocommit)),
            "sql_mode" => Value::Text(state.sql_mode.to_string()),
            "time_zone" => text(&state.time_zone_name),
            "transaction_isolation" | "tx_isolation" => text(state.isolation.name()),
            "transaction_read_only" | "tx_read_only" => Value::Int(i64::from(state.read_only)),
            "character_set_client" => text(&state.client_charset),
            "character_set_connection" => text(&state.connection_charset),
            "character_set_results" => state.results_charset.as_deref().map_or(Value::Null, text),
            "collation_connection" => text(state.connection_collation.name()),
            "character_set_database" => text(state.database_collation.charset()),
            "collation_database" => text(state.database_collation.name()),
            "last_insert_id" | "identity" => Value::UInt(state.last_insert_id),
            "warning_count" => Value::UInt(state.counts.0),
            "error_count" => Value::UInt(state.counts.1),
            "timestamp" => {
                let now = self.instance.config.clock.unix_micros() as f64 / 1e6;
                Value::Double(state.timestamp.unwrap_or(now))
            }
            name => match state.own(name) {
                Some(value) => value.clone(),
                None => variable.value_of_text(variable.default),
            },
        }
    }

    /// The value that SHOW VARIABLES prints.
    pub(crate) fn shown(&self, variable: &SystemVariable, global: bool) -> String {
        let value = if global || variable.scope == VariableScope::Global {
            self.instance.global(variable)
        } else {
            self.session_value(variable)
        };
        variable.show(&value)
    }
}

/// A variable that names a character set or a collation.
fn is_charset(name: &str) -> bool {
    name.starts_with("character_set_") || name.starts_with("collation_")
}

/// A value of `sql_mode`: names, or their bits.
fn sql_mode_of(value: &Value) -> Result<SqlMode> {
    match value {
        Value::Int(flags) => Ok(SqlMode(*flags as u64).expand()),
        Value::UInt(flags) => Ok(SqlMode(*flags).expand()),
        Value::Text(text) => SqlMode::parse(text),
        other => Err(Error::wrong_value_for_variable("sql_mode", sysvar::show_wrong(other))),
    }
}

/// The name of a time zone as `@@time_zone` shows it: of a place as its database spells it.
fn zone_name(name: &str) -> Result<String> {
    let zone = TimeZone::parse(name)?;
    Ok(if zone.is_place() { zone.to_string() } else { name.to_string() })
}

/// Why a value is not accepted; some variables have an error of their own.
fn accept_error(variable: &SystemVariable, given: &str, error: Error) -> Error {
    match variable.name {
        "lc_time_names" => Error::unknown_locale(given),
        _ => error,
    }
}

fn global_value(instance: &Instance, name: &str) -> Value {
    sysvar::find(name).map_or(Value::Null, |variable| instance.global(variable))
}

fn global_text(instance: &Instance, name: &str) -> String {
    plain_text(&global_value(instance, name))
}

impl VariableSource for SessionVariables {
    fn system(&self, scope: Option<Scope>, name: &str) -> Result<Value> {
        let variable = sysvar::find(name).ok_or_else(|| Error::unknown_variable(name))?;
        match (scope, variable.scope) {
            (Some(Scope::Global), VariableScope::Session) => {
                Err(Error::variable_scope(variable.name, "SESSION"))
            }
            (Some(Scope::Session), VariableScope::Global) => {
                Err(Error::variable_scope(variable.name, "GLOBAL"))
            }
            (Some(Scope::Global), _) | (None, VariableScope::Global) => {
                Ok(self.instance.global(variable))
            }
            (Some(Scope::Session) | None, _) => Ok(self.session_value(variable)),
        }
    }

    fn user(&self, name: &str) -> Value {
        self.state.lock().users.get(&name.to_lowercase()).cloned().unwrap_or(Value::Null)
    }

    fn set_user(&self, name: &str, value: Value) {
        self.state.lock().users.insert(name.to_lowercase(), value);
    }
}

impl std::fmt::Debug for SessionVariables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionVariables")
    }
}
