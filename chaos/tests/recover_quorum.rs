//! Two of three nodes are gone for good: `precinct recover-quorum` makes the cluster go on from the third, with
//! its rows, and it grows again. A lost node that comes back after all is told that it has left.

use chaos::cluster::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::path::Path;
use std::time::Duration;

const ROWS: u64 = 2000;
/// The node that is left.
const SURVIVOR: u16 = 3;
/// The node whose disk is destroyed.
const DESTROYED: u16 = 1;
/// The node that comes back when the others have gone on without it.
const LATE: u16 = 2;
/// Looks until every shard has three replicas again.
const GROWTH_LOOKS: u32 = 240;
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long nothing is written before the nodes end, so that the survivor has everything.
const QUIET: Duration = Duration::from_secs(3);
/// Exit code of `precinct` when it refuses beforehand.
const REFUSED: i32 = 4;

#[test]
fn a_survivor_goes_on_and_the_cluster_grows_again() {
    let mut cluster = Cluster::start(3, 15_600);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        cluster.fill(1, ROWS).await;
        tokio::time::sleep(QUIET).await;
    });
    let data = cluster.node_folder(SURVIVOR);
    let folder = data.to_str().expect("a plain path").to_string();
    let recover = |more: &[&str]| {
        let args = [&["recover-quorum", "--data", &folder][..], more].concat();
        cluster.offline(&args)
    };
    let (code, _, why) = recover(&["--accept-data-loss"]);
    assert_eq!(code, REFUSED, "{why}");
    assert!(why.contains("another process uses this data folder"), "{why}");

    cluster.kill(SURVIVOR);
    let (code, _, why) = recover(&["--accept-data-loss"]);
    assert_eq!(code, REFUSED, "{why}");
    assert!(why.contains("still answers"), "{why}");
    cluster.kill(DESTROYED);
    cluster.kill(LATE);
    std::fs::remove_dir_all(cluster.node_folder(DESTROYED)).expect("a disk to destroy");

    let before = replicas(&data);
    let (code, plan, why) = recover(&["--dry-run"]);
    assert_eq!(code, 0, "{why}");
    for wanted in
        ["from node 3 alone", "shard 0: replica", "only in its log", "leave for good: 1, 2"]
    {
        assert!(plan.contains(wanted), "no {wanted:?} in\n{plan}");
    }
    let (code, again, why) = recover(&[]);
    assert_eq!((code, again), (REFUSED, plan.clone()), "{why}");
    assert!(why.contains("--accept-data-loss"), "{why}");
    assert_eq!(replicas(&data), before, "something was changed without consent");

    let (code, done, why) = recover(&["--accept-data-loss"]);
    assert_eq!(code, 0, "{why}");
    assert!(done.starts_with(&plan) && done.contains("Done:"), "{done}");
    let after = replicas(&data);
    assert!(
        after.len() == before.len() && after.iter().all(|name| !before.contains(name)),
        "{after:?}"
    );
    for name in &before {
        assert!(data.join("set-aside").join(name).join("db").is_dir(), "no evidence of {name}");
    }
    let (code, _, why) = recover(&["--accept-data-loss"]);
    assert_eq!(code, REFUSED, "a second time: {why}");
    assert!(why.contains("only member of all its shards already"), "{why}");

    cluster.restart(SURVIVOR);
    runtime.block_on(async {
        let mut conn = Conn::new(cluster.opts(SURVIVOR)).await.expect("the survivor answers");
        assert_eq!(sums(&mut conn).await, (ROWS, 0));
        conn.query_drop("UPDATE t.rows_ SET n = n + 1").await.expect("it takes writes");
        assert_eq!(sums(&mut conn).await, (ROWS, ROWS));
    });

    let late = replicas(&cluster.node_folder(LATE));
    let why = cluster.try_restart(LATE).expect_err("it has left");
    assert!(why.contains("has left the cluster"), "{why}");
    assert_eq!(replicas(&cluster.node_folder(LATE)), late, "the late node removed its data");

    cluster.add();
    cluster.add();
    runtime.block_on(async {
        let mut conn = Conn::new(cluster.opts(SURVIVOR)).await.expect("the survivor answers");
        let mut shards = Vec::new();
        for _ in 0..GROWTH_LOOKS {
            shards = states(&mut conn).await;
            if shards.iter().all(|(replicas, state)| *replicas == 3 && state.starts_with("ok")) {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        let grown =
            shards.iter().all(|(replicas, state)| *replicas == 3 && state.starts_with("ok"));
        assert!(grown, "{shards:?}\n{}", cluster.logs());
    });
    // What was rebuilt is in the new replicas too.
    cluster.kill(SURVIVOR);
    runtime.block_on(async {
        let mut conn = Conn::new(cluster.opts(4)).await.expect("a new node answers");
        conn.query_drop("UPDATE t.rows_ SET n = n + 1").await.expect("a quorum of new nodes");
        assert_eq!(sums(&mut conn).await, (ROWS, 2 * ROWS));
    });
}

/// Number of rows, and the sum of their `n`.
async fn sums(conn: &mut Conn) -> (u64, u64) {
    let sums = conn.query_first("SELECT COUNT(*), SUM(n) FROM t.rows_").await.expect("a sum");
    sums.expect("one row")
}

/// Number of replicas and state of every shard.
async fn states(conn: &mut Conn) -> Vec<(usize, String)> {
    let rows: Vec<Row> = conn.query("SHOW SHARDS").await.expect("shards");
    let state = |row: &Row| {
        let replicas: String = row.get("Replicas").expect("replicas");
        (replicas.split(',').count(), row.get("State").expect("a state"))
    };
    rows.iter().map(state).collect()
}

/// Names of the replica folders of a node.
fn replicas(data: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(data.join("replicas")).expect("replica folders");
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("a folder").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
