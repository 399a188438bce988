//! The measures of all lanes together.

use super::latency::Latencies;
use super::measure::{Gap, Measure, Outage, TICK, Tick};
use std::collections::BTreeMap;
use std::time::Duration;

/// One lane's part of a [`Report`].
#[derive(Clone, Debug)]
pub struct LaneReport {
    /// Its name.
    pub name: String,
    /// Times in which it failed.
    pub outages: Vec<Outage>,
    /// Times between two good answers, from 200 ms on.
    pub gaps: Vec<Gap>,
    /// The longest time between two good answers.
    pub gap_max: Gap,
    /// Good answers.
    pub ok: u64,
}

/// What a probe measured. All times are of the target's monotonic clock.
#[derive(Clone, Debug)]
pub struct Report {
    /// Lane by lane.
    pub lanes: Vec<LaneReport>,
    /// Failures by MySQL's number.
    pub errors: BTreeMap<u16, u64>,
    /// All lanes together, 100 ms each, from [`Report::from`] on.
    pub ticks: Vec<Tick>,
    /// Time of the first tick.
    pub from: Duration,
    /// Latencies of all lanes.
    pub latencies: Latencies,
}

impl Report {
    pub(super) fn of(lanes: Vec<Measure>) -> Report {
        let from = lanes.iter().map(|lane| lane.from).min().unwrap_or_default();
        let mut report = Report {
            lanes: Vec::new(),
            errors: BTreeMap::new(),
            ticks: Vec::new(),
            from,
            latencies: Latencies::default(),
        };
        for lane in lanes {
            let shift = (lane.from.saturating_sub(from).as_millis() / TICK.as_millis()) as usize;
            report.ticks.resize(report.ticks.len().max(shift + lane.ticks.len()), Tick::default());
            for (sum, tick) in report.ticks[shift..].iter_mut().zip(&lane.ticks) {
                sum.ok += tick.ok;
                sum.errors += tick.errors;
                sum.latency_max = sum.latency_max.max(tick.latency_max);
            }
            for (code, count) in &lane.errors {
                *report.errors.entry(*code).or_default() += count;
            }
            report.latencies.merge(&lane.latencies);
            report.lanes.push(LaneReport {
                name: lane.name,
                outages: lane.outages,
                gaps: lane.gaps,
                gap_max: lane.gap_max,
                ok: lane.ok,
            });
        }
        report
    }

    /// pMax: the longest time between two good answers on any lane.
    pub fn p_max(&self) -> Duration {
        self.lanes.iter().map(|lane| lane.gap_max.length()).max().unwrap_or_default()
    }

    /// The same among times that overlap a window, for a fault in it; zero when all were below 200 ms.
    pub fn p_max_between(&self, from: Duration, until: Duration) -> Duration {
        let gaps = self.lanes.iter().flat_map(|lane| &lane.gaps);
        let inside = gaps.filter(|gap| gap.from < until && gap.until > from);
        inside.map(Gap::length).max().unwrap_or_default()
    }

    /// Outages that overlap a window, with their lanes' names.
    pub fn outages_between(&self, from: Duration, until: Duration) -> Vec<(&str, &Outage)> {
        let lanes = self.lanes.iter();
        lanes
            .flat_map(|lane| lane.outages.iter().map(move |outage| (lane.name.as_str(), outage)))
            .filter(|(_, outage)| outage.from < until && outage.until.is_none_or(|end| end > from))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Failure;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_outage_ends_at_the_first_answer_before_a_quiet_second() {
        let lost = Failure { code: 2013, message: "lost".into() };
        let mut lane = Measure::new("shard 1".into(), ms(0));
        lane.ok(ms(10), ms(12));
        lane.failed(ms(20), ms(500), &lost);
        lane.ok(ms(510), ms(520));
        lane.failed(ms(900), ms(910), &lost);
        lane.ok(ms(1000), ms(1001));
        lane.ok(ms(1010), ms(1012));
        lane.failed(ms(2500), ms(2600), &lost);
        lane.end(ms(3001));
        let report = Report::of(vec![lane]);
        let outages = &report.lanes[0].outages;
        assert_eq!(outages.len(), 2);
        assert_eq!((outages[0].from, outages[0].until), (ms(20), Some(ms(1001))));
        assert_eq!(outages[0].errors, BTreeMap::from([(2013, 2)]));
        assert_eq!((outages[1].from, outages[1].until), (ms(2500), None));
        assert_eq!(report.p_max(), ms(3001 - 1012));
        assert_eq!(report.lanes[0].gap_max.from, ms(1012));
        assert_eq!(report.p_max_between(ms(0), ms(600)), ms(520 - 12));
        assert_eq!(report.errors, BTreeMap::from([(2013, 3)]));
        let ok: u32 = report.ticks.iter().map(|tick| tick.ok).sum();
        assert_eq!((ok, report.ticks[5].errors), (4, 1));
        assert_eq!(report.outages_between(ms(1100), ms(2000)).len(), 0);
        assert_eq!(report.outages_between(ms(900), ms(2000)).len(), 1);
    }
}
