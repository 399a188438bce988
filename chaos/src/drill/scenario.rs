//! Scenario files: what a drill breaks, what must hold meanwhile, and when it has passed.
//!
//! ```toml
//! [meta]          id, name, title, title_zh, why
//! [scope]         nodes, select, max_nodes, max_shards_without_quorum
//! [workload]      names, rate, probe_lanes, ballast_mib
//! [[steady_state]] metric or sql, min/max, mode = "edge" | "continuous"
//! [[step]]        at, fault, target, for
//! [abort]         any = ["nodes_down > 1", "no_answer_s > 60"]
//! [expect]        rto, rpo_rows, errors_max, node_ends, full_replication, whole_again
//! [restore]       wait
//! ```
//!
//! A name that is not known is refused, so that a typing error never weakens a drill.

use super::metric::Condition;
use crate::fault::error::Error;
use crate::fault::kind::Kind;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Longest drill: the sum of what its steps ask for.
const LENGTH_MAX: Duration = Duration::from_secs(600);

/// Largest ballast: a drill should take a minute, and lie on any disk.
const BALLAST_MIB_MAX: u64 = 1024;

/// A drill as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is.
    pub meta: Meta,
    /// What it may touch.
    pub scope: Scope,
    /// Who works meanwhile.
    #[serde(default)]
    pub workload: WorkloadSection,
    /// What must hold, before and after or always.
    #[serde(default)]
    pub steady_state: Vec<SteadyState>,
    /// What happens.
    pub step: Vec<Step>,
    /// When it is broken off.
    #[serde(default)]
    pub abort: Abort,
    /// When it has passed.
    pub expect: Expect,
    /// How it ends.
    #[serde(default)]
    pub restore: Restore,
}

/// `[meta]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// `D` and its number in the catalogue.
    pub id: String,
    /// Its name on the command line.
    pub name: String,
    /// One line.
    pub title: String,
    /// The same in Chinese.
    pub title_zh: String,
    /// What it proves, in a sentence or two.
    pub why: String,
}

/// `[scope]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Nodes of the lab.
    #[serde(default = "three")]
    pub nodes: u64,
    /// Which of them are the targets.
    pub select: Select,
    /// Most nodes that may be hit at once.
    #[serde(default = "one")]
    pub max_nodes: u64,
    /// Most shards that may be without a quorum because of it. More than 0 must be asked for.
    #[serde(default)]
    pub max_shards_without_quorum: u64,
}

/// Which nodes a drill is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The leader of the shard that the first lane of the probe writes to.
    Leader,
    /// A node that does not lead that shard.
    Follower,
    /// The leader of the meta shard.
    MetaLeader,
    /// Every node with a replica of the meta shard.
    MetaReplicas,
    /// The node that the probe's first lane is connected to.
    Gateway,
    /// All nodes.
    All,
}

/// `[workload]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadSection {
    /// Workloads by name, such as `bank`; empty for all.
    pub names: Vec<String>,
    /// Operations per second of each client.
    pub rate: u32,
    /// Shards that the probe writes to, one lane each.
    pub probe_lanes: usize,
    /// MiB of rows that only lie there, read and compared before damage is taken out and at the end.
    pub ballast_mib: u64,
}

/// `[[steady_state]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyState {
    /// What reports call it.
    pub name: String,
    /// A metric, or …
    pub metric: Option<String>,
    /// … a statement whose first value is looked at.
    pub sql: Option<String>,
    /// Least value.
    pub min: Option<f64>,
    /// Greatest value.
    pub max: Option<f64>,
    /// When it is looked at.
    #[serde(default)]
    pub mode: Mode,
}

/// When a steady state is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Before the first step and after healing.
    #[default]
    Edge,
    /// Every second.
    Continuous,
}

/// `[[step]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, after the first steady state.
    #[serde(deserialize_with = "duration")]
    pub at: Duration,
    /// Which fault.
    #[serde(deserialize_with = "kind")]
    pub fault: Kind,
    /// Whom.
    #[serde(default)]
    pub target: Aim,
    /// How long.
    #[serde(rename = "for", deserialize_with = "duration")]
    pub length: Duration,
}

/// Whom a step hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// The targets of the scope.
    #[default]
    Scope,
    /// All other nodes.
    Others,
}

/// `[abort]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Abort {
    /// Conditions, looked at every second.
    #[serde(deserialize_with = "conditions")]
    pub any: Vec<Condition>,
}

/// `[expect]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Longest time from the injection of a fault until every lane of the probe works again.
    #[serde(deserialize_with = "duration")]
    pub rto: Duration,
    /// Acknowledged rows that may be missing at the end.
    #[serde(default)]
    pub rpo_rows: u64,
    /// Failed statements of the probe; no bar when absent.
    pub errors_max: Option<u64>,
    /// Whether a target must end its process by itself.
    #[serde(default)]
    pub node_ends: bool,
    /// Longest time from the first fault until every shard has as many replicas as before, all of them on members
    /// that run; not looked at when absent.
    #[serde(default, deserialize_with = "some_duration")]
    pub full_replication: Option<Duration>,
    /// Whether the nodes must be as many and as whole as before, without anybody's doing.
    #[serde(default = "yes")]
    pub whole_again: bool,
}

/// `[restore]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restore {
    /// Longest time until the cluster must be whole after the last fault.
    #[serde(deserialize_with = "duration")]
    pub wait: Duration,
}

impl Default for WorkloadSection {
    fn default() -> WorkloadSection {
        WorkloadSection { names: Vec::new(), rate: 20, probe_lanes: 3, ballast_mib: 0 }
    }
}

impl Default for Restore {
    fn default() -> Restore {
        Restore { wait: Duration::from_secs(60) }
    }
}

impl Scenario {
    /// Reads a scenario; `file` is for messages.
    ///
    /// # Errors
    /// `Refused` with the place and what is wrong.
    pub fn parse(text: &str, file: &str) -> Result<Scenario, Error> {
        let refused = |why: String| Error::Refused(format!("scenario {file}: {why}"));
        let scenario: Scenario =
            toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        scenario.check().map_err(refused)?;
        Ok(scenario)
    }

    /// From the first step to the end of the last.
    pub fn length(&self) -> Duration {
        self.step.iter().map(|step| step.at + step.length).max().unwrap_or_default()
    }

    /// Kinds of faults that it needs.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.step.iter().map(|step| step.fault).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    fn check(&self) -> Result<(), String> {
        if self.step.is_empty() {
            return Err("it has no [[step]]".into());
        }
        if !(3..=9).contains(&self.scope.nodes) {
            return Err(format!("scope.nodes is {}, not 3 to 9", self.scope.nodes));
        }
        if self.length() > LENGTH_MAX {
            return Err(format!("it takes {:?}, longer than {LENGTH_MAX:?}", self.length()));
        }
        let name_ok = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        if self.meta.name.is_empty() || !self.meta.name.chars().all(name_ok) {
            return Err(format!("meta.name '{}' has other signs than a-z and -", self.meta.name));
        }
        if self.workload.ballast_mib > BALLAST_MIB_MAX {
            return Err(format!("workload.ballast_mib is above {BALLAST_MIB_MAX}"));
        }
        for state in &self.steady_state {
            match (&state.metric, &state.sql) {
                (Some(metric), None) => {
                    super::metric::Metric::named(metric)?;
                }
                (None, Some(_)) => {}
                _ => return Err(format!("steady state '{}' needs metric or sql", state.name)),
            }
            if state.min.is_none() && state.max.is_none() {
                return Err(format!("steady state '{}' has neither min nor max", state.name));
            }
        }
        Ok(())
    }
}

/// `20s`, `1500ms`, `2m`, each with an optional `+` before it.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_start_matches('+');
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let number: u64 = number.parse().map_err(|_| format!("'{text}' is no duration like 20s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("'{text}' is no duration; write 500ms, 20s or 2m")),
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
    let name = String::deserialize(from)?;
    Kind::named(&name).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        serde::de::Error::custom(format!("no fault '{name}'; there are: {}", names.join(", ")))
    })
}

fn conditions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Condition>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| Condition::parse(text).map_err(serde::de::Error::custom)).collect()
}

fn one() -> u64 {
    1
}

fn three() -> u64 {
    3
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
        [meta]
        id = 'D1'
        name = 'leader-killed'
        title = 't'
        title_zh = 't'
        why = 'w'
        [scope]
        select = 'leader'
        [[step]]
        at = '+5s'
        fault = 'process.kill'
        for = '10s'
        [expect]
        rto = '3s'
    ";

    #[test]
    fn what_is_not_written_has_the_safe_value() {
        let scenario = Scenario::parse(GOOD, "x").unwrap();
        assert_eq!(scenario.scope.max_shards_without_quorum, 0);
        assert_eq!((scenario.scope.nodes, scenario.scope.max_nodes), (3, 1));
        assert_eq!(scenario.length(), Duration::from_secs(15));
        assert_eq!(scenario.expect.rpo_rows, 0);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |from: &str, to: &str| {
            Scenario::parse(&GOOD.replace(from, to), "x").unwrap_err().to_string()
        };
        assert!(refused("process.kill", "process.kil").contains("net.partition"));
        assert!(refused("'10s'", "'10'").contains("500ms"));
        assert!(refused("rto =", "rpo =").contains("rpo"));
        assert!(refused("'10s'", "'20m'").contains("longer than"));
        assert!(refused("leader-killed", "Leader Killed").contains("meta.name"));
    }
}
