//! How one change of members goes through, once its new replica has everything: step by step, as the product's
//! `change::next_step` says from what the group's leader would see.

use super::world::World;
use base::{NodeId, ReplicaId, ShardId};
use shard_router::change::{GroupView, MemberView, Role, Step, next_step};
use shard_router::{Job, ShardInfo};

/// Steps of one change, at most.
const STEPS_MAX: usize = 20;

/// How a change ended.
enum End {
    /// The map is to name the new replica; the node of this replica leads.
    Done(ReplicaId),
    /// It was taken back.
    Undone,
    /// It waits for something.
    Waits,
}

impl World<'_> {
    /// A new replica has everything, or its job was taken back.
    pub(super) fn arrived(&mut self, shard: ShardId, replica: ReplicaId, tries: u32) {
        let job = self.state.jobs.get(&shard).filter(|job| job.add.0 == replica).cloned();
        let (Some(job), Some(info)) = (job, self.state.map.shard(shard).cloned()) else { return };
        let Some(leader) = self.leader_of(shard) else {
            self.wait_for(shard, replica, tries);
            return;
        };
        match self.carry(&job, &info, leader) {
            End::Done(leads) => self.finish(shard, &job, &info, leads),
            End::Undone => {
                self.state.jobs.remove(&shard);
                let bytes = self.size(shard);
                self.weigh(job.add.1, |used| used.saturating_sub(bytes));
                self.tally.taken_back += 1;
                self.acted();
                self.look_soon(self.gather);
            }
            End::Waits => self.wait_for(shard, replica, tries),
        }
    }

    /// Takes every step there is.
    fn carry(&mut self, job: &Job, info: &ShardInfo, leader: NodeId) -> End {
        let view = |replica: ReplicaId, node: NodeId, role: Role| MemberView {
            replica,
            node,
            role,
            keeps_up: self.is_up(node) && !self.filled.contains(&node),
            lacks: 0,
        };
        let voters = info.replicas.iter().map(|(replica, node)| view(*replica, *node, Role::Voter));
        let learner = view(job.add.0, job.add.1, Role::Learner);
        let members: Vec<MemberView> = voters.chain([learner]).collect();
        let led_by = members.iter().find(|member| member.node == leader);
        let Some(led_by) = led_by.map(|member| member.replica) else { return End::Waits };
        let mut group = GroupView { leader: led_by, settled: true, members };
        for _ in 0..STEPS_MAX {
            let (_, step) = next_step(job, &group);
            match step {
                Step::Finish => return End::Done(group.leader),
                Step::Drop => return End::Undone,
                Step::Wait(_) => return End::Waits,
                Step::AddLearner(..) => {
                    self.broken(format!("{} is to become what it is, a learner", job.add.0));
                    return End::Waits;
                }
                Step::TransferLeader(node) => {
                    let heir = group.members.iter().find(|member| member.node == node);
                    group.leader = heir.map_or(group.leader, |heir| heir.replica);
                }
                Step::ChangeVoters(voters) => {
                    if !voters.contains(&group.leader) {
                        self.broken(format!("the leader of {} would lose its vote", info.id));
                    }
                    for member in &mut group.members {
                        let votes = voters.contains(&member.replica);
                        member.role = if votes { Role::Voter } else { Role::Learner };
                    }
                }
                Step::RemoveMember(replica) => {
                    group.members.retain(|member| member.replica != replica);
                }
            }
        }
        self.broken(format!("the change of {} comes to no end", info.id));
        End::Waits
    }

    /// The map names the new replica.
    fn finish(&mut self, shard: ShardId, job: &Job, info: &ShardInfo, leads: ReplicaId) {
        let replaced = self.state.finished(shard).and_then(|done| self.state.replace_shard(done));
        if let Err(error) = replaced {
            self.broken(error.to_string());
            return;
        }
        self.state.jobs.remove(&shard);
        let bytes = self.size(shard);
        let gone = info.replicas.iter().find(|(replica, _)| Some(*replica) == job.remove);
        if let Some((_, node)) = gone {
            self.weigh(*node, |used| used.saturating_sub(bytes));
        }
        let mut all = info.replicas.iter().chain([&job.add]);
        if let Some((_, node)) = all.find(|(replica, _)| *replica == leads) {
            self.leaders.insert(shard, *node);
        }
        self.tally.moves += 1;
        self.tally.bytes += bytes;
        *self.tally.by_shard.entry(shard).or_default() += 1;
        self.acted();
        self.look_soon(self.gather);
        self.balance_soon();
    }
}
