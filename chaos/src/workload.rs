//! Workloads: clients of a running cluster that write down what they were told.
//!
//! ```text
//! Workload::prepare ── tables, once
//! Workload::run ────── one call per client, until `Stop`; errors send the client to another node
//! Workload::final_read ─ after healing: what is there now
//! Workload::check ──── the history's verdict
//! ```
//!
//! A workload knows nothing of faults: it needs addresses of nodes and goes on whatever happens to them.
//! [`Run`] drives several at once, each with its own history file.
//!
//! Invariants:
//! 1. Each client has one operation under way and one connection.
//! 2. Every wait is bounded by [`Target::statement_wait`]; a statement without answer is `info` and its
//!    connection is given up.
//! 3. An operation is `fail` only when the server says so with a code of [`certainly_not_executed`], or
//!    when it was a transaction whose COMMIT had not been sent.

mod append;
pub mod ballast;
mod bank;
mod client;
mod counter;
mod ddl;
mod keys;
mod ledger;
mod monotonic;
pub mod probe;
mod register;
mod run;
mod sequential;
mod set;

pub use client::certainly_not_executed;
pub use run::{Finished, Run};

use crate::history::check::Verdict;
use crate::history::{Event, Failure, Recorder};
use async_trait::async_trait;
use base::SharedClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a client waits for the answer of a statement: longer than every wait of the server for rows and shards.
const STATEMENT_WAIT: Duration = Duration::from_secs(6);
/// Operations per second of one client.
const RATE: u32 = 50;

/// The cluster under test, as a client knows it.
#[derive(Clone)]
pub struct Target {
    /// One entry per node: where it answers MySQL, and as whom to log in.
    pub nodes: Vec<mysql_async::Opts>,
    /// All waits and times go through it.
    pub clock: SharedClock,
    /// How long a client waits for the answer of a statement.
    pub statement_wait: Duration,
    /// Operations per second that one client starts at most; not zero.
    pub rate: u32,
}

impl Target {
    /// A target with the usual waits.
    pub fn new(nodes: Vec<mysql_async::Opts>, clock: SharedClock) -> Target {
        Target { nodes, clock, statement_wait: STATEMENT_WAIT, rate: RATE }
    }
}

/// Tells clients to end. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    set: Arc<AtomicBool>,
}

impl Stop {
    /// From now on clients finish the operation under way and return.
    pub fn set(&self) {
        self.set.store(true, Ordering::Release);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }
}

/// What a workload needs before it begins.
pub struct Setup {
    /// Its name.
    pub name: &'static str,
    /// How many clients are sensible.
    pub clients: u64,
    /// Removes its table.
    pub drop: &'static str,
    /// Makes its table.
    pub create: &'static str,
}

/// A kind of work with a property that a correct database keeps.
#[async_trait]
pub trait Workload: Send + Sync {
    /// What it needs before it begins.
    fn setup(&self) -> &'static Setup;

    /// Forgets earlier runs; the statement that fills its new table or makes a second one, if any.
    fn begin(&self) -> Option<String> {
        None
    }

    /// Its name, also of its tables and its history file: `bank`, `bank-index` …
    fn name(&self) -> &'static str {
        self.setup().name
    }

    /// How many clients are sensible.
    fn clients(&self) -> u64 {
        self.setup().clients
    }

    /// Makes its table anew on a healthy cluster.
    async fn prepare(&self, target: &Target) -> Result<(), Failure> {
        let Setup { drop, create, .. } = self.setup();
        let fill = self.begin();
        let statements = [client::DATABASE, drop, create].into_iter().chain(fill.as_deref());
        client::prepare(target, &statements.collect::<Vec<_>>()).await
    }

    /// One client's work until `stop`; `client` counts from 0 and is its process in the history.
    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop);

    /// Reads everything after all clients have ended, from every node of the target.
    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure>;

    /// Judges a history of it.
    fn check(&self, history: &[Event]) -> Verdict;
}

/// Every workload: each by primary key and, where that differs, by secondary index; those with transactions that read
/// before they write also FOR UPDATE. All read at the shards' leaders: the server offers clients no reads at followers.
pub fn all() -> Vec<Arc<dyn Workload>> {
    let mut all: Vec<Arc<dyn Workload>> = vec![
        Arc::new(register::Register::by_primary_key()),
        Arc::new(register::Register::by_index()),
        Arc::new(set::Set::by_primary_key()),
        Arc::new(set::Set::by_index()),
        Arc::new(counter::Counter::by_primary_key()),
        Arc::new(counter::Counter::by_index()),
        Arc::new(ledger::Ledger::by_primary_key()),
        Arc::new(ledger::Ledger::by_index()),
        Arc::new(monotonic::Monotonic::new()),
        Arc::new(sequential::Sequential::new()),
        Arc::new(ddl::Ddl::new()),
    ];
    all.extend(bank::Bank::all().map(|bank| Arc::new(bank) as Arc<dyn Workload>));
    all.extend(append::Append::all().map(|append| Arc::new(append) as Arc<dyn Workload>));
    all
}

/// Those whose name is, or begins with, one of these: `append` means `append-index` too. All when none is given; the
/// name that fits nothing when there is one.
pub fn named(names: &[String]) -> Result<Vec<Arc<dyn Workload>>, String> {
    let fits = |workload: &str, name: &String| {
        let rest = workload.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let all = all();
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|w| fits(w.name(), name))) {
        return Err(unknown.clone());
    }
    let wanted = |workload: &Arc<dyn Workload>| {
        names.is_empty() || names.iter().any(|name| fits(workload.name(), name))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Result<Vec<&'static str>, String> {
        let wanted: Vec<String> = wanted.iter().map(|name| name.to_string()).collect();
        Ok(named(&wanted)?.iter().map(|workload| workload.name()).collect())
    }

    #[test]
    fn a_name_means_its_variants_too() {
        assert_eq!(names(&["set"]), Ok(vec!["set", "set-index"]));
        assert_eq!(names(&["ddl", "monotonic"]), Ok(vec!["monotonic", "ddl"]));
        assert_eq!(names(&["bank-locking"]), Ok(vec!["bank-locking", "bank-locking-index"]));
        assert_eq!(names(&["long-fork", "bank-index"]), Ok(vec!["bank-index", "long-fork"]));
        assert_eq!(names(&[]).map(|all| all.len()), Ok(all().len()));
        assert_eq!(names(&["set", "lists"]), Err("lists".into()));
    }
}
