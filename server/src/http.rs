//! Metrics (Prometheus text format), health, and one plain page for people.

use crate::collector::CollectorCounters;
use crate::local_shards::LocalShards;
use crate::replicas::Replicas;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use base::NodeId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use raft::DiskState;
use raft::host::Host;
use sql::instance::{Cluster, Instance};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// What the pages show.
pub struct HttpState {
    /// This node.
    pub node: NodeId,
    /// Local replicas.
    pub local: Arc<LocalShards>,
    /// The Raft host: log figures.
    pub host: Arc<Host>,
    /// The cluster as SQL sees it.
    pub cluster: Arc<dyn Cluster>,
    /// Replicas of this node that cannot run, and why.
    pub replicas: Arc<Replicas>,
    /// The SQL layer; set once it runs.
    pub instance: Arc<OnceLock<Arc<Instance>>>,
    /// What the collectors of old versions and of transaction records did.
    pub collected: Arc<CollectorCounters>,
}

/// The routes.
pub fn router(state: Arc<HttpState>) -> Router {
    let (metrics, health, page) = (state.clone(), state.clone(), state);
    Router::new()
        .route("/metrics", get(move || async move { metrics.metrics() }))
        .route("/healthz", get(move || async move { health.health() }))
        .route("/", get(move || async move { Html(page.page()) }))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabel {
    shard: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskLabel {
    state: String,
}

impl HttpState {
    fn metrics(&self) -> impl IntoResponse + use<> {
        let mut registry = Registry::with_prefix("precinct");
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let family = Family::<ShardLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            family
        };
        let leads = gauge(&mut registry, "replica_leader", "1 where this node leads the shard");
        let term = gauge(&mut registry, "replica_term", "Raft term of the local replica");
        let last = gauge(&mut registry, "replica_log_index", "Last log index of the local replica");
        let applied = gauge(&mut registry, "replica_applied_index", "Last applied log index");
        let unflushed =
            gauge(&mut registry, "replica_unflushed_bytes", "Bytes that a restart would replay");
        for local in self.local.all() {
            let status = local.group.status();
            let label = ShardLabel { shard: status.shard.0 };
            leads.get_or_create(&label).set(i64::from(status.role == "leader"));
            term.get_or_create(&label).set(status.term as i64);
            last.get_or_create(&label).set(status.last_log_index as i64);
            applied.get_or_create(&label).set(status.applied_index as i64);
            unflushed.get_or_create(&label).set(local.group.engine().unflushed_bytes() as i64);
        }
        let total = |registry: &mut Registry, name: &str, help: &str, value: u64| {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            registry.register(name, help, counter);
        };
        for (name, help, counter) in [
            ("gc_versions_dropped", "Old versions of rows dropped", &self.collected.dropped),
            ("gc_versions_passed", "Versions of rows looked at", &self.collected.passed),
            ("gc_passes", "Passes over a shard that came to its end", &self.collected.passes),
            (
                "gc_records_dropped",
                "Records of ended transactions dropped",
                &self.collected.records_dropped,
            ),
            (
                "gc_records_passed",
                "Records of ended transactions looked at",
                &self.collected.records_passed,
            ),
            (
                "gc_foreign_dropped",
                "Keys dropped that belong to another shard since a split",
                &self.collected.foreign_dropped,
            ),
            (
                "gc_of_dropped_tables",
                "Versions dropped because their table was",
                &self.collected.of_dropped_tables,
            ),
            ("gc_locks_resolved", "Old locks resolved", &self.collected.locks_resolved),
        ] {
            total(&mut registry, name, help, counter.load(Ordering::Relaxed));
        }
        let raft = self.host.metrics();
        let log = raft.log;
        total(&mut registry, "log_syncs", "fdatasync calls of the Raft log", log.syncs);
        total(&mut registry, "log_bytes", "Bytes written to the Raft log", log.bytes);
        total(&mut registry, "log_entries", "Entries appended to the Raft log", log.entries);
        total(
            &mut registry,
            "disk_slow_syncs",
            "Syncs of the Raft log that took long",
            log.slow_syncs,
        );
        total(&mut registry, "disk_full_waits", "Times the Raft log met a full disk", log.no_space);
        let number = |registry: &mut Registry, name: &str, help: &str, value: u64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        };
        let behind = "Age of the oldest transaction that keeps records, when last looked at, ms";
        let behind_ms = self.collected.records_behind_ms.load(Ordering::Relaxed);
        number(&mut registry, "gc_records_behind_ms", behind, behind_ms);
        number(&mut registry, "log_segments", "Raft log segments in use", log.segments);
        number(
            &mut registry,
            "log_cached_bytes",
            "Entries of the Raft log in memory",
            log.cached_bytes,
        );
        let slowest = "Slowest write and sync of the Raft log since the start, microseconds";
        number(&mut registry, "log_flush_slowest_micros", slowest, log.slowest_flush_micros);
        let free = "Free space of the data folder's disk as last seen, bytes";
        number(&mut registry, "disk_free_bytes", free, log.free_bytes);
        total(&mut registry, "scrub_passes", "Scrubs ended", raft.scrub.passes);
        total(&mut registry, "scrub_bytes", "Bytes read by scrubs, roughly", raft.scrub.bytes);
        total(&mut registry, "scrub_damaged", "Damaged places found by scrubs", raft.scrub.damaged);
        let damaged =
            "1 when the Raft log was damaged where it had been synced, as found at the start";
        number(&mut registry, "log_damaged", damaged, u64::from(raft.log_damage.is_some()));
        let disk = self.host.disk_health();
        let states = Family::<DiskLabel, Gauge>::default();
        registry.register("disk_state", "1 for the state the disk is in", states.clone());
        for state in [DiskState::Ok, DiskState::Slow, DiskState::Full, DiskState::Stalled] {
            let label = DiskLabel { state: state.word().to_string() };
            states.get_or_create(&label).set(i64::from(state == disk.state));
        }
        let transfers = raft.transfers;
        let moved = [
            ("raft_snapshot_sent_bytes", "Bytes of Raft snapshots sent", transfers.sent_bytes),
            ("raft_snapshot_received_bytes", "Bytes of them received", transfers.received_bytes),
            ("raft_snapshot_resumed_bytes", "Bytes not sent again", transfers.resumed_bytes),
            ("raft_snapshots_installed", "Raft snapshots installed", transfers.installed),
        ];
        for (name, help, value) in moved {
            total(&mut registry, name, help, value);
        }
        let checkpoints = Gauge::<i64>::default();
        checkpoints.set(transfers.checkpoints as i64);
        registry.register("raft_checkpoints", "Checkpoints kept for sending", checkpoints);
        let refusals = Family::<ReasonLabel, Counter>::default();
        for (reason, count) in raft.refused {
            refusals.get_or_create(&ReasonLabel { reason }).inc_by(count);
        }
        let help = "Streams and messages of other nodes that were refused";
        registry.register("raft_refused", help, refusals);
        if let Some(instance) = self.instance.get() {
            let (statements, connections) = instance.counters();
            total(&mut registry, "sql_statements", "Statements executed", statements);
            total(&mut registry, "sql_connections", "Sessions opened", connections);
            let open = Gauge::<i64>::default();
            open.set(instance.processes().len() as i64);
            registry.register("sql_sessions", "Sessions open now", open);
        }
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => (
                StatusCode::OK,
                [(
                    header::CONTENT_TYPE,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )],
                text,
            ),
            Err(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
                "cannot encode metrics\n".into(),
            ),
        }
    }

    /// 200 when SQL is served, every local replica runs and the disk does not hang, else 503 with the reasons.
    fn health(&self) -> (StatusCode, String) {
        let lost = self.replicas.lost().into_iter();
        let mut reasons: Vec<String> = lost
            .map(|(shard, lost)| {
                format!("replica {} of shard {}: {}", lost.replica.0, shard.0, lost.why)
            })
            .collect();
        if self.instance.get().is_none() {
            reasons.push("SQL is not served yet".into());
        }
        let disk = self.host.disk_health();
        let told = format!("disk {}: {}", disk.state.word(), disk.reason);
        if disk.state == DiskState::Stalled {
            reasons.push(told.clone());
        }
        if reasons.is_empty() {
            match disk.state {
                DiskState::Ok => (StatusCode::OK, "ok\n".into()),
                // It answers, if not as it should: nobody is helped by taking it out.
                _ => (StatusCode::OK, format!("ok\n{told}\n")),
            }
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
        }
    }

    fn page(&self) -> String {
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
             <title>PrecinctDB node {0}</title><style>body{{font-family:sans-serif;margin:2em}}table{{border-collapse:collapse;margin-bottom:2em}}\
             td,th{{border:1px solid #999;padding:.3em .8em;text-align:left}}</style><h1>PrecinctDB, seen from node {0}</h1>",
            self.node.0
        );
        page.push_str(
            "<h2>Nodes 节点</h2><table><tr><th>Node<th>SQL<th>State<th>Leaders<th>Replicas</tr>",
        );
        for node in self.cluster.nodes() {
            let _ = write!(
                page,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                node.node.0,
                escape(&node.sql_address),
                escape(&node.state),
                node.leaders,
                node.replicas
            );
        }
        page.push_str("</table><h2>Shards 分片</h2><table><tr><th>Shard<th>Slots<th>Leader<th>Replicas<th>State</tr>");
        for shard in self.cluster.shards() {
            let replicas: Vec<String> =
                shard.replicas.iter().map(|node| node.0.to_string()).collect();
            let leader = shard.leader.map_or("none".into(), |node| node.0.to_string());
            let _ = write!(
                page,
                "<tr><td>{}<td>{}<td>{leader}<td>{}<td>{}</tr>",
                shard.shard.0,
                shard.slots,
                replicas.join(", "),
                escape(&shard.state)
            );
        }
        page.push_str(
            "</table><p><a href=\"/metrics\">metrics</a> · <a href=\"/healthz\">health</a></html>",
        );
        page
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
