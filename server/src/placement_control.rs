//! What is asked of placement policies: their text becomes what planners keep to, and the slots of sets come under them.
//!
//! Asking only changes the cluster's records. The coordinator moves replicas and leaders, and splits shards at the edges.

use crate::gossip::Gossip;
use crate::meta_store::{ChangeError, MetaStore};
use base::SlotRange;
use base::limits::PLACEMENT_POLICIES_MAX;
use shard_router::policy::{constraints_text, parse_constraints, report};
use shard_router::repair::Health;
use shard_router::{ClusterState, Policy};
use sql::ast::PlacementOptions;
use sql::placement::{
    PlaceRow, PlacementAnswer, PlacementChange, PlacementRefusal, PlacementView, PolicyRow,
    PutPolicy,
};

/// Changes the policies, or which slots are under them.
///
/// # Errors
/// Why nothing was changed.
pub async fn alter(
    meta: &MetaStore,
    gossip: &Gossip,
    change: &PlacementChange,
) -> Result<PlacementAnswer, PlacementRefusal> {
    let mut answer = PlacementAnswer::default();
    let mut refusal = None;
    let edit = |state: &mut ClusterState| match apply(state, change) {
        Ok(done) => {
            answer = done;
            Ok(())
        }
        Err(why) => {
            refusal = Some(why);
            Err("refused".to_string())
        }
    };
    let changed = meta.change(edit).await;
    match changed {
        Ok(state) => {
            gossip.adopt(state);
            Ok(answer)
        }
        Err(ChangeError::Refused(why)) => Err(refusal.unwrap_or(PlacementRefusal::Other(why))),
        Err(error @ (ChangeError::Meta(_) | ChangeError::NotBegun)) => {
            let why = format!("the meta shard did not take it: {error}; ask again");
            Err(PlacementRefusal::Other(why))
        }
    }
}

/// Policies and what is under them.
pub fn view(state: &ClusterState, health: &Health) -> PlacementView {
    let policies = state.placement.policies.iter().map(|(name, policy)| PolicyRow {
        name: name.clone(),
        options: options_of(policy),
        state: policy.shortfall(name, state).unwrap_or_else(|| "ok".to_string()),
    });
    let places = report(state, health).into_iter();
    let places =
        places.map(|row| PlaceRow { slots: row.slots, policy: row.policy, state: row.state });
    PlacementView { policies: policies.collect(), places: places.collect() }
}

/// Changes a state.
fn apply(
    state: &mut ClusterState,
    change: &PlacementChange,
) -> Result<PlacementAnswer, PlacementRefusal> {
    let mut answer = PlacementAnswer::default();
    let placement = &mut state.placement;
    let named = match change {
        PlacementChange::Put { name, options, how } => {
            let exists = placement.policies.contains_key(name);
            match how {
                PutPolicy::New if exists => return Err(PlacementRefusal::Exists),
                PutPolicy::Old if !exists => return Err(PlacementRefusal::Unknown),
                PutPolicy::New | PutPolicy::Old | PutPolicy::Either => {}
            }
            if !exists && placement.policies.len() >= PLACEMENT_POLICIES_MAX {
                return Err(PlacementRefusal::Other(format!(
                    "there are {PLACEMENT_POLICIES_MAX} placement policies, as many as there may be; drop one"
                )));
            }
            let policy = policy_of(options).map_err(PlacementRefusal::Other)?;
            placement.policies.insert(name.clone(), policy);
            Some(name)
        }
        PlacementChange::Drop { name } => {
            if let Some(slots) = placement.used_for(name) {
                return Err(PlacementRefusal::InUse(slots));
            }
            placement.policies.remove(name).ok_or(PlacementRefusal::Unknown)?;
            None
        }
        PlacementChange::Assign { slots, policy } => {
            if policy.as_ref().is_some_and(|name| !placement.policies.contains_key(name)) {
                return Err(PlacementRefusal::Unknown);
            }
            placement.assign(*slots, policy.as_deref());
            policy.as_ref()
        }
        PlacementChange::Use { policy, sets } => {
            if !placement.policies.contains_key(policy) {
                return Err(PlacementRefusal::Unknown);
            }
            let own = |set: &&SlotRange| {
                placement.of(**set).is_some_and(|(name, _)| name == policy.as_str())
            };
            let own = sets.iter().find(own).copied();
            let is_free = |set: &&SlotRange| {
                let mut places = placement.places.iter().map(|place| place.slots);
                places.all(|place| place.end <= set.start || set.end <= place.start)
            };
            let free = sets.iter().rev().find(is_free).copied();
            let slots = own.or(free).ok_or(PlacementRefusal::NoSet)?;
            answer.slots = Some(slots);
            answer.taken = own.is_none();
            placement.assign(slots, Some(policy));
            Some(policy)
        }
    };
    if let Some(name) = named {
        let policy = state.placement.policies.get(name);
        answer.warnings.extend(policy.and_then(|policy| policy.shortfall(name, state)));
    }
    Ok(answer)
}

/// What options say.
fn policy_of(options: &PlacementOptions) -> Result<Policy, String> {
    let text = |value: &Option<String>| value.as_deref().unwrap_or_default().trim().to_string();
    let regions = text(&options.regions);
    let regions = regions.split(',').map(str::trim).filter(|region| !region.is_empty());
    let policy = Policy {
        primary_region: text(&options.primary_region),
        regions: regions.map(str::to_string).collect(),
        followers: u32::try_from(options.followers.unwrap_or(0)).unwrap_or(u32::MAX),
        constraints: parse_constraints(&text(&options.constraints))?,
        leader_constraints: parse_constraints(&text(&options.leader_constraints))?,
    };
    policy.check()?;
    Ok(policy)
}

/// The options that say what a policy does.
fn options_of(policy: &Policy) -> PlacementOptions {
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    PlacementOptions {
        primary_region: said(policy.primary_region.clone()),
        regions: said(policy.regions.join(",")),
        constraints: said(constraints_text(&policy.constraints)),
        leader_constraints: said(constraints_text(&policy.leader_constraints)),
        followers: (policy.followers > 0).then(|| u64::from(policy.followers)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::NodeId;
    use shard_router::{NodeInfo, Placement, RebalanceSettings};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Three nodes, one of them in paris.
    fn state() -> ClusterState {
        let founders: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&founders, 4, 3).unwrap().map);
        let node = |(id, zone): (u64, &str)| {
            (NodeId(id), NodeInfo { zone: zone.to_string(), ..NodeInfo::default() })
        };
        ClusterState {
            id: 4,
            version: 2,
            replication: 3,
            nodes: [(1, "paris/a"), (2, "rome/a"), (3, "rome/b")].map(node).into(),
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: Placement::default(),
        }
    }

    fn put(how: PutPolicy) -> PlacementChange {
        let regions = Some("paris, rome".to_string());
        let options = PlacementOptions { regions, ..PlacementOptions::default() };
        PlacementChange::Put { name: "eu".into(), options, how }
    }

    #[test]
    fn policies_are_put_used_and_dropped() {
        let mut state = state();
        let sets = SlotRange::even(2);
        let wanted = PlacementChange::Use { policy: "eu".into(), sets: sets.clone() };
        assert_eq!(apply(&mut state, &put(PutPolicy::Old)), Err(PlacementRefusal::Unknown));
        assert_eq!(apply(&mut state, &wanted), Err(PlacementRefusal::Unknown));
        assert_eq!(apply(&mut state, &put(PutPolicy::New)), Ok(PlacementAnswer::default()));
        assert_eq!(apply(&mut state, &put(PutPolicy::New)), Err(PlacementRefusal::Exists));
        let answer = apply(&mut state, &wanted).unwrap();
        assert_eq!((answer.slots, answer.taken), (Some(sets[1]), true), "the last set is free");
        let answer = apply(&mut state, &wanted).unwrap();
        assert_eq!((answer.slots, answer.taken), (Some(sets[1]), false));
        let drop = PlacementChange::Drop { name: "eu".into() };
        assert_eq!(apply(&mut state, &drop), Err(PlacementRefusal::InUse(sets[1])));
        let back = PlacementChange::Assign { slots: sets[1], policy: None };
        apply(&mut state, &back).unwrap();
        apply(&mut state, &drop).unwrap();
        assert_eq!(state.placement, Placement::default());
    }

    #[test]
    fn what_cannot_be_met_or_makes_no_sense_is_told() {
        let mut state = state();
        let asked = |regions: &str, primary: Option<&str>| PlacementChange::Put {
            name: "eu".into(),
            options: PlacementOptions {
                regions: Some(regions.into()),
                primary_region: primary.map(str::to_string),
                ..PlacementOptions::default()
            },
            how: PutPolicy::Either,
        };
        let answer = apply(&mut state, &asked("rome", None)).unwrap();
        assert!(answer.warnings[0].contains("allows only nodes 2, 3"), "{answer:?}");
        let refused = apply(&mut state, &asked("rome", Some("oslo"))).unwrap_err();
        let PlacementRefusal::Other(why) = &refused else { panic!("{refused:?}") };
        assert!(why.contains("'oslo' is not one of REGIONS"), "{why}");
        let all = (1..=3).map(NodeId).collect();
        let told = view(&state, &Health { alive: all, ..Health::default() });
        assert_eq!(told.policies[0].options.text(), "REGIONS=\"rome\"");
        assert!(told.policies[0].state.contains("cannot be met"), "{told:?}");
    }

    #[test]
    fn options_come_back_as_they_were_said() {
        let options = PlacementOptions {
            primary_region: Some("paris".into()),
            regions: Some("paris,rome".into()),
            constraints: Some("[-zone=b]".into()),
            leader_constraints: Some("[+zone=a]".into()),
            followers: Some(4),
        };
        assert_eq!(options_of(&policy_of(&options).unwrap()), options);
    }
}
