//! While eight clients insert, each node is killed with SIGKILL in turn and restarted, then all three
//! within one second. Every acknowledged row must be there afterwards, and no client may be without an
//! acknowledgement for more than ten seconds.

use chaos::cluster::Cluster;
use chaos::writers::Writers;
use std::time::Duration;

const CLIENTS: u64 = 8;
/// Acknowledgements that each client must have had, so that the test means something.
const WRITES_MIN: usize = 100;
/// Time of quiet work before and after each kill.
const QUIET: Duration = Duration::from_secs(2);

#[test]
fn acknowledged_rows_survive_the_kill_of_every_node_and_of_all() {
    let cluster = Cluster::start(3, 15_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    Writers::prepare(&runtime, cluster.opts(1));
    let nodes: Vec<_> = (1..=cluster.nodes()).map(|node| cluster.opts(node)).collect();
    let writers = Writers::start(&runtime, CLIENTS, &nodes, Duration::ZERO);

    let rounds = if std::env::var_os("PRECINCT_SOAK").is_some() { 10 } else { 1 };
    for _ in 0..rounds {
        for node in 1..=cluster.nodes() {
            std::thread::sleep(QUIET);
            cluster.kill(node);
            std::thread::sleep(QUIET);
            cluster.restart(node);
        }
        std::thread::sleep(QUIET);
        (1..=cluster.nodes()).for_each(|node| cluster.kill(node));
        std::thread::scope(|scope| {
            for node in 1..=cluster.nodes() {
                let cluster = &cluster;
                scope.spawn(move || cluster.restart(node));
            }
        });
    }
    std::thread::sleep(QUIET);
    writers.finish(&runtime, &cluster.opts(1), WRITES_MIN);
}
