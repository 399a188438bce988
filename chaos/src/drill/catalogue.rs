//! The drills that every binary carries.

use super::scenario::Scenario;
use crate::fault::error::Error;

/// Scenario files by number of the catalogue.
const FILES: [(&str, &str); 18] = [
    ("01", include_str!("../../scenarios/01-leader-killed.toml")),
    ("02", include_str!("../../scenarios/02-follower-killed.toml")),
    ("03", include_str!("../../scenarios/03-gateway-killed.toml")),
    ("04", include_str!("../../scenarios/04-meta-leader-killed.toml")),
    ("05", include_str!("../../scenarios/05-meta-shard-lost-and-back.toml")),
    ("06", include_str!("../../scenarios/06-all-nodes-without-power.toml")),
    ("08", include_str!("../../scenarios/08-leader-paused.toml")),
    ("09", include_str!("../../scenarios/09-leader-in-the-minority.toml")),
    ("10", include_str!("../../scenarios/10-leader-hears-nothing.toml")),
    ("11", include_str!("../../scenarios/11-leader-is-not-heard.toml")),
    ("17", include_str!("../../scenarios/17-clocks-jump.toml")),
    ("19", include_str!("../../scenarios/19-log-sync-fails.toml")),
    ("20", include_str!("../../scenarios/20-disk-stalls.toml")),
    ("22", include_str!("../../scenarios/22-disk-full.toml")),
    ("23", include_str!("../../scenarios/23-bits-flip-in-tables.toml")),
    ("24", include_str!("../../scenarios/24-bit-flips-in-the-log.toml")),
    ("25", include_str!("../../scenarios/25-helix.toml")),
    ("26", include_str!("../../scenarios/26-disk-wiped.toml")),
];

/// All drills, in the order of their numbers.
///
/// # Errors
/// When a file is not a scenario; a test holds that none is.
pub fn all() -> Result<Vec<Scenario>, Error> {
    FILES.iter().map(|(number, text)| Scenario::parse(text, number)).collect()
}

/// The drill of this name, number or id (`leader-killed`, `1`, `01`, `D1`).
///
/// # Errors
/// `Refused` with the names there are.
pub fn named(wanted: &str) -> Result<Scenario, Error> {
    let drills = all()?;
    let number = wanted.trim_start_matches(['D', 'd']).trim_start_matches('0');
    let fits = |drill: &&Scenario| {
        drill.meta.name == wanted || drill.meta.id.trim_start_matches('D') == number
    };
    if let Some(drill) = drills.iter().find(fits) {
        return Ok(drill.clone());
    }
    let names: Vec<&str> = drills.iter().map(|drill| drill.meta.name.as_str()).collect();
    Err(Error::Refused(format!("there is no drill '{wanted}'; there are: {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_is_sound_and_has_its_own_name() {
        let drills = all().unwrap();
        let names: BTreeSet<_> = drills.iter().map(|drill| drill.meta.name.clone()).collect();
        assert_eq!(names.len(), FILES.len());
        for (drill, (number, _)) in drills.iter().zip(FILES) {
            assert_eq!(drill.meta.id, format!("D{}", number.trim_start_matches('0')));
        }
        assert_eq!(named("D1").unwrap().meta.name, named("leader-killed").unwrap().meta.name);
        assert!(named("nonsense").is_err());
    }
}
