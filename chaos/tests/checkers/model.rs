//! Small correct databases, one per checker, and a driver that runs clients against them in random order.
//!
//! An operation is called, begins (sees a state), takes effect and is answered, each at a random moment. Some
//! are refused, of some the client never learns what came of them: those take effect late or never.

use base::Rng;
use chaos::history::{Action, Event, Failure, Op, Phase};
use std::collections::BTreeMap;

/// A database.
pub trait Model: Clone + Default {
    /// A random operation; `unique` is a number that was never used.
    fn call(&self, rng: &mut Rng, unique: i64) -> Op;
    /// Takes effect and fills in what was read. `begun` is the state that it began with; `None` refuses.
    fn commit(&mut self, begun: &Self, op: &Op) -> Option<Op>;
    /// Reads of everything.
    fn final_reads(&self) -> Vec<Op>;
}

/// Clients at once.
const CLIENTS: u64 = 5;

/// An operation under way.
struct Pending<M> {
    op: Op,
    begun: Option<M>,
    /// The answer that is on its way.
    answer: Option<(Phase, Op)>,
}

/// A database, its clients and what they have told.
pub struct World<M> {
    pub database: M,
    pub history: Vec<Event>,
    pub rng: Rng,
    clients: BTreeMap<u64, Pending<M>>,
    /// Operations that nobody waits for any more.
    abandoned: Vec<Op>,
    unique: i64,
    next_client: u64,
}

impl<M: Model> World<M> {
    pub fn new(seed: u64) -> World<M> {
        World {
            database: M::default(),
            history: Vec::new(),
            rng: Rng::seeded(seed),
            clients: BTreeMap::new(),
            abandoned: Vec::new(),
            unique: 0,
            next_client: 0,
        }
    }

    /// A number that was never used.
    pub fn unique(&mut self) -> i64 {
        self.unique += 1;
        self.unique
    }

    /// Lets clients and database take so many random steps.
    pub fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if (self.clients.len() as u64) < CLIENTS && self.rng.chance(0.4) {
                let unique = self.unique();
                let op = self.database.call(&mut self.rng, unique);
                self.next_client += 1;
                let client = self.next_client;
                self.record(client, Phase::Invoke, &op);
                self.clients.insert(client, Pending { op, begun: None, answer: None });
            } else if !self.abandoned.is_empty() && self.rng.chance(0.1) {
                let op =
                    self.abandoned.remove(self.rng.below(self.abandoned.len() as u64) as usize);
                let begun = self.database.clone();
                self.database.commit(&begun, &op);
            } else {
                self.advance();
            }
        }
    }

    /// Answers everything that is under way.
    pub fn settle(&mut self) {
        while !self.clients.is_empty() {
            self.advance();
        }
    }

    /// One whole operation by a client of its own, with nothing else under way.
    pub fn alone(&mut self, op: Op) -> Op {
        let begun = self.database.clone();
        let answer = self.database.commit(&begun, &op).expect("nothing conflicts");
        self.told(&op, Phase::Ok, &answer);
        answer
    }

    /// Records an operation that a client was told about, whatever the database did.
    pub fn told(&mut self, called: &Op, phase: Phase, answer: &Op) {
        self.next_client += 1;
        self.record(self.next_client, Phase::Invoke, called);
        self.record(self.next_client, phase, answer);
    }

    /// Reads everything and hands over the history.
    pub fn finish(mut self) -> Vec<Event> {
        self.settle();
        for op in self.database.final_reads() {
            self.alone(op);
        }
        self.history
    }

    fn advance(&mut self) {
        let all: Vec<u64> = self.clients.keys().copied().collect();
        let Some(client) = self.rng.pick(&all).copied() else { return };
        let Some(mut pending) = self.clients.remove(&client) else { return };
        if let Some((phase, op)) = pending.answer {
            return self.record(client, phase, &op);
        }
        let Some(begun) = pending.begun.take() else {
            pending.begun = Some(self.database.clone());
            self.clients.insert(client, pending);
            return;
        };
        if self.rng.chance(0.05) {
            pending.answer = Some((Phase::Fail, pending.op.clone()));
        } else if self.rng.chance(0.04) {
            self.record(client, Phase::Info, &pending.op);
            self.abandoned.push(pending.op);
            return;
        } else {
            pending.answer = Some(match self.database.commit(&begun, &pending.op) {
                Some(answer) => (Phase::Ok, answer),
                None => (Phase::Fail, pending.op.clone()),
            });
        }
        self.clients.insert(client, pending);
    }

    fn record(&mut self, process: u64, phase: Phase, op: &Op) {
        let error = matches!(phase, Phase::Fail | Phase::Info)
            .then(|| Failure { code: 0, message: String::new() });
        let time = self.history.len() as u64;
        self.history.push(Event { time, process, phase, op: op.clone(), error });
    }
}

/// Registers.
#[derive(Clone, Default)]
pub struct Registers(pub BTreeMap<i64, i64>);

impl Model for Registers {
    fn call(&self, rng: &mut Rng, unique: i64) -> Op {
        let key = rng.below(2) as i64;
        match rng.below(4) {
            0 => Op::Write { key, value: unique },
            1 => {
                let from = self.0.get(&key).copied().unwrap_or_default();
                Op::Cas { key, from, to: unique, swapped: None }
            }
            _ => Op::Read { key, value: None },
        }
    }

    fn commit(&mut self, _begun: &Self, op: &Op) -> Option<Op> {
        Some(match *op {
            Op::Write { key, value } => {
                self.0.insert(key, value);
                op.clone()
            }
            Op::Cas { key, from, to, .. } => {
                let swapped = self.0.get(&key) == Some(&from);
                if swapped {
                    self.0.insert(key, to);
                }
                Op::Cas { key, from, to, swapped: Some(swapped) }
            }
            Op::Read { key, .. } => Op::Read { key, value: self.0.get(&key).copied() },
            _ => return None,
        })
    }

    fn final_reads(&self) -> Vec<Op> {
        self.0.keys().map(|key| Op::Read { key: *key, value: None }).collect()
    }
}

/// Sets.
#[derive(Clone, Default)]
pub struct Sets(pub BTreeMap<i64, Vec<i64>>);

impl Model for Sets {
    fn call(&self, rng: &mut Rng, unique: i64) -> Op {
        let key = rng.below(2) as i64;
        if rng.chance(0.5) {
            Op::Add { key, element: unique }
        } else {
            Op::ReadSet { key, elements: None }
        }
    }

    fn commit(&mut self, _begun: &Self, op: &Op) -> Option<Op> {
        Some(match *op {
            Op::Add { key, element } => {
                self.0.entry(key).or_default().push(element);
                op.clone()
            }
            Op::Remove { key, element } => {
                self.0.entry(key).or_default().retain(|other| *other != element);
                op.clone()
            }
            Op::ReadSet { key, .. } => {
                Op::ReadSet { key, elements: Some(self.0.get(&key).cloned().unwrap_or_default()) }
            }
            _ => return None,
        })
    }

    fn final_reads(&self) -> Vec<Op> {
        (0..2).map(|key| Op::ReadSet { key, elements: None }).collect()
    }
}

/// Balances of three accounts.
#[derive(Clone)]
pub struct Accounts(pub BTreeMap<i64, i64>);

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts((0..3).map(|account| (account, 10)).collect())
    }
}

impl Model for Accounts {
    fn call(&self, rng: &mut Rng, _unique: i64) -> Op {
        let from = rng.below(3) as i64;
        if rng.chance(0.5) {
            Op::Transfer { from, to: (from + 1) % 3, amount: 1 + rng.below(4) as i64 }
        } else {
            Op::ReadAccounts { balances: None }
        }
    }

    fn commit(&mut self, begun: &Self, op: &Op) -> Option<Op> {
        match *op {
            Op::Transfer { from, to, amount } => {
                let conflict = [from, to].iter().any(|account| begun.0[account] != self.0[account]);
                if conflict || self.0[&from] < amount {
                    return None;
                }
                *self.0.get_mut(&from)? -= amount;
                *self.0.get_mut(&to)? += amount;
                Some(op.clone())
            }
            Op::ReadAccounts { .. } => {
                Some(Op::ReadAccounts { balances: Some(begun.0.clone().into_iter().collect()) })
            }
            _ => None,
        }
    }

    fn final_reads(&self) -> Vec<Op> {
        vec![Op::ReadAccounts { balances: None }]
    }
}

/// Counters.
#[derive(Clone, Default)]
pub struct Counters(pub BTreeMap<i64, i64>);

impl Model for Counters {
    fn call(&self, rng: &mut Rng, _unique: i64) -> Op {
        let key = rng.below(2) as i64;
        if rng.chance(0.5) { Op::Increment { key } } else { Op::ReadCounter { key, value: None } }
    }

    fn commit(&mut self, _begun: &Self, op: &Op) -> Option<Op> {
        match *op {
            Op::Increment { key } => {
                *self.0.entry(key).or_default() += 1;
                Some(op.clone())
            }
            Op::ReadCounter { key, .. } => {
                Some(Op::ReadCounter { key, value: self.0.get(&key).copied() })
            }
            _ => None,
        }
    }

    fn final_reads(&self) -> Vec<Op> {
        (0..2).map(|key| Op::ReadCounter { key, value: None }).collect()
    }
}

/// Rows with versions.
#[derive(Clone, Default)]
pub struct Rows(pub BTreeMap<i64, i64>);

pub const TABLE: &str = "rows";

impl Model for Rows {
    fn call(&self, _rng: &mut Rng, unique: i64) -> Op {
        Op::Put { table: TABLE.into(), key: unique, version: 1 }
    }

    fn commit(&mut self, _begun: &Self, op: &Op) -> Option<Op> {
        match op {
            Op::Put { key, version, .. } => {
                self.0.insert(*key, *version);
                Some(op.clone())
            }
            Op::ReadRows { table, .. } => Some(Op::ReadRows {
                table: table.clone(),
                rows: Some(self.0.clone().into_iter().collect()),
            }),
            _ => None,
        }
    }

    fn final_reads(&self) -> Vec<Op> {
        vec![Op::ReadRows { table: TABLE.into(), rows: None }]
    }
}

/// Values of one series, each one more than the last; value `n` is committed at the time `n · TICK`.
#[derive(Clone, Default)]
pub struct Series(pub Vec<i64>);

const TICK: u64 = 10;

impl Model for Series {
    fn call(&self, rng: &mut Rng, _unique: i64) -> Op {
        if rng.chance(0.4) {
            return Op::Next { key: 0, value: None };
        }
        let now = (self.0.len() as u64 + 1) * TICK;
        let at = rng.chance(0.5).then(|| rng.below(now));
        Op::ReadValues { key: 0, at, values: None }
    }

    fn commit(&mut self, begun: &Self, op: &Op) -> Option<Op> {
        match *op {
            Op::Next { key, .. } => {
                if begun.0.len() != self.0.len() {
                    return None;
                }
                let value = self.0.len() as i64 + 1;
                self.0.push(value);
                Some(Op::Next { key, value: Some(value) })
            }
            Op::ReadValues { key, at: None, .. } => {
                Some(Op::ReadValues { key, at: None, values: Some(begun.0.clone()) })
            }
            Op::ReadValues { key, at: Some(at), .. } => {
                let then = self.0.iter().copied().filter(|value| *value as u64 * TICK <= at);
                Some(Op::ReadValues { key, at: Some(at), values: Some(then.collect()) })
            }
            _ => None,
        }
    }

    fn final_reads(&self) -> Vec<Op> {
        vec![Op::ReadValues { key: 0, at: None, values: None }]
    }
}

/// Lists under snapshot isolation: reads from the state at the begin, the first to commit wins.
#[derive(Clone, Default)]
pub struct Lists(pub BTreeMap<i64, Vec<i64>>);

impl Lists {
    pub fn of(&self, key: i64) -> Vec<i64> {
        self.0.get(&key).cloned().unwrap_or_default()
    }
}

impl Model for Lists {
    fn call(&self, rng: &mut Rng, unique: i64) -> Op {
        let count = 1 + rng.below(3) as i64;
        let actions = (0..count)
            .map(|step| {
                let key = rng.below(3) as i64;
                if rng.chance(0.5) {
                    Action::Append(key, unique * 10 + step)
                } else {
                    Action::Read(key, None)
                }
            })
            .collect();
        Op::Txn { actions }
    }

    fn commit(&mut self, begun: &Self, op: &Op) -> Option<Op> {
        let Op::Txn { actions } = op else { return None };
        let mut view = begun.clone();
        let mut answered = Vec::new();
        for action in actions {
            answered.push(match action {
                Action::Append(key, element) => {
                    if begun.of(*key) != self.of(*key) {
                        return None;
                    }
                    view.0.entry(*key).or_default().push(*element);
                    action.clone()
                }
                Action::Read(key, _) => Action::Read(*key, Some(view.of(*key))),
            });
        }
        for action in actions {
            if let Action::Append(key, _) = action {
                self.0.insert(*key, view.of(*key));
            }
        }
        Some(Op::Txn { actions: answered })
    }

    fn final_reads(&self) -> Vec<Op> {
        (0..3).map(|key| Op::Txn { actions: vec![Action::Read(key, None)] }).collect()
    }
}
