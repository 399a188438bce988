//! The set of configurations that a register could be in, carried along its answers.

use std::collections::{BTreeMap, BTreeSet};

/// Configurations kept at once, and tried for one answer.
const CONFIGURATIONS_MAX: usize = 1 << 17;
/// Operations that may be open at once: bits of a configuration.
const OPEN_MAX: u32 = u128::BITS;

/// What an operation does to a register, or shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It has this value (`None`: absent).
    Read(Option<i64>),
    /// It gets this value.
    Write(i64),
    /// It has one value and gets another.
    Swap { from: i64, to: i64 },
    /// It does not have this value.
    Mismatch(i64),
}

/// One operation of a register.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Line of its call.
    pub(super) call: usize,
    /// Line of its answer; `None`: it may take effect at any later time or never.
    pub(super) answer: Option<usize>,
    /// What it does.
    pub(super) effect: Effect,
}

/// Why a search ended without an order.
#[derive(Debug)]
pub(super) enum Stuck {
    /// Nothing explains the answer on `line`; before it the register could have `states`. The steps from
    /// `from` on suffice to see it.
    At { line: usize, states: Vec<Option<i64>>, from: usize },
    /// More configurations than are kept.
    TooMany,
}

type Value = Option<i64>;

/// A configuration: value, and which slots of open operations have taken effect.
type Configuration = (Value, u128);

/// One register's search.
pub(super) struct Search<'a> {
    steps: &'a [Step],
    /// Slot → open step.
    open: Vec<Option<usize>>,
    /// Slots of steps that never answer.
    endless: u128,
    configurations: BTreeSet<Configuration>,
}

impl<'a> Search<'a> {
    /// A register that is absent at the start.
    pub(super) fn new(steps: &'a [Step]) -> Search<'a> {
        Search { steps, open: Vec::new(), endless: 0, configurations: BTreeSet::from([(None, 0)]) }
    }

    /// A register of unknown value: one of those that its steps name, or one that none of them names.
    pub(super) fn from_any_value(steps: &'a [Step]) -> Search<'a> {
        let mut search = Search::new(steps);
        let mut unused = i64::MIN;
        for step in steps {
            let values = match step.effect {
                Effect::Read(value) => [value, None],
                Effect::Write(value) | Effect::Mismatch(value) => [Some(value), None],
                Effect::Swap { from, to } => [Some(from), Some(to)],
            };
            for value in values.into_iter().flatten() {
                search.configurations.insert((Some(value), 0));
                unused = unused.max(value.saturating_add(1));
            }
        }
        search.configurations.insert((Some(unused), 0));
        search
    }

    /// Goes through all answers.
    pub(super) fn run(mut self) -> Result<(), Stuck> {
        // (line, is an answer, step)
        let mut moments: Vec<(usize, bool, usize)> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            moments.push((step.call, false, at));
            moments.extend(step.answer.map(|line| (line, true, at)));
        }
        moments.sort_unstable();
        for (line, is_answer, at) in moments {
            if is_answer {
                self.answered(line, at)?;
            } else {
                self.called(at)?;
            }
        }
        Ok(())
    }

    fn called(&mut self, at: usize) -> Result<(), Stuck> {
        let slot = match self.open.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                self.open.push(None);
                self.open.len() - 1
            }
        };
        if slot >= OPEN_MAX as usize {
            return Err(Stuck::TooMany);
        }
        self.open[slot] = Some(at);
        if self.steps[at].answer.is_none() {
            self.endless |= 1 << slot;
        }
        Ok(())
    }

    fn answered(&mut self, line: usize, at: usize) -> Result<(), Stuck> {
        let Some(slot) = self.open.iter().position(|open| *open == Some(at)) else {
            unreachable!("an answer comes after its call")
        };
        let bit = 1u128 << slot;
        let mut done: BTreeSet<Configuration> = BTreeSet::new();
        let mut tried: BTreeSet<Configuration> = BTreeSet::new();
        let mut waiting: Vec<Configuration> = Vec::new();
        for configuration in &self.configurations {
            if configuration.1 & bit != 0 {
                done.insert(*configuration);
            } else {
                waiting.push(*configuration);
            }
        }
        while let Some(configuration) = waiting.pop() {
            if !tried.insert(configuration) {
                continue;
            }
            if tried.len() + done.len() > CONFIGURATIONS_MAX {
                return Err(Stuck::TooMany);
            }
            for (other, open) in self.open.iter().enumerate() {
                let taken = 1u128 << other;
                let Some(step) = open else { continue };
                if configuration.1 & taken != 0 {
                    continue;
                }
                let Some(value) = self.steps[*step].effect.after(configuration.0) else { continue };
                let next = (value, configuration.1 | taken);
                if other == slot {
                    done.insert(next);
                } else {
                    waiting.push(next);
                }
            }
        }
        if done.is_empty() {
            let states: BTreeSet<Value> = tried.iter().map(|(value, _)| *value).collect();
            return Err(Stuck::At { line, states: states.into_iter().collect(), from: 0 });
        }
        self.open[slot] = None;
        self.configurations =
            self.leanest(done.into_iter().map(|(value, used)| (value, used & !bit)));
        Ok(())
    }

    /// Drops each configuration that another one can imitate: same value, same answering operations done,
    /// fewer of the endless ones used up.
    fn leanest(&self, all: impl Iterator<Item = Configuration>) -> BTreeSet<Configuration> {
        let mut groups: BTreeMap<(Value, u128), Vec<u128>> = BTreeMap::new();
        for (value, used) in all {
            let kept = groups.entry((value, used & !self.endless)).or_default();
            let endless = used & self.endless;
            if kept.iter().any(|other| other & !endless == 0) {
                continue;
            }
            kept.retain(|other| endless & !other != 0);
            kept.push(endless);
        }
        let groups = groups.into_iter();
        groups
            .flat_map(|((value, used), kept)| {
                kept.into_iter().map(move |more| (value, used | more))
            })
            .collect()
    }
}

impl Effect {
    /// The value after it, when it can take effect on this value.
    fn after(&self, value: Value) -> Option<Value> {
        match self {
            Effect::Read(seen) => (*seen == value).then_some(value),
            Effect::Write(new) => Some(Some(*new)),
            Effect::Swap { from, to } => (value == Some(*from)).then_some(Some(*to)),
            Effect::Mismatch(other) => (value != Some(*other)).then_some(value),
        }
    }
}
