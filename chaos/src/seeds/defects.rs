//! Defects put back on purpose: which of them a run takes, and that their build does not drift from the real one.
//!
//! Why a second build: docs/decisions/0006-defects-in-a-second-build.md.

use base::Clock;
use std::collections::BTreeSet;

/// Defects of an ordinary run.
const SAMPLE: usize = 3;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// The defects that `PRECINCT_BUG` names (`all` of them, or one), else the sample of the day; `PRECINCT_BUG_ROUND` is
/// another day.
///
/// # Panics
/// When `PRECINCT_BUG_ROUND` is no number.
pub fn chosen<T>(defects: &[T], name: impl Fn(&T) -> &str) -> Vec<&T> {
    if let Ok(wanted) = std::env::var("PRECINCT_BUG") {
        return defects.iter().filter(|defect| wanted == "all" || name(defect) == wanted).collect();
    }
    if std::env::var_os("PRECINCT_SOAK").is_some() {
        return defects.iter().collect();
    }
    let round = match std::env::var("PRECINCT_BUG_ROUND") {
        Ok(round) => round.parse().expect("PRECINCT_BUG_ROUND is a number"),
        Err(_) => (base::SystemClock::new().unix_ms() / DAY_MS) as usize,
    };
    (0..SAMPLE).map(|place| &defects[(round * SAMPLE + place) % defects.len()]).collect()
}

/// Asserts that two packages have the same dependencies, and that those the second one gives in full are the
/// workspace's. All three are texts of `Cargo.toml`.
///
/// # Panics
/// With what differs.
pub fn assert_same_dependencies(first: &str, second: &str, workspace: &str) {
    assert_eq!(names(first), names(second), "the second build has other dependencies");
    for line in section(second).filter(|line| line.contains(" = ") && !line.contains("path = ")) {
        let same = |theirs: &str| theirs.split(" #").next().unwrap_or_default().trim_end() == line;
        assert!(workspace.lines().any(same), "{line}: another one in the workspace's Cargo.toml");
    }
}

fn section(text: &str) -> impl Iterator<Item = &str> {
    let (_, rest) = text.split_once("[dependencies]").expect("a package has dependencies");
    let lines = rest.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn names(text: &str) -> BTreeSet<String> {
    section(text).filter_map(|line| Some(line.split(['.', ' ', '=']).next()?.to_string())).collect()
}
