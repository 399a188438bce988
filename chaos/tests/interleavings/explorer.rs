//! Goes through schedules: which choice is made at each step of a run.
//!
//! A schedule lists only the steps where something else happens than by default. Runs are exact: the same schedule gives
//! the same run, so a schedule is explored by running it from the beginning, and every step behind its last deviation
//! shows schedules that deviate once more (stateless model checking; the bound on deviations is that of "Delay-Bounded
//! Scheduling", POPL 2011).
//!
//! ```text
//!  level 0: nothing but defaults ─► level 1: one deviation or fault at some step ─► level 2: one more, later ─► …
//! ```
//!
//! A level that is larger than what is left of the limit is sampled evenly; how many were left out is told.

use crate::judge::{self, Broken, LAST_READER};
use crate::parties::Role;
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::story::{Pages, Told};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use txn::testing::Message;

/// Tasks that run before the one that chooses has its turn again, at most.
pub const EVENT_INTERVAL: u32 = 1000;
/// Steps of a run, at most: one that is longer never ends.
const STEPS_MAX: usize = 3000;
/// Steps from the beginning at which something else than the default is tried.
const STEPS_EXPLORED: usize = 150;
/// Schedules of a level that are kept until they are run; a larger level is thinned evenly.
const LEVEL_MAX: usize = 300_000;

/// How far schedules deviate from what happens by default.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Deviations and faults together.
    pub depth: usize,
    /// Of either kind.
    pub budget: Budget,
    /// Schedules.
    pub schedules: usize,
}

/// How much may still happen.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Other orders.
    pub deviations: usize,
    /// Faults.
    pub faults: usize,
}

impl Budget {
    /// For runs where everything happens by default.
    pub const NONE: Budget = Budget { deviations: 0, faults: 0 };
}

/// Steps where something else happens than by default, and which of the options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(Vec<(usize, usize)>);

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.0.iter().map(|(step, option)| format!("{step}:{option}"));
        f.write_str(&steps.collect::<Vec<_>>().join(","))
    }
}

impl std::str::FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        let step = |part: &str| {
            let (step, option) = part.split_once(':')?;
            Some((step.parse::<usize>().ok()?, option.parse::<usize>().ok()?))
        };
        let steps: Option<Vec<_>> =
            text.split(',').filter(|part| !part.is_empty()).map(step).collect();
        steps.map(Schedule).ok_or_else(|| format!("no schedule: {text}"))
    }
}

/// A run that is over.
pub struct Run {
    /// How many options there were at each step that was explored.
    pub options: Vec<usize>,
    /// What everybody saw.
    pub pages: Pages,
    /// Where the scenario's death struck, if it did.
    pub died_at: Option<Message>,
    /// What happened at each step, if that was asked for.
    pub trace: Vec<String>,
    /// What was broken.
    pub outcome: Result<(), Broken>,
}

/// How many runs there were and what they showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Named counts.
    pub counts: BTreeMap<&'static str, u64>,
    /// Over everything that was told and seen.
    pub hash: u64,
}

/// A schedule that breaks an invariant.
#[derive(Debug)]
pub struct Found {
    /// The schedule.
    pub schedule: Schedule,
    /// What is broken.
    pub broken: Broken,
    /// What happened.
    pub trace: Vec<String>,
}

/// Runs all schedules of a scenario within bounds, until one breaks an invariant.
pub fn explore(scenario: &Scenario, bounds: Bounds) -> Result<Explored, Box<Found>> {
    let mut explored = Explored::default();
    let mut hasher = DefaultHasher::new();
    let mut level = Level::default();
    level.add(Schedule::default);
    let mut left = bounds.schedules;
    for depth in 0..=bounds.depth {
        let chosen = level.schedules.len().min(left);
        explored.count("left out", level.found - chosen);
        left -= chosen;
        let mut next = Level::default();
        for place in 0..chosen {
            let schedule = &level.schedules[place * level.schedules.len() / chosen];
            let run = perform(scenario, schedule, bounds.budget);
            if run.outcome.is_err() {
                return Err(Box::new(show(scenario, schedule.clone(), bounds.budget)));
            }
            explored.add(&run);
            format!("{:?}{:?}", run.pages.told, run.pages.sights).hash(&mut hasher);
            if depth < bounds.depth {
                next.add_children(schedule, &run);
            }
        }
        level = next;
    }
    explored.hash = hasher.finish();
    Ok(explored)
}

/// Runs a schedule again and tells what happens.
pub fn show(scenario: &Scenario, schedule: Schedule, budget: Budget) -> Found {
    let run = run(scenario, &schedule, budget, Tracing::On);
    let held = || Broken::new("nothing", "every invariant held");
    Found { broken: run.outcome.err().unwrap_or_else(held), trace: run.trace, schedule }
}

/// Runs a schedule.
pub fn perform(scenario: &Scenario, schedule: &Schedule, budget: Budget) -> Run {
    run(scenario, schedule, budget, Tracing::Off)
}

/// Schedules with equally many deviations.
struct Level {
    /// Those that are kept: every `stride`-th.
    schedules: Vec<Schedule>,
    /// How many there are.
    found: usize,
    /// How thin they are kept.
    stride: usize,
}

impl Default for Level {
    fn default() -> Level {
        Level { schedules: Vec::new(), found: 0, stride: 1 }
    }
}

impl Level {
    fn add(&mut self, schedule: impl FnOnce() -> Schedule) {
        if self.found.is_multiple_of(self.stride) {
            self.schedules.push(schedule());
        }
        self.found += 1;
        if self.schedules.len() > LEVEL_MAX {
            let mut keeps = false;
            self.schedules.retain(|_| {
                keeps = !keeps;
                keeps
            });
            self.stride *= 2;
        }
    }

    /// Adds the schedules that deviate from a run once more, later.
    fn add_children(&mut self, schedule: &Schedule, run: &Run) {
        let first = schedule.0.last().map_or(0, |(step, _)| step + 1);
        for (step, options) in run.options.iter().enumerate().skip(first) {
            for option in 1..*options {
                self.add(|| {
                    let once_more = std::iter::once((step, option));
                    Schedule(schedule.0.iter().copied().chain(once_more).collect())
                });
            }
        }
    }
}

impl Explored {
    fn count(&mut self, what: &'static str, more: usize) {
        *self.counts.entry(what).or_default() += more as u64;
    }

    /// Counts a run.
    fn add(&mut self, run: &Run) {
        self.count("schedules", 1);
        self.count("check: snapshots", run.pages.sights.len());
        for (_, told, _) in &run.pages.told {
            self.count(
                match told {
                    Told::Committed => "told: committed",
                    Told::Refused(_) => "told: refused",
                    Told::Unknown => "told: unknown",
                },
                1,
            );
        }
    }
}

/// Whether a run tells what happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracing {
    On,
    Off,
}

fn run(scenario: &Scenario, schedule: &Schedule, budget: Budget, tracing: Tracing) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .event_interval(EVENT_INTERVAL)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut stage = Stage::new(scenario);
        let mut actor = Actor { budget, tracing, options: Vec::new(), trace: Vec::new() };
        let outcome = actor.play(scenario, schedule, &mut stage).await;
        let (pages, died_at) = (stage.story.pages(), stage.died_at);
        Run { options: actor.options, pages, died_at, trace: actor.trace, outcome }
    })
}

/// Who makes the choices of a run.
struct Actor {
    /// What may still happen.
    budget: Budget,
    /// Whether it tells what happens.
    tracing: Tracing,
    /// How many options there were at each step that is explored.
    options: Vec<usize>,
    /// What has happened.
    trace: Vec<String>,
}

impl Actor {
    /// Plays a scenario to its end and judges it.
    async fn play(
        &mut self,
        scenario: &Scenario,
        schedule: &Schedule,
        stage: &mut Stage,
    ) -> Result<(), Broken> {
        stage.begin(scenario.before).await;
        self.run_on(stage).await?;
        stage.begin(scenario.parties).await;
        self.follow(schedule, stage).await?;
        stage.begin(scenario.after).await;
        self.run_on(stage).await?;
        stage.outlive_locks().await;
        stage.begin(&[(LAST_READER, Role::Reads(1))]).await;
        self.run_on(stage).await?;
        judge::judge(&stage.story.pages())?;
        judge::no_lock_is_left(&stage.cluster)
    }

    /// Makes the choices of a schedule until everybody is done.
    async fn follow(&mut self, schedule: &Schedule, stage: &mut Stage) -> Result<(), Broken> {
        let mut deviations = schedule.0.iter().peekable();
        for step in 0..STEPS_MAX {
            let is_explored = step < STEPS_EXPLORED;
            let options = stage.options(if is_explored { self.budget } else { Budget::NONE });
            if options.is_empty() {
                return Ok(());
            }
            let chosen = deviations.next_if(|(at, _)| *at == step).map_or(0, |(_, option)| *option);
            let Some(choice) = options.get(chosen) else {
                let what = format!("step {step} has no option {chosen}: another run than before");
                return Err(Broken::new("equal runs", what));
            };
            if is_explored {
                self.options.push(options.len());
            }
            if chosen > 0 {
                match choice.is_fault() {
                    true => self.budget.faults -= 1,
                    false => self.budget.deviations -= 1,
                }
            }
            if self.tracing == Tracing::On {
                let mark = if chosen > 0 { "*" } else { " " };
                self.trace.push(format!("{step:4} {mark} {choice}"));
            }
            stage.take(choice).await;
        }
        Err(Broken::new("liveness", format!("not over after {STEPS_MAX} steps")))
    }

    /// Lets everybody run to their end, everything by default.
    async fn run_on(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        for _ in 0..STEPS_MAX {
            let options = stage.options(Budget::NONE);
            let Some(choice) = options.first() else { return Ok(()) };
            if self.tracing == Tracing::On {
                self.trace.push(format!("       {choice}"));
            }
            stage.take(choice).await;
        }
        Err(Broken::new("liveness", format!("not over after {STEPS_MAX} steps")))
    }
}
