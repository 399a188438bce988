//! Figures that a drill looks at every second, and conditions on them.

use std::fmt;

/// A figure of the running cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Operations of the workloads that succeeded in the last second.
    OkPerSecond,
    /// Part of the operations of the last second that failed, 0 to 1.
    ErrorRatio,
    /// Seconds since an operation succeeded.
    NoAnswerSeconds,
    /// Shards that no node knows a leader of.
    ShardsWithoutLeader,
    /// Nodes whose process does not run.
    NodesDown,
}

/// The figures of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// [`Metric::OkPerSecond`].
    pub ok_per_second: f64,
    /// [`Metric::ErrorRatio`].
    pub error_ratio: f64,
    /// [`Metric::NoAnswerSeconds`].
    pub no_answer_s: f64,
    /// [`Metric::ShardsWithoutLeader`].
    pub shards_without_leader: f64,
    /// [`Metric::NodesDown`].
    pub nodes_down: f64,
}

/// `nodes_down > 1`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    metric: Metric,
    above: f64,
}

impl Metric {
    const ALL: [(&'static str, Metric); 5] = [
        ("ok_per_second", Metric::OkPerSecond),
        ("error_ratio", Metric::ErrorRatio),
        ("no_answer_s", Metric::NoAnswerSeconds),
        ("shards_without_leader", Metric::ShardsWithoutLeader),
        ("nodes_down", Metric::NodesDown),
    ];

    /// The metric of this name.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub fn named(name: &str) -> Result<Metric, String> {
        let found = Metric::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, metric)| *metric).ok_or_else(|| {
            let names: Vec<&str> = Metric::ALL.iter().map(|(name, _)| *name).collect();
            format!("no metric '{name}'; there are: {}", names.join(", "))
        })
    }

    /// Its value in a reading.
    pub fn of(self, reading: &Reading) -> f64 {
        match self {
            Metric::OkPerSecond => reading.ok_per_second,
            Metric::ErrorRatio => reading.error_ratio,
            Metric::NoAnswerSeconds => reading.no_answer_s,
            Metric::ShardsWithoutLeader => reading.shards_without_leader,
            Metric::NodesDown => reading.nodes_down,
        }
    }
}

impl Condition {
    /// Reads `metric > number`.
    ///
    /// # Errors
    /// A sentence that says how it is written.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let parts = text.split_once('>');
        let (metric, above) =
            parts.ok_or_else(|| format!("'{text}': write it as 'nodes_down > 1'"))?;
        let above = above.trim().parse().map_err(|_| format!("'{text}': no number after '>'"))?;
        Ok(Condition { metric: Metric::named(metric.trim())?, above })
    }

    /// Whether it holds.
    pub fn holds(&self, reading: &Reading) -> bool {
        self.metric.of(reading) > self.above
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Metric::ALL.iter().find(|(_, metric)| *metric == self.metric);
        write!(f, "{} > {}", name.map_or("", |(name, _)| name), self.above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_and_judged() {
        let condition = Condition::parse("nodes_down > 1").unwrap();
        assert!(!condition.holds(&Reading { nodes_down: 1.0, ..Reading::default() }));
        assert!(condition.holds(&Reading { nodes_down: 2.0, ..Reading::default() }));
        assert_eq!(condition.to_string(), "nodes_down > 1");
        assert!(Condition::parse("nodes_down < 1").is_err());
        assert!(Condition::parse("nodes_up > 1").unwrap_err().contains("nodes_down"));
    }
}
