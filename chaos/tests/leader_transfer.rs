//! An operator moves leaders by command: each shard to each of its nodes while a client writes, and every refusal
//! says why.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use std::time::Duration;

const CLIENTS: u64 = 2;
/// Pause of a client after each row: the nodes have other work here.
const PAUSE: Duration = Duration::from_millis(5);
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 20;
/// Times that a move is asked for again: another one may be under way, by the balancer.
const TRIES_MAX: usize = 40;
/// Pause between two of them.
const TRY_PAUSE: Duration = Duration::from_millis(200);

#[test]
fn leaders_move_by_command_under_writes_and_refusals_say_why() {
    let mut cluster = Cluster::start(3, 16_700);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));

    refused(&cluster, "99", "1", "there is no shard 99; the last one is 8");
    refused(&cluster, "1", "9", "there is no node 9; there are 1, 2, 3");
    cluster.add();
    refused(&cluster, "1", "4", "node 4 holds no replica of shard 1");

    let nodes = [cluster.opts(1), cluster.opts(2)];
    let clients = Writers::start(&runtime, CLIENTS, &nodes, PAUSE);
    for shard in ["0", "1", "5"] {
        for to in ["2", "3", "1"] {
            move_to(&cluster, shard, to);
        }
    }
    cluster.kill(3);
    refused(&cluster, "1", "3", "node 3 does not answer");
    cluster.restart(3);
    clients.finish(&runtime, &cluster.opts(1), WRITES_MIN);
}

/// A move is refused with these words; asked again until node 1 has heard what they say.
fn refused(cluster: &Cluster, shard: &str, to: &str, words: &str) {
    let mut told = String::new();
    for _ in 0..TRIES_MAX {
        let (code, _, why) = cluster.precinct(1, &["shard", "transfer-leader", shard, "--to", to]);
        if code == 4 && why.contains(words) {
            return;
        }
        told = format!("exit code {code}: {why}");
        std::thread::sleep(TRY_PAUSE);
    }
    panic!("shard {shard} to node {to}: {told}\n{}", cluster.logs());
}

/// Moves a shard to a node; where it is already, that is refused.
fn move_to(cluster: &Cluster, shard: &str, to: &str) {
    let mut told = String::new();
    for _ in 0..TRIES_MAX {
        let (code, out, why) =
            cluster.precinct(1, &["shard", "transfer-leader", shard, "--to", to, "-o", "json"]);
        if code == 0 {
            assert!(out.contains("new_leader"), "{out}");
            return;
        }
        if why.contains(&format!("node {to} leads shard {shard} already")) {
            assert_eq!(code, 4, "{why}");
            return;
        }
        told = why;
        std::thread::sleep(TRY_PAUSE);
    }
    panic!("shard {shard} does not move to node {to}: {told}\n{}", cluster.logs());
}
