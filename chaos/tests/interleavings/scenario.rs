//! The scenarios: who takes part and what may go wrong.

use crate::parties::{PREPARED, Role, THREE_LISTS};
use txn::testing::OnTheWay;

/// Who takes part, and what may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Says what it is about.
    pub name: &'static str,
    /// Those who are done before anything is chosen.
    pub before: &'static [(&'static str, Role)],
    /// Those whose messages are interleaved, in the order in which they begin.
    pub parties: &'static [(&'static str, Role)],
    /// Those who come when the others are done.
    pub after: &'static [(&'static str, Role)],
    /// What may go wrong.
    pub faults: &'static [Fault],
    /// A death that belongs to the scenario.
    pub death: Option<Death>,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write or its answer is lost, or its sender does not wait for it any more.
    Loss,
    /// A coordinator dies.
    Death,
    /// A coordinator stands still for longer than a lock lives.
    Stall,
    /// A shard gets another leader, perhaps with an entry that no quorum has confirmed.
    Leader,
}

/// A death at a certain message.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// Whose.
    pub party: &'static str,
    /// At which of its requests, from 1 on.
    pub ordinal: usize,
    /// When.
    pub when: When,
    /// What becomes of what it has sent.
    pub on_the_way: OnTheWay,
    /// Whether that comes only after everything else.
    pub late: bool,
}

/// A moment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it reaches the shard.
    Before,
    /// When the shard has executed it, before the answer is heard.
    Executed,
}

/// All that may happen to messages and coordinators.
const ROUGH: &[Fault] = &[Fault::Loss, Fault::Death, Fault::Stall];

/// One that commits asynchronously, and nothing else.
pub const ASYNCHRONOUS: Scenario = Scenario {
    name: "asynchronous commit",
    before: &[],
    parties: &[("T", Role::Writes)],
    after: &[],
    faults: &[],
    death: None,
};

/// One that commits in two phases, and nothing else.
pub const TWO_PHASES: Scenario =
    Scenario { name: "two phases", parties: &[("T", Role::AppendsSerializable)], ..ASYNCHRONOUS };

/// One that is prepared and committed; another session commits what is recorded.
pub const TWO_STEPS: Scenario = Scenario {
    name: "prepared",
    parties: &[(PREPARED, Role::PreparesAndCommits)],
    after: &[("M", Role::Commits)],
    ..ASYNCHRONOUS
};

/// The scenarios that are explored; the first is number 1.
pub const SCENARIOS: [Scenario; 10] = [
    Scenario {
        name: "an asynchronous commit and a reader",
        parties: &[("T", Role::Writes), ("R", Role::Reads(3))],
        faults: ROUGH,
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "two resolvers of a transaction whose locks all stand",
        parties: &[("T", Role::Writes), ("R", Role::Reads(2)), ("S", Role::Reads(2))],
        faults: ROUGH,
        death: Some(Death {
            party: "T",
            ordinal: 4,
            when: When::Before,
            on_the_way: OnTheWay::Lost,
            late: false,
        }),
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "two resolvers of a transaction whose second lock is late",
        parties: &[("T", Role::Writes), ("R", Role::Reads(2)), ("S", Role::Reads(2))],
        faults: ROUGH,
        death: Some(Death {
            party: "T",
            ordinal: 2,
            when: When::Executed,
            on_the_way: OnTheWay::Arrives,
            late: true,
        }),
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "two coordinators that read and write the same, and a reader",
        parties: &[("T1", Role::Appends), (THREE_LISTS, Role::Appends), ("R", Role::Reads(2))],
        faults: ROUGH,
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "two phases and a reader",
        parties: &[("T", Role::AppendsSerializable), ("R", Role::Reads(3))],
        faults: ROUGH,
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "two phases beside an asynchronous commit, and a reader",
        parties: &[
            ("T1", Role::AppendsSerializable),
            (THREE_LISTS, Role::Appends),
            ("R", Role::Reads(2)),
        ],
        faults: ROUGH,
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "a prepared transaction, committed and rolled back at once",
        before: &[(PREPARED, Role::Prepares)],
        parties: &[("C", Role::Commits), ("D", Role::RollsBack), ("R", Role::Reads(2))],
        // Nobody else decides it: one of the two lives.
        faults: &[Fault::Loss, Fault::Stall, Fault::Leader],
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "leaders change beside an asynchronous commit and a reader",
        parties: &[("T", Role::Writes), ("R", Role::Reads(3))],
        faults: &[Fault::Leader],
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "leaders change beside two coordinators",
        parties: &[("T1", Role::AppendsSerializable), (THREE_LISTS, Role::Appends)],
        faults: &[Fault::Leader],
        ..ASYNCHRONOUS
    },
    Scenario {
        name: "an asynchronous commit beside one that locks without waiting, and a reader",
        parties: &[("T", Role::Writes), ("C", Role::Claims(2)), ("R", Role::Reads(1))],
        faults: ROUGH,
        ..ASYNCHRONOUS
    },
];
