//! What a lane measured, in bounded memory.

use super::latency::Latencies;
use crate::history::Failure;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Width of a [`Tick`].
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Ticks kept per lane: three hours. Later ones are counted in the last.
const TICKS_MAX: usize = 108_000;
/// An outage ends at the first good answer that this much time without a failure follows.
const QUIET: Duration = Duration::from_secs(1);
/// Outages kept per lane; later ones widen the last.
const OUTAGES_MAX: usize = 10_000;
/// Shortest time without a good answer that is kept as a [`Gap`].
const GAP_KEPT_MIN: Duration = Duration::from_millis(200);
/// Gaps kept per lane; of later ones only the longest of all is known.
const GAPS_MAX: usize = 10_000;

/// A time in which a lane failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// When the first statement that failed was sent, by the target's monotonic clock.
    pub from: Duration,
    /// When the first good answer came that a second without failure followed; `None` when there was none.
    pub until: Option<Duration>,
    /// Failed statements by MySQL's number.
    pub errors: BTreeMap<u16, u64>,
}

/// A time between two good answers of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The answer before it.
    pub from: Duration,
    /// The answer after it, or the end of the probe.
    pub until: Duration,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// Good answers that came in it.
    pub ok: u32,
    /// Failures noticed in it.
    pub errors: u32,
    /// Longest of its good answers.
    pub latency_max: Duration,
}

/// A lane's book.
pub(super) struct Measure {
    pub(super) name: String,
    /// Zero of the ticks.
    pub(super) from: Duration,
    pub(super) ticks: Vec<Tick>,
    pub(super) latencies: Latencies,
    pub(super) errors: BTreeMap<u16, u64>,
    pub(super) outages: Vec<Outage>,
    pub(super) gaps: Vec<Gap>,
    pub(super) gap_max: Gap,
    pub(super) ok: u64,
    last_ok: Duration,
}

impl Measure {
    /// Starts a book at the present time.
    pub(super) fn new(name: String, now: Duration) -> Measure {
        Measure {
            name,
            from: now,
            ticks: Vec::new(),
            latencies: Latencies::default(),
            errors: BTreeMap::new(),
            outages: Vec::new(),
            gaps: Vec::new(),
            gap_max: Gap { from: now, until: now },
            ok: 0,
            last_ok: now,
        }
    }

    /// A statement was answered well.
    pub(super) fn ok(&mut self, sent: Duration, now: Duration) {
        let latency = now.saturating_sub(sent);
        self.ok += 1;
        self.latencies.add(latency);
        let tick = self.tick(now);
        tick.ok += 1;
        tick.latency_max = tick.latency_max.max(latency);
        self.close_gap(now);
        self.last_ok = now;
        if let Some(outage) = self.outages.last_mut() {
            // A failure within the next second takes this end back.
            outage.until.get_or_insert(now);
        }
    }

    /// A statement failed.
    pub(super) fn failed(&mut self, sent: Duration, now: Duration, failure: &Failure) {
        *self.errors.entry(failure.code).or_default() += 1;
        self.tick(now).errors += 1;
        let full = self.outages.len() >= OUTAGES_MAX;
        let goes_on =
            |outage: &Outage| outage.until.is_none_or(|until| full || sent < until + QUIET);
        match self.outages.last_mut() {
            Some(outage) if goes_on(outage) => {
                outage.until = None;
                *outage.errors.entry(failure.code).or_default() += 1;
            }
            _ => self.outages.push(Outage {
                from: sent,
                until: None,
                errors: BTreeMap::from([(failure.code, 1)]),
            }),
        }
    }

    /// Whether the last outage has no end yet.
    pub(super) fn failing(&self) -> bool {
        self.outages.last().is_some_and(|outage| outage.until.is_none())
    }

    /// The lane ends: a time without answer that lasts until now counts too.
    pub(super) fn end(&mut self, now: Duration) {
        self.close_gap(now);
    }

    fn close_gap(&mut self, now: Duration) {
        let gap = Gap { from: self.last_ok, until: now };
        if gap.length() > self.gap_max.length() {
            self.gap_max = gap;
        }
        if gap.length() >= GAP_KEPT_MIN && self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap);
        }
    }

    fn tick(&mut self, now: Duration) -> &mut Tick {
        let at = now.saturating_sub(self.from).as_millis() / TICK.as_millis();
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(TICKS_MAX - 1);
        if self.ticks.len() <= at {
            self.ticks.resize(at + 1, Tick::default());
        }
        &mut self.ticks[at]
    }
}

impl Outage {
    /// How long it lasted; `None` when it did not end.
    pub fn length(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(self.from))
    }
}

impl Gap {
    /// How long it lasted.
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}
