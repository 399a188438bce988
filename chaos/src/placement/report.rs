//! The line of a run in the table, and the bars that it is held against.

use super::measure::Spread;
use std::fmt;
use std::time::Duration;

/// Moves by the least number of them, at most.
pub const RATIO_MAX: f64 = 1.3;
/// Bytes moved by the least that could be, at most: shards go whole, and the largest are a good part of what a node is off.
pub const BYTES_RATIO_MAX: f64 = 2.0;
/// Moves of one shard, at most, unless more of its replicas must go.
pub const MOVES_PER_SHARD_MAX: u32 = 2;
/// Standard deviation of what nodes hold, percent of the mean, at most, unless replicas cannot be divided better.
pub const VARIATION_MAX: f64 = 5.0;
/// By how much it may be above what the division leaves: a replica that the rules keep where it is, here and there.
pub const VARIATION_SLACK: f64 = 0.1;
/// The planners' longest answer but for one in a hundred.
pub const ROUND_MAX: Duration = Duration::from_secs(1);
/// How long a run may take.
pub const WALL_MAX: Duration = Duration::from_secs(60);
/// Memory of the process.
pub const MEMORY_MAX: u64 = 2 << 30;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario.
    pub scenario: &'static str,
    /// Nodes at the beginning.
    pub nodes: u64,
    /// Data shards at the beginning.
    pub shards: u32,
    /// Replicas of each at the beginning.
    pub replication: u32,
    /// Virtual time from the first event to the last change.
    pub took: Duration,
    /// Changes of members that went through.
    pub moves: u64,
    /// The same in what is compared: replicas, or bytes.
    pub moved: u64,
    /// The least that had to be moved.
    pub bound: u64,
    /// Whether these two are bytes.
    pub by_bytes: bool,
    /// Moves of the shard that moved most.
    pub moves_per_shard: u32,
    /// Moves of the shard that moved most beyond its bar, and that bar; none when every shard kept to it.
    pub restless: Option<(u32, u32)>,
    /// Jobs that were taken back.
    pub taken_back: u64,
    /// Leaderships that were given away.
    pub leader_moves: u64,
    /// Shards that became two.
    pub splits: u64,
    /// What nodes hold, in the city where they differ most.
    pub spread: Spread,
    /// Standard deviation, percent of the mean, when replicas are divided as well as whole ones can be.
    pub variation_least: f64,
    /// Shards that the node leads which leads least, and most.
    pub leads: (u64, u64),
    /// Rules that were broken on the way, and shards that are not as they must be at the end: how many.
    pub violations: u64,
    /// The first of them in words.
    pub sentences: Vec<String>,
    /// Questions to the planners.
    pub rounds: usize,
    /// Their longest answer but for one in a hundred.
    pub round_p99: Duration,
    /// How long the run took.
    pub wall: Duration,
    /// Most memory that the process has had so far, bytes; 0 where the system does not say.
    pub memory: u64,
    /// Of the last map and its leaders.
    pub hash: u64,
}

/// The table's first line.
pub fn header() -> String {
    format!(
        "{:<14} {:>13} {:>7} {:>12} {:>6} {:>10} {:>5} {:>7}  {:<11} {:>7} {:>10} {:>8} {:>7}  Hash",
        "Scenario",
        "Virtual time",
        "Moves",
        "Lower bound",
        "Ratio",
        "Per shard",
        "CV %",
        "Max %",
        "Leaders",
        "Broken",
        "Round p99",
        "Wall s",
        "Memory"
    )
}

impl Report {
    /// Moves by the least number of them; none when nothing had to be moved and nothing was.
    pub fn ratio(&self) -> Option<f64> {
        (self.moved + self.bound > 0).then(|| self.moved as f64 / self.bound as f64)
    }

    /// The bars that were missed, in words.
    pub fn missed(&self) -> Vec<String> {
        let mut missed: Vec<String> = Vec::new();
        let mut bar = |held: bool, what: String| {
            if !held {
                missed.push(what);
            }
        };
        bar(self.violations == 0, format!("{} rules broken", self.violations));
        if let Some(ratio) = self.ratio() {
            let most = if self.by_bytes { BYTES_RATIO_MAX } else { RATIO_MAX };
            bar(ratio <= most, format!("{ratio:.2} times what had to be moved, bar {most}"));
        }
        if let Some((moves, most)) = self.restless {
            bar(false, format!("a shard moved {moves} times, bar {most}"));
        }
        let (variation, least) = (self.spread.variation, self.variation_least);
        let most = VARIATION_MAX.max(least + VARIATION_SLACK);
        bar(variation <= most, format!("CV {variation:.1} %, bar {most:.1} %"));
        bar(
            self.round_p99 <= ROUND_MAX,
            format!("planners took {:?}, bar {ROUND_MAX:?}", self.round_p99),
        );
        bar(self.wall <= WALL_MAX, format!("the run took {:?}, bar {WALL_MAX:?}", self.wall));
        bar(self.memory <= MEMORY_MAX, format!("{} MiB of memory", self.memory >> 20));
        missed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs();
        let took = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let bound = match self.by_bytes {
            true => format!("{} GiB", self.bound >> 30),
            false => self.bound.to_string(),
        };
        let ratio = self.ratio().map_or("–".to_string(), |ratio| format!("{ratio:.2}"));
        let leads = format!("{}–{}", self.leads.0, self.leads.1);
        write!(
            f,
            "{:<14} {took:>13} {:>7} {bound:>12} {ratio:>6} {:>10} {:>5.1} {:>7.1}  {leads:<11} {:>7} {:>7.1} ms {:>8.1} \
             {:>7}  {:016x}",
            self.scenario,
            self.moves,
            self.moves_per_shard,
            self.spread.variation,
            self.spread.deviation,
            self.violations,
            self.round_p99.as_secs_f64() * 1000.0,
            self.wall.as_secs_f64(),
            format!("{}M", self.memory >> 20),
            self.hash,
        )
    }
}
