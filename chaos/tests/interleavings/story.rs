//! What happened in one run, as those who took part saw it.

use std::sync::Mutex;
use txn::PreparedTransaction;

/// What a writer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is committed.
    Committed,
    /// It is not, for this reason.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

/// The lists as a snapshot shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub a: Vec<String>,
    pub b: Vec<String>,
    pub z: Vec<String>,
}

/// One snapshot.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Whose.
    pub party: &'static str,
    /// Before its first message.
    pub begun: u64,
    /// After its last answer.
    pub ended: u64,
    /// The two looks.
    pub looks: [Look; 2],
}

/// Everything that was told and seen.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Moments so far.
    moments: u64,
    /// Who was told what, and when.
    pub told: Vec<(&'static str, Told, u64)>,
    /// Snapshots, in the order in which they ended.
    pub sights: Vec<Sight>,
    /// The record of a prepared transaction.
    recorded: Option<PreparedTransaction>,
}

/// The pages while they are written.
#[derive(Default)]
pub struct Story(Mutex<Pages>);

impl Story {
    /// The next moment.
    pub fn moment(&self) -> u64 {
        let mut pages = self.0.lock().expect("nobody panics");
        pages.moments += 1;
        pages.moments
    }

    /// Notes what somebody was told.
    pub fn tell(&self, party: &'static str, told: Told) {
        let now = self.moment();
        self.0.lock().expect("nobody panics").told.push((party, told, now));
    }

    /// Notes what somebody saw.
    pub fn see(&self, party: &'static str, begun: u64, looks: [Look; 2]) {
        let ended = self.moment();
        let sight = Sight { party, begun, ended, looks };
        self.0.lock().expect("nobody panics").sights.push(sight);
    }

    /// Records a prepared transaction.
    pub fn record(&self, prepared: PreparedTransaction) {
        self.0.lock().expect("nobody panics").recorded = Some(prepared);
    }

    /// The record, if there is one.
    pub fn recorded(&self) -> Option<PreparedTransaction> {
        self.0.lock().expect("nobody panics").recorded.clone()
    }

    /// All of it.
    pub fn pages(&self) -> Pages {
        self.0.lock().expect("nobody panics").clone()
    }
}
