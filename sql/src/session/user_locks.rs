//! GET_LOCK and its family: locks by name, for applications, over the whole cluster.
//!
//! ```text
//! GET_LOCK('x', t) ─► row lock of 'x' in the meta shard: the line, first come first served, deadlocks (3058)
//!                        └─► row of 'x': held by an owner that lives? ─┬─ no:  becomes ours ─► 1
//!                                                                      └─ yes: look again, until t ─► 0
//! ```
//!
//! The row lock makes others wait in order, but it is in memory and goes with the meta shard's leader. The row is what
//! decides: it is replicated, and names the session that holds the lock. Who finds it held asks that session's node whether
//! the session still lives; the row of one that is gone, or whose node has been silent for `LOCK_OWNER_SILENCE_MAX`, is
//! taken over. So a lock survives any leader, and dies with its session.
//!
//! A session that others took for dead learns it: what it remembers of its locks holds for `USER_LOCK_TRUST`, which is shorter
//! than the silence that others wait for. After that it looks at the rows before its next statement. A lock that is lost is
//! forgotten, the open transaction is rolled back, and the statement answers 9001. Outside of transactions the functions below
//! say themselves what has become of a lock: GET_LOCK waits for it anew, RELEASE_LOCK answers 0 or NULL.
//!
//! These functions have effects and wait, so they are not evaluated like others: they stand in SELECT without FROM, in DO
//! and in SET, where they are run one after the other and replaced by their results. So are those of tokens (`token`), and
//! SLEEP (`sleep`).

use super::connection::Session;
use super::locking::{Locking, WriteView};
use super::{sleep, token};
use crate::ast::{self, ExprKind, Literal, QueryBody, SelectItem, SetItem, SetValue, Statement};
use crate::context::EvalContext;
use crate::instance::Instance;
use crate::sysvar::plain_text;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::{OUTCOME_RETRY_PAUSE, USER_LOCK_LOOK, USER_LOCK_OWNER_LOOK, USER_LOCK_TRUST};
use base::{IndexId, Slot, TableId};
use bytes::Bytes;
use engine::key::KeyBuilder;
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use txn::command::{Expect, LockOwner};
use txn::transaction::Mode;
use txn::{ShardClient, Transaction};

/// Where rows of user locks are (docs/formats.md).
const USER_LOCKS: TableId = TableId(107);
/// Longest name, characters.
const NAME_CHARS_MAX: usize = 64;
/// What stands for "for ever".
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Tries to write a row that others write too.
const WRITE_ATTEMPTS: u32 = 32;

/// The user locks of a session.
#[derive(Default)]
pub(crate) struct UserLocks {
    /// Row locks of all of them; nothing is ever written in it.
    line: Option<Transaction>,
    /// How often each is held.
    held: BTreeMap<String, u64>,
    /// Monotonic time at which all their rows surely named this session.
    looked_at: Duration,
}

/// Who holds a user lock.
struct Holder {
    owner: LockOwner,
    connection: u32,
}

/// A key of a user lock: 0 is its row, 1 its line.
fn key_of(name: &str, kind: u64) -> Bytes {
    let mut key = KeyBuilder::new(USER_LOCKS, IndexId::PRIMARY);
    key.put_bytes(name.as_bytes());
    key.put_u64(kind);
    key.finish(Slot(0))
}

impl Holder {
    fn encode(&self) -> Bytes {
        [&self.owner.0.to_be_bytes()[..], &self.connection.to_be_bytes()].concat().into()
    }

    fn decode(bytes: &[u8]) -> Result<Holder> {
        let corrupt = || Error::storage("a user lock's row is not 12 bytes long".to_string());
        let (owner, connection) = bytes.split_first_chunk().ok_or_else(corrupt)?;
        let connection = connection.try_into().map_err(|_| corrupt())?;
        let owner = LockOwner(u64::from_be_bytes(*owner));
        Ok(Holder { owner, connection: u32::from_be_bytes(connection) })
    }

    /// Whether its session lives; `None` when its node does not say, and has not for a short time only.
    async fn lives(&self, instance: &Instance) -> Option<bool> {
        instance.owner_lives(self.owner).await
    }
}

/// Who holds a lock, alive or not.
async fn holder(client: &Arc<dyn ShardClient>, name: &str) -> Result<Option<Holder>> {
    let mut txn = Transaction::begin(client.clone(), Mode::Latest);
    let row = txn.get(&key_of(name, 0)).await?;
    row.map(|row| Holder::decode(&row)).transpose()
}

/// Changes the row of a lock if it is as `expected`; `false` when it is not.
async fn change(
    client: &Arc<dyn ShardClient>,
    name: &str,
    expected: impl Fn(Option<&Holder>) -> bool,
    to: Option<Holder>,
) -> Result<bool> {
    let key = key_of(name, 0);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = Transaction::begin(client.clone(), Mode::Latest);
        let row = txn.get(&key).await?;
        let now = row.map(|row| Holder::decode(&row)).transpose()?;
        if !expected(now.as_ref()) {
            return Ok(false);
        }
        let expect = match now {
            Some(_) => txn.expect_unchanged(&key),
            None => Expect::Absent,
        };
        match &to {
            Some(to) => txn.put(key.clone(), to.encode(), expect)?,
            None => txn.delete(key.clone(), expect)?,
        }
        match txn.commit().await {
            Ok(_) => return Ok(true),
            Err(txn::Error::WriteConflict { .. } | txn::Error::AlreadyExists { .. })
                if attempt < WRITE_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The function that a call names, if it is of this family or that of tokens.
fn function_of(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 5] =
        ["get_lock", "release_lock", "release_all_locks", "is_free_lock", "is_used_lock"];
    let mut all = NAMES.into_iter().chain(token::FUNCTIONS);
    all.find(|known| known.eq_ignore_ascii_case(name))
}

/// Calls of the family in an expression, in the order of their evaluation.
fn calls<'e>(expr: &'e mut ast::Expr, found: &mut Vec<&'e mut ast::Expr>) {
    if let ExprKind::Function { database: None, name, .. } = &expr.kind
        && function_of(name).is_some()
    {
        return found.push(expr);
    }
    match &mut expr.kind {
        ExprKind::Function { args, .. } => args.iter_mut().for_each(|arg| calls(arg, found)),
        ExprKind::Unary { operand, .. }
        | ExprKind::Is { operand, .. }
        | ExprKind::Cast { operand, .. } => calls(operand, found),
        ExprKind::Binary { left, right, .. } => {
            calls(left, found);
            calls(right, found);
        }
        _ => {}
    }
}

/// The calls in the select list of a query without tables.
fn calls_of_query(query: &mut ast::Query) -> Vec<&mut ast::Expr> {
    let mut found = Vec::new();
    if let QueryBody::Select(select) = &mut query.body
        && select.from.is_empty()
    {
        let once = sleep::is_run_once(select);
        for item in &mut select.items {
            if let SelectItem::Expr { expr, alias, text } = item {
                let sleeps = once && sleep::is_call(expr);
                if (sleeps || has_call(expr)) && alias.is_none() {
                    // The result names its column as the call would.
                    *alias = Some(text.0.clone());
                }
                match sleeps {
                    true => found.push(expr),
                    false => calls(expr, &mut found),
                }
            }
        }
    }
    found
}

/// Whether a query calls one of them where they are run.
pub(crate) fn is_used(query: &ast::Query) -> bool {
    let QueryBody::Select(select) = &query.body else { return false };
    let once = sleep::is_run_once(select);
    let is_one = |expr: &ast::Expr| (once && sleep::is_call(expr)) || has_call(expr);
    let calls_one =
        |item: &SelectItem| matches!(item, SelectItem::Expr { expr, .. } if is_one(expr));
    select.from.is_empty() && select.items.iter().any(calls_one)
}

/// Whether [`calls`] finds any.
fn has_call(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ExprKind::Function { database: None, name, .. } if function_of(name).is_some() => true,
        ExprKind::Function { args, .. } => args.iter().any(has_call),
        ExprKind::Unary { operand, .. }
        | ExprKind::Is { operand, .. }
        | ExprKind::Cast { operand, .. } => has_call(operand),
        ExprKind::Binary { left, right, .. } => has_call(left) || has_call(right),
        _ => false,
    }
}

/// Whether a statement calls functions of user locks, which look at the rows themselves.
fn calls_in(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => is_used(query),
        Statement::Do(exprs) => exprs.iter().any(has_call),
        Statement::Set(items) => items.iter().any(|item| match item {
            SetItem::User { value, .. } | SetItem::System { value: SetValue::Expr(value), .. } => {
                has_call(value)
            }
            _ => false,
        }),
        _ => false,
    }
}

/// Whether a statement may run although a user lock is lost: it changes no row, or runs another statement that is asked then.
fn runs_without_user_locks(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Rollback(_)
            | Statement::Show(_)
            | Statement::Kill { .. }
            | Statement::Execute { .. }
    )
}

/// Others have taken over a user lock of this session.
fn user_locks_lost(names: &[String]) -> Error {
    let names = names.join(", ");
    Error::unavailable(format!(
        "this node was silent, so others gave up the user locks of this session ({names}), and its transaction is rolled \
         back: take them again with GET_LOCK"
    ))
}

impl Session {
    /// Whether so much time has passed that others may have taken over a user lock of this session.
    pub(crate) fn may_have_lost_user_locks(&self) -> bool {
        let UserLocks { held, looked_at, .. } = &self.user_locks;
        !held.is_empty() && self.instance.config.clock.monotonic() >= *looked_at + USER_LOCK_TRUST
    }

    /// Looks whether the user locks of this session still stand, when that is not known any more.
    ///
    /// # Errors
    /// 9001 when one does not, or when the meta shard does not say: the statement must not run.
    pub(crate) async fn check_user_locks(&mut self, statement: &Statement) -> Result<()> {
        if !self.may_have_lost_user_locks() || runs_without_user_locks(statement) {
            return Ok(());
        }
        if calls_in(statement) && !self.transaction.is_open() {
            return Ok(());
        }
        let began = self.instance.config.clock.monotonic();
        let names: Vec<String> = self.user_locks.held.keys().cloned().collect();
        let mut lost = Vec::new();
        for name in names {
            if !self.holds_user_lock(&name).await? {
                lost.push(name);
            }
        }
        if lost.is_empty() {
            self.user_locks.looked_at = began;
            return Ok(());
        }
        self.forget_user_locks(&lost).await?;
        Err(user_locks_lost(&lost))
    }

    /// Whether the row of a lock names this session.
    async fn holds_user_lock(&self, name: &str) -> Result<bool> {
        let owner = self.user_locks.line.as_ref().and_then(Transaction::lock_owner);
        let row = holder(&self.instance.config.client, name).await?;
        Ok(owner.is_some() && row.map(|row| row.owner) == owner)
    }

    /// Forgets locks that others have taken over, and the open transaction with them, which has counted on them.
    ///
    /// # Errors
    /// 9001 when there was a transaction.
    async fn forget_user_locks(&mut self, lost: &[String]) -> Result<()> {
        let UserLocks { line, held, .. } = &mut self.user_locks;
        for name in lost {
            held.remove(name);
        }
        let was_open = self.transaction.is_open();
        let error = user_locks_lost(lost);
        if was_open {
            self.transaction.lose(&error);
        }
        if let Some(line) = line {
            for name in lost {
                // A leader that is not found has given up the place in the line, or gives it up with the session.
                let _ = line.unlock(&key_of(name, 1)).await;
            }
        }
        if was_open { Err(error) } else { Ok(()) }
    }

    /// A query with the calls in it replaced by what they came to; `None` when there are none.
    pub(crate) async fn run_user_locks(
        &mut self,
        query: &ast::Query,
        params: &[Value],
    ) -> Result<Option<ast::Query>> {
        if !is_used(query) {
            return Ok(None);
        }
        let mut query = query.clone();
        let calls = calls_of_query(&mut query);
        self.run_calls(calls, params).await?;
        Ok(Some(query))
    }

    /// The same for expressions of DO and SET.
    pub(crate) async fn run_user_locks_in(
        &mut self,
        exprs: &[ast::Expr],
        params: &[Value],
    ) -> Result<Option<Vec<ast::Expr>>> {
        if !exprs.iter().any(|expr| sleep::is_call(expr) || has_call(expr)) {
            return Ok(None);
        }
        let mut exprs = exprs.to_vec();
        let mut found = Vec::new();
        for expr in &mut exprs {
            match sleep::is_call(expr) {
                true => found.push(expr),
                false => calls(expr, &mut found),
            }
        }
        self.run_calls(found, params).await?;
        Ok(Some(exprs))
    }

    /// Runs calls one after the other.
    async fn run_calls(&mut self, found: Vec<&mut ast::Expr>, params: &[Value]) -> Result<()> {
        let mut killed = false;
        for call in found {
            killed |= self.run_call(call, params).await?;
        }
        if killed {
            if self.is_killed() {
                return Err(Error::interrupted());
            }
            self.forget_kill();
        }
        Ok(())
    }

    /// Runs one call and puts its result in its place; whether KILL has ended a SLEEP.
    async fn run_call(&mut self, call: &mut ast::Expr, params: &[Value]) -> Result<bool> {
        let sleeps = sleep::is_call(call);
        let ExprKind::Function { name, args, .. } = &call.kind else { return Ok(false) };
        let function = if sleeps { Some("sleep") } else { function_of(name) };
        let Some(function) = function else { return Ok(false) };
        let wanted = match function {
            "get_lock" => 2,
            "release_all_locks" | "gtid" => 0,
            _ => 1,
        };
        if args.len() != wanted {
            return Err(Error::wrong_parameter_count(name));
        }
        let values = Box::pin(self.evaluate(args, params.to_vec())).await?;
        if let (true, Some(seconds)) = (sleeps, values.first()) {
            return self.run_sleep(call, seconds).await;
        }
        if token::FUNCTIONS.contains(&function) {
            call.kind = ExprKind::Literal(self.run_token_function(values.first()).await?);
            return Ok(false);
        }
        let name = match values.first() {
            None => String::new(),
            Some(Value::Null) => return Err(Error::wrong_user_lock_name("NULL")),
            Some(value) => plain_text(value).to_lowercase(),
        };
        if wanted > 0 && (name.is_empty() || name.chars().count() > NAME_CHARS_MAX) {
            return Err(Error::wrong_user_lock_name(&name));
        }
        let result = match function {
            "get_lock" => Some(u64::from(self.get_lock(&name, &values[1]).await?)),
            "release_lock" => self.release_lock(&name).await?.map(u64::from),
            "release_all_locks" => Some(self.release_all_locks().await?),
            "is_free_lock" => Some(u64::from(self.lock_user(&name).await?.is_none())),
            _ => self.lock_user(&name).await?.map(u64::from),
        };
        call.kind = ExprKind::Literal(match result {
            Some(number) => Literal::Integer(number),
            None => Literal::Null,
        });
        Ok(false)
    }

    /// Takes a lock; `false` when it was not free in time.
    async fn get_lock(&mut self, name: &str, timeout: &Value) -> Result<bool> {
        if self.user_locks.held.contains_key(name) {
            if self.holds_user_lock(name).await? {
                *self.user_locks.held.entry(name.to_string()).or_default() += 1;
                return Ok(true);
            }
            self.forget_user_locks(&[name.to_string()]).await?;
        }
        let wait = match plain_text(timeout).parse::<f64>().ok() {
            Some(seconds) if seconds >= 0.0 => Duration::from_secs_f64(seconds.min(1e8)),
            Some(_) => FOR_EVER,
            None => Duration::ZERO,
        };
        let (instance, clock) = (self.instance.clone(), self.instance.config.clock.clone());
        let _waiting = self.entry.waits("User lock");
        let ctx = self.context(Vec::new());
        let until = clock.monotonic().saturating_add(wait);
        let client = instance.config.client.clone();
        let line = self
            .user_locks
            .line
            .get_or_insert_with(|| Transaction::begin(client.clone(), Mode::Latest));
        match stand_in_line(&instance, line, name, wait, &ctx).await {
            Ok(()) => {}
            Err(error) if error.code == Error::lock_wait_timeout().code => return Ok(false),
            Err(error) if error.code == Error::deadlock().code => {
                return Err(Error::user_lock_deadlock());
            }
            Err(error) => return Err(error),
        }
        let owner = line.lock_owner().ok_or_else(|| Error::internal("a lock without owner"))?;
        match take_row(&instance, name, owner, self.info.connection_id, until, &ctx).await {
            Ok(Some(taken_at)) => {
                if self.user_locks.held.is_empty() {
                    self.user_locks.looked_at = taken_at;
                }
                self.user_locks.held.insert(name.to_string(), 1);
                Ok(true)
            }
            outcome => {
                line.unlock(&key_of(name, 1)).await?;
                outcome.map(|_| false)
            }
        }
    }

    /// Gives a lock back: `None` when nobody holds it, `false` when somebody else does.
    async fn release_lock(&mut self, name: &str) -> Result<Option<bool>> {
        let Some(count) = self.user_locks.held.get(name).copied() else {
            return Ok(self.lock_user(name).await?.map(|_| false));
        };
        let was_held = match count {
            1 => self.remove_user_lock(name).await?,
            _ => self.holds_user_lock(name).await?,
        };
        if !was_held {
            self.forget_user_locks(&[name.to_string()]).await?;
            return Ok(self.lock_user(name).await?.map(|_| false));
        }
        let UserLocks { line, held, .. } = &mut self.user_locks;
        match count {
            1 => {
                held.remove(name);
                if let Some(line) = line {
                    line.unlock(&key_of(name, 1)).await?;
                }
            }
            _ => {
                held.insert(name.to_string(), count - 1);
            }
        }
        Ok(Some(true))
    }

    /// Removes the row of a lock; `false` when it does not name this session.
    async fn remove_user_lock(&self, name: &str) -> Result<bool> {
        let Some(owner) = self.user_locks.line.as_ref().and_then(Transaction::lock_owner) else {
            return Ok(false);
        };
        let mine = |row: Option<&Holder>| row.is_some_and(|row| row.owner == owner);
        change(&self.instance.config.client, name, mine, None).await
    }

    /// Gives all locks back; how many there were, each as often as it was taken. Those that others have taken over do not
    /// count.
    async fn release_all_locks(&mut self) -> Result<u64> {
        let held: Vec<(String, u64)> = self.user_locks.held.clone().into_iter().collect();
        let mut count = 0;
        for (name, times) in held {
            self.user_locks.held.insert(name.clone(), 1);
            if self.release_lock(&name).await? == Some(true) {
                count += times;
            }
        }
        Ok(count)
    }

    /// The connection that holds a lock.
    async fn lock_user(&self, name: &str) -> Result<Option<u32>> {
        let Some(holder) = holder(&self.instance.config.client, name).await? else {
            return Ok(None);
        };
        // A node that does not say may well hold it.
        let lives = holder.lives(&self.instance).await.unwrap_or(true);
        Ok(lives.then_some(holder.connection))
    }

    /// Gives up all locks at the end of the session, without waiting for it.
    pub(crate) fn drop_user_locks(&mut self) {
        let UserLocks { line, held, .. } = std::mem::take(&mut self.user_locks);
        let (Some(line), false) = (line, held.is_empty()) else { return };
        let client = self.instance.config.client.clone();
        let work = client.clone();
        client.spawn(Box::pin(async move {
            let owner = line.lock_owner();
            for name in held.into_keys() {
                let mine = |row: Option<&Holder>| row.map(|row| row.owner) == owner;
                // A row that stays names an owner that is gone: whoever wants the lock takes it over.
                let _ = change(&work, &name, mine, None).await;
            }
            drop(line);
        }));
    }
}

/// Waits for the head of the line, and asks meanwhile whether the holder lives: should its node be silent, the time counts.
async fn stand_in_line(
    instance: &Instance,
    line: &mut Transaction,
    name: &str,
    wait: Duration,
    ctx: &EvalContext,
) -> Result<()> {
    let locking = Locking::exclusive(WriteView::Fresh, wait);
    let place = [key_of(name, 1)];
    let taken = std::pin::pin!(locking.take_any(line, &place, ctx));
    let asked = std::pin::pin!(ask_for_holder(instance, name));
    match select(taken, asked).await {
        Either::Left((taken, _)) => taken.map(drop),
        Either::Right((never, _)) => match never {},
    }
}

/// Asks now and then whether the holder of a lock lives; the instance remembers a node that does not answer.
async fn ask_for_holder(instance: &Instance, name: &str) -> Infallible {
    let client = &instance.config.client;
    let mut pause = USER_LOCK_LOOK;
    loop {
        client.pause(pause).await;
        pause = USER_LOCK_OWNER_LOOK;
        if let Ok(Some(holder)) = holder(client, name).await {
            holder.lives(instance).await;
        }
    }
}

/// Makes the row of a lock name this owner, once no other one that lives has it: when it did that, monotonic, or not at all in
/// time.
async fn take_row(
    instance: &Instance,
    name: &str,
    owner: LockOwner,
    connection: u32,
    until: Duration,
    ctx: &EvalContext,
) -> Result<Option<Duration>> {
    let (client, clock) = (&instance.config.client, &instance.config.clock);
    loop {
        ctx.check_cancel()?;
        let other = holder(client, name).await?.filter(|holder| holder.owner != owner);
        let (other, now) = match other {
            None => (None, clock.monotonic()),
            Some(other) => {
                let lives = other.lives(instance).await;
                let now = clock.monotonic();
                match lives {
                    Some(false) => (Some(other.owner), now),
                    Some(true) | None => {
                        if now >= until {
                            return Ok(None);
                        }
                        client.pause(USER_LOCK_LOOK.min(until - now)).await;
                        continue;
                    }
                }
            }
        };
        let free = |row: Option<&Holder>| {
            row.is_none_or(|row| row.owner == owner || Some(row.owner) == other)
        };
        if change(client, name, free, Some(Holder { owner, connection })).await? {
            return Ok(Some(now));
        }
        if now >= until {
            return Ok(None);
        }
        client.pause(OUTCOME_RETRY_PAUSE).await;
    }
}
