//! One run: a cluster, the parties, their messages, and what can be chosen next.
//!
//! ```text
//!  queue: oldest message first ──┬─► it goes on                               (what is chosen by default)
//!                                ├─► another one overtakes it, or it is late  (a deviation)
//!                                └─► it is lost, its party dies …             (a fault)
//!  queue empty: leaders are elected ─► time passes ─► what is late comes ─► … ─► over
//! ```
//!
//! What concerns one message is offered only while it is the oldest: done earlier it would come to the same. Time passes
//! only when no message can go on; at first by the shortest pause, then by more than the life of a lock.
//!
//! Not here: which choice is made (`explorer`).

use crate::explorer::Budget;
use crate::parties::Role;
use crate::scenario::{Death, Fault, Scenario, When};
use crate::story::Story;
use base::{ShardId, limits};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use txn::testing::{
    Crossing, MemoryCluster, Message, MessageKind, OnTheWay, PausedClock, Unconfirmed,
};

/// Data shards.
const SHARDS: u32 = 2;
/// Yields that let everybody run until they need a message or time. One does, as long as fewer tasks run in between than
/// [`crate::explorer::EVENT_INTERVAL`].
const SETTLE_YIELDS: usize = 4;
/// How often time passes by the shortest pause before it passes by more than the life of a lock.
const SHORT_PAUSES: u32 = 1;
/// How often time passes before what is late comes, though somebody still waits.
const PAUSES_BEFORE_LATE: u32 = 3;

/// A run under way.
pub struct Stage {
    /// The shards.
    pub cluster: Arc<MemoryCluster>,
    /// What happens.
    pub story: Arc<Story>,
    /// What died by the scenario's will, at which message.
    pub died_at: Option<Message>,
    /// Where messages wait.
    crossing: Arc<Crossing>,
    /// What may go wrong.
    faults: &'static [Fault],
    /// A death that is still to come.
    death: Option<Death>,
    /// Parties that may die or stand still.
    coordinators: BTreeSet<&'static str>,
    /// The dead ones.
    dead: BTreeSet<&'static str>,
    /// The one that stands still: its messages wait.
    stalled: Option<&'static str>,
    /// Messages that come after everything else.
    late: BTreeSet<u64>,
    /// Shards without a quorum, and what the next leader has of their entries.
    fallen: Vec<(ShardId, Unconfirmed)>,
    /// How often time has passed since something late came.
    pauses: u32,
}

/// What can happen next.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A message goes on.
    Deliver(Message),
    /// A message comes after everything else.
    Late(Message),
    /// A message is lost.
    Lose(Message),
    /// The sender of a write does not wait for it any more; it comes after everything else.
    GiveUp(Message),
    /// A party dies.
    Dies(&'static str, OnTheWay),
    /// A party stands still.
    Stalls(&'static str),
    /// A shard gets another leader.
    LeaderMoves(ShardId),
    /// A shard loses its quorum right before a write. The next leader comes at once or when all else is done.
    LeaderFalls(Message, Unconfirmed, Successor),
    /// Leaders are elected.
    Elect,
    /// Time passes.
    TimePasses,
    /// What is late comes.
    LateComes,
}

/// When a fallen leader is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// At once.
    AtOnce,
    /// When no message can go on.
    Later,
}

impl Choice {
    /// Whether it is a fault and not merely another order.
    pub fn is_fault(&self) -> bool {
        match self {
            Choice::Lose(_)
            | Choice::GiveUp(_)
            | Choice::Dies(..)
            | Choice::Stalls(_)
            | Choice::LeaderMoves(_)
            | Choice::LeaderFalls(..) => true,
            Choice::Deliver(_)
            | Choice::Late(_)
            | Choice::Elect
            | Choice::TimePasses
            | Choice::LateComes => false,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |message: &Message| format!("{}: {message}", message.party);
        match self {
            Choice::Deliver(message) => f.write_str(&of(message)),
            Choice::Late(message) => write!(f, "{} is late", of(message)),
            Choice::Lose(message) => write!(f, "{} is lost", of(message)),
            Choice::GiveUp(message) => write!(f, "{} is given up and late", of(message)),
            Choice::Dies(party, OnTheWay::Arrives) => write!(f, "{party} dies"),
            Choice::Dies(party, OnTheWay::Lost) => write!(f, "{party} dies, what it sent is lost"),
            Choice::Stalls(party) => write!(f, "{party} stands still"),
            Choice::LeaderMoves(shard) => write!(f, "shard {} gets another leader", shard.0),
            Choice::LeaderFalls(message, unconfirmed, successor) => {
                write!(f, "{} finds no quorum: {unconfirmed:?}, {successor:?}", of(message))
            }
            Choice::Elect => f.write_str("leaders are elected"),
            Choice::TimePasses => f.write_str("time passes"),
            Choice::LateComes => f.write_str("what is late comes"),
        }
    }
}

impl Stage {
    /// An empty cluster. Runs inside a runtime whose time is paused.
    pub fn new(scenario: &Scenario) -> Stage {
        let clock = Arc::new(PausedClock::start());
        let cluster = MemoryCluster::new(SHARDS, clock).expect("a cluster");
        Stage {
            crossing: Crossing::new(cluster.clone()),
            cluster,
            story: Arc::default(),
            died_at: None,
            faults: scenario.faults,
            death: scenario.death,
            coordinators: BTreeSet::new(),
            dead: BTreeSet::new(),
            stalled: None,
            late: BTreeSet::new(),
            fallen: Vec::new(),
            pauses: 0,
        }
    }

    /// Has parties begin, in this order.
    pub async fn begin(&mut self, parties: &[(&'static str, Role)]) {
        for &(party, role) in parties {
            if role.coordinates() {
                self.coordinators.insert(party);
            }
            crate::parties::begin(&self.crossing, &self.story, party, role);
        }
        self.settle().await;
        self.die_when_due().await;
    }

    /// What can happen next: first what happens by default, then what a budget allows. Nothing when everybody is done.
    pub fn options(&self, budget: Budget) -> Vec<Choice> {
        let queue = self.queue();
        let Some(first) = queue.first() else { return Vec::from_iter(self.when_quiet()) };
        let mut options = vec![Choice::Deliver(first.clone())];
        if budget.deviations > 0 {
            options.extend(queue[1..].iter().cloned().map(Choice::Deliver));
            options.push(Choice::Late(first.clone()));
        }
        if budget.faults > 0 {
            self.faults.iter().for_each(|fault| self.add_faults(*fault, first, &mut options));
        }
        options
    }

    /// Has something happen, and everybody react.
    pub async fn take(&mut self, choice: &Choice) {
        match choice {
            Choice::Deliver(message) => self.crossing.deliver(message.number),
            Choice::Late(message) => {
                self.late.insert(message.number);
            }
            Choice::Lose(message) => self.crossing.lose(message.number),
            Choice::GiveUp(message) => {
                self.crossing.give_up(message.number);
                self.late.insert(message.number);
            }
            Choice::Dies(party, on_the_way) => self.kill(party, *on_the_way),
            Choice::Stalls(party) => self.stalled = Some(*party),
            Choice::LeaderMoves(shard) => self.elect(*shard, Unconfirmed::Kept),
            Choice::LeaderFalls(message, unconfirmed, successor) => {
                let shard = self.cluster.shard(message.shard).expect("it exists");
                shard.replication.lose_quorum();
                self.crossing.deliver(message.number);
                self.settle().await;
                match successor {
                    Successor::AtOnce => self.elect(message.shard, *unconfirmed),
                    Successor::Later => self.fallen.push((message.shard, *unconfirmed)),
                }
            }
            Choice::Elect => {
                for (shard, unconfirmed) in std::mem::take(&mut self.fallen) {
                    self.elect(shard, unconfirmed);
                }
            }
            Choice::TimePasses => self.pass_time().await,
            Choice::LateComes => {
                self.late.clear();
                self.stalled = None;
                self.pauses = 0;
            }
        }
        self.settle().await;
        self.die_when_due().await;
    }

    /// Lets so much time pass that every lock has expired.
    pub async fn outlive_locks(&self) {
        tokio::time::advance(limits::LOCK_TTL * 2).await;
        self.settle().await;
    }

    /// Messages that can go on, oldest first.
    fn queue(&self) -> Vec<Message> {
        let mut messages = self.crossing.messages();
        messages.retain(|message| {
            Some(message.party) != self.stalled && !self.late.contains(&message.number)
        });
        messages
    }

    /// What happens when no message can go on. `None` when everybody is done.
    fn when_quiet(&self) -> Option<Choice> {
        if !self.fallen.is_empty() {
            return Some(Choice::Elect);
        }
        if self.crossing.is_over() {
            return None;
        }
        let somebody_waits = self.crossing.is_executing()
            || self.crossing.pauses().iter().any(|(party, _)| Some(*party) != self.stalled);
        let is_late = !self.late.is_empty() || self.stalled.is_some();
        match is_late && (!somebody_waits || self.pauses >= PAUSES_BEFORE_LATE) {
            true => Some(Choice::LateComes),
            false => Some(Choice::TimePasses),
        }
    }

    /// Adds the faults of a kind that can strike at the oldest message.
    fn add_faults(&self, fault: Fault, first: &Message, options: &mut Vec<Choice>) {
        let party = first.party;
        let lives = self.coordinators.contains(party) && !self.dead.contains(party);
        match (fault, first.kind) {
            (Fault::Loss, MessageKind::Write) => {
                options.push(Choice::Lose(first.clone()));
                options.push(Choice::GiveUp(first.clone()));
            }
            (Fault::Loss, MessageKind::Answer) => options.push(Choice::Lose(first.clone())),
            (Fault::Death, _) if lives => {
                options.push(Choice::Dies(party, OnTheWay::Lost));
                let is_write = |m: &Message| m.party == party && m.kind == MessageKind::Write;
                if self.crossing.messages().iter().any(is_write) {
                    options.push(Choice::Dies(party, OnTheWay::Arrives));
                }
            }
            (Fault::Stall, _) if lives && self.stalled.is_none() => {
                options.push(Choice::Stalls(party));
            }
            (Fault::Leader, MessageKind::Write) => {
                options.push(Choice::LeaderMoves(first.shard));
                for unconfirmed in [Unconfirmed::Kept, Unconfirmed::Lost] {
                    for successor in [Successor::AtOnce, Successor::Later] {
                        let falls = Choice::LeaderFalls(first.clone(), unconfirmed, successor);
                        options.push(falls);
                    }
                }
            }
            (Fault::Loss | Fault::Death | Fault::Stall | Fault::Leader, _) => {}
        }
    }

    /// Lets time pass: everybody is waiting for it.
    async fn pass_time(&mut self) {
        let is_long =
            self.pauses >= SHORT_PAUSES || self.stalled.is_some() || !self.dead.is_empty();
        let shortest = self.crossing.pauses().into_iter().map(|(_, left)| left).min();
        let time = match shortest {
            _ if is_long => limits::LOCK_TTL * 5 / 4,
            Some(left) if !self.crossing.is_executing() => left,
            Some(left) => left.min(limits::ROUTE_RETRY_PAUSE),
            None => limits::ROUTE_RETRY_PAUSE,
        };
        self.pauses += 1;
        // Timers go by whole milliseconds.
        tokio::time::advance(time + Duration::from_millis(1)).await;
    }

    /// Ends a party.
    fn kill(&mut self, party: &'static str, on_the_way: OnTheWay) {
        self.crossing.kill(party, on_the_way);
        self.dead.insert(party);
    }

    /// Carries out the scenario's death when its moment has come.
    async fn die_when_due(&mut self) {
        let Some(death) = self.death else { return };
        let is_it = |message: &&Message| {
            let is_answer = message.kind == MessageKind::Answer;
            (message.party, message.ordinal) == (death.party, death.ordinal)
                && is_answer == (death.when == When::Executed)
        };
        let found = match death.when {
            When::Before => self.queue().first().filter(is_it).cloned(),
            When::Executed => self.crossing.messages().iter().find(is_it).cloned(),
        };
        if found.is_none() {
            return;
        }
        self.died_at = found;
        self.death = None;
        self.kill(death.party, death.on_the_way);
        if death.late {
            let left = self.crossing.messages().into_iter();
            let left = left.filter(|message| message.party == death.party);
            self.late.extend(left.map(|message| message.number));
        }
        self.settle().await;
    }

    /// Gives a shard its next leader.
    fn elect(&self, shard: ShardId, unconfirmed: Unconfirmed) {
        let replication = &self.cluster.shard(shard).expect("it exists").replication;
        replication.depose();
        replication.elect(unconfirmed).expect("the engine works");
    }

    /// Lets everybody run until they need a message or time.
    async fn settle(&self) {
        for _ in 0..SETTLE_YIELDS {
            tokio::task::yield_now().await;
        }
    }
}
