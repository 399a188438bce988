//! A soak: every workload runs while faults come at random, one after the other; at the end everything is
//! healed, read once more, and judged.
//!
//! ```text
//! prepare │ quiet │ fault │ quiet │ fault │ … │ heal │ final reads │ verdicts
//!         └──────────── workloads and probe ─────────┘
//! ```
//!
//! The seed decides the faults, their order and their targets, not what the machine makes of them: real
//! processes do not replay. (The simulation in `chaos/tests/simulation` does.)

mod nemesis;
mod outcome;

pub use nemesis::{Window, candidates};
pub use outcome::Outcome;

use crate::fault::deadman::Switch;
use crate::fault::error::Error;
use crate::fault::kind::Kind;
use crate::fault::lab::{Lab, Plan as LabPlan};
use crate::workload::probe::Probe;
use crate::workload::{self, Run, Target};
use base::{Clock, Rng, SystemClock};
use nemesis::Nemesis;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Lanes of the probe: enough to see most shards, few enough to leave the processor to the workloads.
const LANES_MAX: usize = 3;
/// Longest time that the cluster may take to be whole again after the last fault.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(90);
/// Size of a node's disk when faults need disks of their own.
const IMAGE_BYTES: u64 = 3 << 30;

/// What a soak shall do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `precinct` binary.
    pub binary: PathBuf,
    /// Number of nodes, 3 or 5.
    pub nodes: u64,
    /// How long faults go on.
    pub length: Duration,
    /// How long a fault lasts.
    pub fault: Duration,
    /// How long it is quiet between two.
    pub quiet: Duration,
    /// Decides the faults.
    pub seed: u64,
    /// Operations per second of each client of the workloads.
    pub rate: u32,
    /// Kinds of faults; empty for all that work here and that a cluster survives by itself.
    pub kinds: Vec<Kind>,
    /// Where histories and nodes' logs are kept.
    pub folder: PathBuf,
    /// Which workloads run, as [`workload::named`] reads them.
    pub workloads: Vec<String>,
}

/// Runs a soak. `say` hears what happens, line by line.
///
/// # Errors
/// When the runner itself fails. What the database does wrong is in the outcome.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<Outcome, Error> {
    std::fs::create_dir_all(&plan.folder)
        .map_err(|error| Error::system(format!("folder {}", plan.folder.display()), error))?;
    let _alone = take_folder(&plan.folder)?;
    let mut lab_plan = LabPlan::best(plan.binary.clone(), plan.nodes);
    let (kinds, unavailable) = candidates(&plan.kinds);
    for (kind, why) in &unavailable {
        say(&format!("not here: {:<16} {why}", kind.name()));
    }
    if kinds.is_empty() {
        return Err(Error::Refused("no kind of fault works here".into()));
    }
    if kinds.iter().any(|kind| kind.needs_images()) {
        lab_plan = lab_plan.with_images(IMAGE_BYTES);
    }
    let journals = lab_plan.journals.clone();
    let mut lab = Lab::start(lab_plan)?;
    let switch = Switch::arm(&plan.binary, &journals)?;
    let outcome = soak(plan, &mut lab, kinds, say);
    for node in 1..=lab.nodes() {
        let kept = plan.folder.join(format!("node-{node}.log"));
        std::fs::copy(lab.log_path(node), &kept)
            .map_err(|error| Error::system(format!("keeping {}", kept.display()), error))?;
    }
    let mut outcome = outcome?;
    outcome.unavailable = unavailable;
    lab.close()?;
    switch.disarm();
    Ok(outcome)
}

/// Keeps another soak from writing its histories over those of this one, as long as the file is open.
fn take_folder(folder: &Path) -> Result<File, Error> {
    let path = folder.join("LOCK");
    let file = File::create(&path)
        .map_err(|error| Error::system(format!("lock {}", path.display()), error))?;
    file.try_lock().map_err(|_| {
        let folder = folder.display();
        Error::Refused(format!("another soak writes into {folder}; give this one another --out"))
    })?;
    Ok(file)
}

fn soak(
    plan: &Plan,
    lab: &mut Lab,
    kinds: Vec<Kind>,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, Error> {
    let clock: Arc<SystemClock> = Arc::new(SystemClock::new());
    let nodes = (1..=lab.nodes()).map(|node| lab.opts(node)).collect();
    let mut target = Target::new(nodes, clock.clone());
    target.rate = plan.rate;
    let (for_run, folder) = (target.clone(), plan.folder.clone());
    let workloads = workload::named(&plan.workloads).map_err(|name| {
        let known: Vec<_> = workload::all().iter().map(|workload| workload.name()).collect();
        Error::Refused(format!("no workload '{name}'; there are {}", known.join(", ")))
    })?;
    let started = lab.call(async move {
        let run = Run::start(workloads, &for_run, &folder).await?;
        let mut lanes = Probe::lane_per_shard(&for_run).await?;
        lanes.truncate(LANES_MAX);
        let probe = Probe::start(&for_run, lanes).await?;
        Ok::<_, crate::history::Failure>((run, probe))
    });
    let (run, probe) = started.map_err(|error| Error::system("starting the workloads", error))?;

    let begin = clock.monotonic();
    let mut nemesis = Nemesis {
        kinds,
        rng: Rng::seeded(plan.seed),
        clock: clock.clone(),
        begin,
        round: Vec::new(),
    };
    let mut windows = Vec::new();
    std::thread::sleep(plan.quiet);
    while clock.monotonic() - begin + plan.fault < plan.length {
        let window = nemesis.one(lab, plan.fault, say)?;
        let well = window.well.is_some();
        windows.push(window);
        if !well {
            // A cluster that is not whole would be blamed for the next fault too.
            break;
        }
        std::thread::sleep(plan.quiet);
    }
    let healed = lab.heal().map_err(|error| error.to_string());
    let settled = healed.and_then(|()| nemesis::settle(lab, &clock, SETTLE_WAIT_MAX));
    let length = clock.monotonic() - begin;
    say(&format!("{:>6.1} s  healed; final reads", length.as_secs_f64()));
    let (probe, finished) = lab.call(async move { (probe.finish().await, run.finish().await) });
    Ok(Outcome {
        seed: plan.seed,
        nodes: plan.nodes,
        length,
        windows,
        finished,
        probe,
        unsettled: settled.err(),
        unavailable: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_soaks_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = take_folder(folder.path()).unwrap();
        let refused = take_folder(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("another soak") && refused.contains("--out"), "{refused}");
        drop(first);
        assert!(take_folder(folder.path()).is_ok());
    }
}
