//! mysql_async against a three-process cluster: prepared statements, types, wrong password, RSA and TLS
//! logins, 100,000 rows, LOCAL INFILE, transactions across shards.

use chaos::cluster::Cluster;
use futures::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder, Row, SslOpts, Value};

#[test]
fn a_rust_client_gets_what_it_expects() {
    // Only this process: the client picks a cipher library by it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cluster = Cluster::start(3, 15_200);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        statements(&cluster).await;
        logins(&cluster).await;
        large_result(&cluster).await;
        transaction_over_shards(&cluster).await;
        locks_over_nodes(&cluster).await;
        killed_waits_over_nodes(&cluster).await;
        locked_tables_over_nodes(&cluster).await;
    });
}

async fn root(cluster: &Cluster, node: u16) -> Conn {
    Conn::new(cluster.opts(node)).await.expect("root may log in from this machine")
}

fn code(error: &Error) -> u16 {
    match error {
        Error::Server(error) => error.code,
        other => panic!("not an answer of the server: {other}"),
    }
}

/// Waits of every node's session at the leaders of a row and of a name, wherever those are: KILL leaves nothing of them.
async fn killed_waits_over_nodes(cluster: &Cluster) {
    let (mut holder, mut other) = (root(cluster, 1).await, root(cluster, 2).await);
    let moment = std::time::Duration::from_millis(400);
    holder.query_drop("CREATE TABLE rs.w (id INT PRIMARY KEY, v INT)").await.unwrap();
    holder.query_drop("INSERT INTO rs.w VALUES (1, 0)").await.unwrap();
    for node in 1..=3 {
        let mut waiter = root(cluster, node).await;
        let kill = format!("KILL QUERY {}", waiter.id());
        holder.query_drop("BEGIN").await.unwrap();
        holder.query_drop("UPDATE rs.w SET v = v + 1 WHERE id = 1").await.unwrap();
        holder.query_drop("DO GET_LOCK('w', 0)").await.unwrap();
        waiter.query_drop("BEGIN").await.unwrap();
        let update = "UPDATE rs.w SET v = v + 1 WHERE id = 1";
        for statement in [update, update, "DO GET_LOCK('w', 100)", "DO GET_LOCK('w', 100)"] {
            let killed = async {
                tokio::time::sleep(moment).await;
                other.query_drop(kill.clone()).await.unwrap();
            };
            let (waited, ()) = futures::join!(waiter.query_drop(statement), killed);
            assert_eq!(code(&waited.unwrap_err()), 1317, "node {node}: {statement}");
        }
        tokio::time::sleep(moment).await;
        let locks = "SELECT LOCK_STATUS FROM performance_schema.data_locks";
        let held: Vec<String> = other.query(locks).await.unwrap();
        assert_eq!(held, ["GRANTED"], "node {node}: only the holder's");
        holder.query_drop("COMMIT").await.unwrap();
        holder.query_drop("DO RELEASE_LOCK('w')").await.unwrap();
        let held: Vec<String> = other.query(locks).await.unwrap();
        assert!(held.is_empty(), "node {node}: {held:?} was granted to nobody");
        let got: Option<i64> = other.query_first("SELECT GET_LOCK('w', 0)").await.unwrap();
        assert_eq!(got, Some(1), "node {node}: the name is free");
        other.query_drop("DO RELEASE_LOCK('w')").await.unwrap();
        waiter.query_drop("ROLLBACK").await.unwrap();
        waiter.disconnect().await.unwrap();
    }
    for conn in [holder, other] {
        conn.disconnect().await.unwrap();
    }
}

/// Sessions of three nodes: waits, KILL from elsewhere, a deadlock that no single node sees, locks by name.
async fn locks_over_nodes(cluster: &Cluster) {
    let (mut a, mut b, mut c) =
        (root(cluster, 1).await, root(cluster, 2).await, root(cluster, 3).await);
    a.query_drop("CREATE TABLE rs.l (id INT PRIMARY KEY, v INT)").await.unwrap();
    a.query_drop("INSERT INTO rs.l VALUES (1, 0), (2, 0), (3, 0), (4, 0)").await.unwrap();
    let id = b.id();
    a.query_drop("BEGIN").await.unwrap();
    a.query_drop("UPDATE rs.l SET v = 1 WHERE id = 1").await.unwrap();
    let killed = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let who = "SELECT r.trx_mysql_thread_id, r.trx_query, b.trx_mysql_thread_id
             FROM performance_schema.data_lock_waits w
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID";
        let who: Vec<(u32, String, u32)> = c.query(who).await.unwrap();
        c.query_drop(format!("KILL QUERY {id}")).await.unwrap();
        who
    };
    let update = "UPDATE rs.l SET v = 2 WHERE id = 1";
    let (waited, who) = futures::join!(b.query_drop(update), killed);
    assert_eq!(code(&waited.unwrap_err()), 1317);
    assert_eq!(who, [(id, update.to_string(), a.id())], "a third node sees who waits for whom");
    let nobody = c.query_drop(format!("KILL QUERY {}", id + 1000)).await;
    assert_eq!(code(&nobody.unwrap_err()), 1094);
    a.query_drop("COMMIT").await.unwrap();

    // Each round has another pair of rows, so that their shards' leaders are the same node or not.
    for (mine, yours) in [(1, 2), (2, 3), (3, 4), (4, 1)] {
        for (conn, row) in [(&mut a, mine), (&mut b, yours)] {
            conn.query_drop("BEGIN").await.unwrap();
            conn.query_drop(format!("UPDATE rs.l SET v = v + 1 WHERE id = {row}")).await.unwrap();
        }
        let (first, second) = futures::join!(
            a.query_drop(format!("UPDATE rs.l SET v = v + 1 WHERE id = {yours}")),
            b.query_drop(format!("UPDATE rs.l SET v = v + 1 WHERE id = {mine}")),
        );
        let codes: Vec<u16> =
            [first, second].iter().filter_map(|r| r.as_ref().err()).map(code).collect();
        assert_eq!(codes, [1213], "rows {mine} and {yours}");
        a.query_drop("COMMIT").await.unwrap();
        b.query_drop("COMMIT").await.unwrap();
    }
    let sum: Option<i64> = c.query_first("SELECT SUM(v) FROM rs.l").await.unwrap();
    assert_eq!(sum, Some(1 + 4 * 2), "of each pair one transaction of two updates");
    let status: Option<(String, String, String)> =
        c.query_first("SHOW ENGINE INNODB STATUS").await.unwrap();
    let (_, _, status) = status.expect("one row");
    assert!(status.contains("\nLATEST DETECTED DEADLOCK\n"), "{status}");

    let got: Option<i64> = a.query_first("SELECT GET_LOCK('import', 0)").await.unwrap();
    assert_eq!(got, Some(1));
    let holder: Option<u32> = c.query_first("SELECT IS_USED_LOCK('import')").await.unwrap();
    assert_eq!(holder, Some(a.id()));
    let gone = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        a.disconnect().await.unwrap();
    };
    let (got, ()) = futures::join!(b.query_first("SELECT GET_LOCK('import', 20)"), gone);
    assert_eq!(got.unwrap(), Some(1_i64), "the lock of a session that has ended");
}

/// LOCK TABLES at one node holds up sessions of another one, and goes with its session.
async fn locked_tables_over_nodes(cluster: &Cluster) {
    let (mut a, mut b) = (root(cluster, 1).await, root(cluster, 2).await);
    a.query_drop("CREATE TABLE rs.locked (id INT PRIMARY KEY)").await.unwrap();
    b.query_drop("INSERT INTO rs.locked VALUES (1)").await.unwrap();
    b.query_drop("SET lock_wait_timeout = 1").await.unwrap();
    a.query_drop("LOCK TABLES rs.locked READ").await.unwrap();
    let refused = b.query_drop("INSERT INTO rs.locked VALUES (2)").await;
    assert_eq!(code(&refused.unwrap_err()), 1205);
    let seen: Option<i64> = b.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(1), "a table that is locked with READ is read by all");
    a.query_drop("UNLOCK TABLES").await.unwrap();
    b.query_drop("INSERT INTO rs.locked VALUES (2)").await.unwrap();

    // An open transaction of another node is waited for.
    b.query_drop("SET lock_wait_timeout = 30").await.unwrap();
    b.query_drop("BEGIN").await.unwrap();
    b.query_drop("INSERT INTO rs.locked VALUES (3)").await.unwrap();
    a.query_drop("SET lock_wait_timeout = 1").await.unwrap();
    let refused = a.query_drop("LOCK TABLES rs.locked READ").await;
    assert_eq!(code(&refused.unwrap_err()), 1205);
    b.query_drop("COMMIT").await.unwrap();

    a.query_drop("SET lock_wait_timeout = 30").await.unwrap();
    a.query_drop("LOCK TABLES rs.locked WRITE").await.unwrap();
    let (id, waiter) = (a.id(), b.id());
    let killed = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let mut c = root(cluster, 3).await;
        let locks = "SELECT OWNER_THREAD_ID, LOCK_TYPE, LOCK_STATUS
             FROM performance_schema.metadata_locks WHERE OBJECT_NAME = 'locked'";
        let locks: Vec<(u32, String, String)> = c.query(locks).await.unwrap();
        assert_eq!(locks, [(id, "SHARED_NO_READ_WRITE".to_string(), "GRANTED".to_string())]);
        let state = format!("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = {waiter}");
        let state: Option<String> = c.query_first(state).await.unwrap();
        assert_eq!(state.as_deref(), Some("Waiting for table metadata lock"));
        c.query_drop(format!("KILL {id}")).await.unwrap();
    };
    let (inserted, ()) = futures::join!(b.query_drop("INSERT INTO rs.locked VALUES (4)"), killed);
    inserted.expect("the locks of a session that was killed are over");
    let seen: Option<i64> = b.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(4));

    // FLUSH TABLES WITH READ LOCK waits for a statement, and that for another transaction, which commits meanwhile.
    let (mut a, mut c) = (root(cluster, 1).await, root(cluster, 3).await);
    for conn in [&mut b, &mut c] {
        conn.query_drop("BEGIN").await.unwrap();
    }
    b.query_drop("DELETE FROM rs.locked WHERE id = 2").await.unwrap();
    let flushed = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        a.query_drop("FLUSH TABLES WITH READ LOCK").await
    };
    let committed = async {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        b.query_drop("COMMIT").await
    };
    let deleted = c.query_drop("DELETE FROM rs.locked WHERE id = 2");
    let (flushed, committed, deleted) = futures::join!(flushed, committed, deleted);
    committed.expect("a commit passes while the lock is only wanted");
    deleted.expect("it has nothing to delete");
    flushed.expect("nothing changes any more");
    let seen: Option<i64> = a.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(3));
    c.query_drop("COMMIT").await.unwrap();
    a.query_drop("UNLOCK TABLES").await.unwrap();

    // TRUNCATE waits for a transaction of another node that has only read.
    let mut a = root(cluster, 1).await;
    a.query_drop("SET lock_wait_timeout = 1").await.unwrap();
    b.query_drop("BEGIN").await.unwrap();
    let seen: Option<i64> = b.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(3));
    let refused = a.query_drop("TRUNCATE TABLE rs.locked").await;
    assert_eq!(code(&refused.unwrap_err()), 1205);
    let seen: Option<i64> = b.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(3));
    b.query_drop("COMMIT").await.unwrap();
    a.query_drop("TRUNCATE TABLE rs.locked").await.unwrap();
    let seen: Option<i64> = b.query_first("SELECT COUNT(*) FROM rs.locked").await.unwrap();
    assert_eq!(seen, Some(0));
}

async fn statements(cluster: &Cluster) {
    let mut conn = root(cluster, 1).await;
    conn.query_drop("CREATE DATABASE rs").await.unwrap();
    conn.query_drop(
        "CREATE TABLE rs.t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,5), f DOUBLE,
         s VARCHAR(50), b BLOB, at DATETIME(6))",
    )
    .await
    .unwrap();
    let blob: Vec<u8> = (0..=255).collect();
    let at = Value::Date(2018, 7, 1, 23, 59, 59, 999_999);
    conn.exec_drop(
        "INSERT INTO rs.t (u, d, f, s, b, at) VALUES (?, ?, ?, ?, ?, ?)",
        (u64::MAX, "-12345.67891", 0.1, "伟", blob.clone(), at.clone()),
    )
    .await
    .unwrap();
    assert_eq!(conn.last_insert_id(), Some(1));
    let row: Row = conn.exec_first("SELECT * FROM rs.t WHERE id = ?", (1,)).await.unwrap().unwrap();
    let expected = vec![
        Value::Int(1),
        Value::UInt(u64::MAX),
        Value::Bytes(b"-12345.67891".to_vec()),
        Value::Double(0.1),
        Value::Bytes("伟".into()),
        Value::Bytes(blob),
        at,
    ];
    assert_eq!(row.unwrap(), expected);
    let duplicate = conn.query_drop("INSERT INTO rs.t (id) VALUES (1)").await.unwrap_err();
    assert_eq!(code(&duplicate), 1062);
    let unknown = conn.exec_drop("SELECT nothing FROM rs.t", ()).await.unwrap_err();
    assert_eq!(code(&unknown), 1054);
    let rows: Vec<u64> = conn.query("SELECT 1; SELECT 2").await.unwrap();
    assert_eq!(rows, [1], "the first result of two");
}

async fn logins(cluster: &Cluster) {
    let mut conn = root(cluster, 2).await;
    conn.query_drop("CREATE USER 'rs'@'%' IDENTIFIED BY 'correct-horse'").await.unwrap();
    for node in 1..=3 {
        let with = |password: &str| {
            OptsBuilder::from_opts(cluster.opts(node)).user(Some("rs")).pass(Some(password))
        };
        let refused = Conn::new(with("wrong")).await.unwrap_err();
        assert_eq!(code(&refused), 1045);
        Conn::new(with("correct-horse")).await.expect("login by RSA on plain TCP");
        let tls = SslOpts::default().with_danger_accept_invalid_certs(true);
        Conn::new(with("correct-horse").ssl_opts(tls)).await.expect("login over TLS");
    }
}

async fn large_result(cluster: &Cluster) {
    let mut conn = root(cluster, 3).await;
    conn.query_drop("CREATE TABLE rs.big (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL)")
        .await
        .unwrap();
    let lines: Vec<_> = (1..=100)
        .map(|block| {
            let rows = (block * 1000 - 999)..=(block * 1000);
            Ok(rows.map(|id| format!("{id}\trow {id}\n")).collect::<String>().into())
        })
        .collect();
    conn.set_infile_handler(async move { Ok(futures::stream::iter(lines).boxed()) });
    conn.query_drop("LOAD DATA LOCAL INFILE 'x' INTO TABLE rs.big").await.unwrap();
    assert_eq!(conn.affected_rows(), 100_000);
    for prepared in [false, true] {
        let rows: Vec<(u64, String)> = if prepared {
            conn.exec("SELECT id, name FROM rs.big WHERE id > ?", (0,)).await.unwrap()
        } else {
            conn.query("SELECT id, name FROM rs.big").await.unwrap()
        };
        assert_eq!(rows.len(), 100_000);
        assert_eq!(rows.iter().map(|(id, _)| id).sum::<u64>(), 5_000_050_000);
        assert!(rows.iter().all(|(id, name)| *name == format!("row {id}")));
    }
}

async fn transaction_over_shards(cluster: &Cluster) {
    let (mut one, mut two) = (root(cluster, 1).await, root(cluster, 2).await);
    let total = "SELECT COUNT(*) FROM rs.big WHERE name = 'moved'";
    one.query_drop("BEGIN").await.unwrap();
    one.query_drop("UPDATE rs.big SET name = 'moved' WHERE id <= 100").await.unwrap();
    assert_eq!(two.query_first::<u64, _>(total).await.unwrap(), Some(0));
    one.query_drop("COMMIT").await.unwrap();
    assert_eq!(two.query_first::<u64, _>(total).await.unwrap(), Some(100));
    two.query_drop("BEGIN").await.unwrap();
    two.query_drop("DELETE FROM rs.big WHERE id <= 100").await.unwrap();
    two.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(one.query_first::<u64, _>(total).await.unwrap(), Some(100));
}
