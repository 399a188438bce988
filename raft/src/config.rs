//! openraft's settings, every one of them set here, and why it has its value.
//!
//! The relations between them are asserted by a test, so that a changed default cannot slip in
//! (`docs` of the values: consensus blueprint, section 4).

use base::limits;
use openraft::{Config, SnapshotPolicy, StepDownPolicy};
use std::sync::Arc;
use std::time::Duration;

/// A leader that lost its quorum stops heartbeats for this long, so that a connected majority can elect
/// (openraft issue 2080). At least twice the longest election timeout.
pub const QUORUM_LOSS_PROBE_INTERVAL: Duration = Duration::from_millis(3000);

/// How long a replica with state abstains from elections after a start: the longest lease that the
/// forgotten acknowledgement may still carry, stretched by a clock that runs 10 % wrong on either side.
pub const VOTE_GATE: Duration = Duration::from_millis(1440);

/// How far apart replicas whose gates open together begin to stand for election.
pub const GATE_SPREAD: Duration = Duration::from_millis(500);

const _: () = {
    assert!(QUORUM_LOSS_PROBE_INTERVAL.as_millis() >= 2 * limits::ELECTION_TIMEOUT_MAX.as_millis());
    assert!(VOTE_GATE.as_millis() * 10 >= limits::ELECTION_TIMEOUT_MAX.as_millis() * 12);
};

/// The settings of every group.
///
/// # Panics
/// When they contradict each other; they are constants, so the config test would have failed before.
pub fn raft_config() -> Arc<Config> {
    let heartbeat = limits::HEARTBEAT_INTERVAL.as_millis() as u64;
    #[allow(deprecated)] // `send_snapshot_timeout`: named so that every field is set here.
    let config = Config {
        cluster_name: "precinct".to_string(),
        election_timeout_min: limits::ELECTION_TIMEOUT_MIN.as_millis() as u64,
        election_timeout_max: limits::ELECTION_TIMEOUT_MAX.as_millis() as u64,
        // Also the time an AppendEntries may take, so not below 200 ms.
        heartbeat_interval: heartbeat,
        // Below the interval, so that one heartbeat that comes a little early is not left out.
        heartbeat_min_interval: Some(heartbeat * 3 / 4),
        // Snapshots travel by our own transport, which has its own limits.
        install_snapshot_timeout: 200,
        send_snapshot_timeout: 0,
        max_payload_entries: 300,
        max_append_entries: Some(4096),
        // Unused by this version: a snapshot is sent only when the entries needed are purged.
        replication_lag_threshold: 5000,
        // Our own driver decides when to snapshot and purge (`purge`).
        snapshot_policy: SnapshotPolicy::Never,
        snapshot_max_chunk_size: 3 << 20,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1,
        api_channel_size: Some(65_536),
        api_batch_capacity: 4096,
        api_batch_linger_ms: 0,
        notification_channel_size: Some(65_536),
        state_machine_channel_size: Some(1024),
        log_stage_capacity: None,
        broadcast_submitted_on_append: Some(false),
        enable_tick: true,
        enable_heartbeat: true,
        enable_elect: true,
        removed_leader_step_down: StepDownPolicy::After(heartbeat),
        quorum_loss_probe_interval: Some(QUORUM_LOSS_PROBE_INTERVAL.as_millis() as u64),
        enable_pre_vote: Some(true),
        backoff: "50ms 100ms 200ms ..500ms".to_string(),
        reset_backoff_on_transfer_leader: Some(true),
        // A follower that lost its log must never be taken for one that was merely slow.
        allow_log_reversion: Some(false),
        // A restarted leader has forgotten its lease: it must win an election again.
        enable_leader_restore: Some(false),
    };
    Arc::new(config.validate().expect("the settings contradict each other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_relations() {
        let config = raft_config();
        let tick = config.heartbeat_interval * 13 / 64;
        assert!(
            config.heartbeat_interval + config.heartbeat_min_interval.unwrap() + tick
                < config.election_timeout_min
        );
        assert!(config.quorum_loss_probe_interval.unwrap() >= 2 * config.election_timeout_max);
        assert!(limits::LEASE_READ_MAX.as_millis() as u64 * 10 <= config.election_timeout_max * 8);
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.enable_leader_restore, Some(false));
        assert_eq!(config.allow_log_reversion, Some(false));
        assert_eq!(config.snapshot_policy, SnapshotPolicy::Never);
        assert_eq!(config.max_in_snapshot_log_to_keep, u64::MAX);
    }

    #[test]
    fn a_write_without_quorum_is_answered_after_a_failover_could_have_happened() {
        let failover = limits::ELECTION_TIMEOUT_MAX * 2;
        assert!(limits::PROPOSE_WAIT_MAX > failover);
    }
}
