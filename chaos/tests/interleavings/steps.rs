//! A coordinator that dies at every step: right before each of its requests, and right after each of its writes was
//! executed, before it hears of it. Its requests that were sent together with that write arrive.

use crate::explorer::{self, Budget, Schedule};
use crate::judge::LAST_READER;
use crate::scenario::{ASYNCHRONOUS, Death, Scenario, TWO_PHASES, TWO_STEPS, When};
use crate::story::Told;
use txn::testing::OnTheWay;

/// What every death comes to.
const STEPS: &str = include_str!("steps.txt");

/// The invariants hold after every death, and what becomes of the transaction is as written down.
pub fn coordinator_dies_at_every_step() {
    let mut listing = String::new();
    for scenario in [ASYNCHRONOUS, TWO_PHASES, TWO_STEPS] {
        listing.push_str(&format!("{}\n", scenario.name));
        let (party, _) = scenario.parties[0];
        for ordinal in 1.. {
            let before = die(
                &scenario,
                Death {
                    party,
                    ordinal,
                    when: When::Before,
                    on_the_way: OnTheWay::Lost,
                    late: false,
                },
            );
            // It was done before it came so far.
            let Some(before) = before else { break };
            listing.push_str(&format!("  before {before}\n"));
            // A timestamp and a read change nothing: who dies after them dies before the next request.
            let after = die(
                &scenario,
                Death {
                    party,
                    ordinal,
                    when: When::Executed,
                    on_the_way: OnTheWay::Arrives,
                    late: false,
                },
            );
            if let Some(after) = after {
                listing.push_str(&format!("  after {after}\n"));
            }
        }
    }
    assert!(listing == STEPS, "other steps than in steps.txt:\n{listing}");
}

/// Runs a death: at which request, and what comes of it. `None` when the party never gets so far.
fn die(scenario: &Scenario, death: Death) -> Option<String> {
    let scenario = Scenario { death: Some(death), ..*scenario };
    let run = explorer::perform(&scenario, &Schedule::default(), Budget::NONE);
    if let Err(broken) = &run.outcome {
        let found = explorer::show(&scenario, Schedule::default(), Budget::NONE);
        panic!("{death:?}: {broken:?}\n{}", found.trace.join("\n"));
    }
    let died_at = run.died_at?;
    let mut told = run.pages.told.iter().map(|(_, told, _)| match told {
        Told::Committed => "committed",
        Told::Refused(_) => "refused",
        Told::Unknown => "unknown",
    });
    let told = told.next_back().unwrap_or("nothing");
    let last = run.pages.sights.iter().find(|sight| sight.party == LAST_READER)?;
    let there = if last.looks[0].a.is_empty() { "gone" } else { "there" };
    let at = format!("{} at shard {}", died_at.request, died_at.shard.0);
    let at = if died_at.request == "timestamp" { "timestamp".to_string() } else { at };
    Some(format!("{} {at}: told {told}, {there}", death.ordinal))
}
