//! Real clients over real sockets: a gateway in front of shards in memory.
//!
//! `mysql_async` stands for well-behaved clients; `RawClient` sends what no driver sends.

use base::{NodeId, SharedClock, SystemClock};
use bytes::BytesMut;
use gateway::packet::{Decoder, Encoder};
use gateway::{Gateway, GatewayConfig, GatewayHandle, TlsSource};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts, WhiteListFsHandler};
use sql::instance::{Cluster, Instance, InstanceConfig, NodeRow, ShardRow};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Once};
use std::time::Duration;

/// A cluster of one node.
struct Alone;

#[async_trait::async_trait]
impl Cluster for Alone {
    async fn announce_catalog(&self, _version: u64) -> bool {
        true
    }

    fn shards(&self) -> Vec<ShardRow> {
        Vec::new()
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }
}

/// A gateway on a free port and a Unix socket.
struct Server {
    handle: GatewayHandle,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start(connections_max: usize) -> Server {
        // mysql_async takes the process's TLS provider; the gateway brings its own.
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
        });
        let clock: SharedClock = SystemClock::shared();
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(InstanceConfig {
            client: txn::testing::MemoryCluster::new(2, clock.clone()).unwrap(),
            cluster: Arc::new(Alone),
            clock: clock.clone(),
            node: NodeId(1),
            version: "8.0.46-PrecinctDB".into(),
            temp_dir: folder.path().join("temp"),
            local_infile: true,
            variables: BTreeMap::new(),
        });
        instance.bootstrap().await.unwrap();
        let renewing = instance.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(base::limits::CATALOG_RENEW).await;
                renewing.renew_catalog().await.unwrap();
            }
        });
        let handle = Gateway::start(GatewayConfig {
            tcp: "127.0.0.1:0".parse().unwrap(),
            unix: Some(folder.path().join("sock")),
            tls: TlsSource::SelfMade { names: Vec::new() },
            secrets: None,
            instance,
            node: NodeId(1),
            clock,
            workers: 2,
            connections_max,
        })
        .unwrap();
        Server { handle, folder }
    }

    /// How a user connects over TCP.
    fn opts(&self, user: &str, password: &str) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.handle.address().port())
            .prefer_socket(false)
            .user(Some(user))
            .pass(Some(password))
    }

    async fn root(&self) -> Conn {
        Conn::new(self.opts("root", "")).await.unwrap()
    }
}

/// The number of an error from the server.
fn code<T: std::fmt::Debug>(result: mysql_async::Result<T>) -> u16 {
    match result.unwrap_err() {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("no error of the server: {other}"),
    }
}

/// A client that sends what it is told.
struct RawClient {
    stream: TcpStream,
    decoder: Decoder,
    received: BytesMut,
}

impl RawClient {
    /// Connects; the greeting is the first message.
    fn connect(server: &Server) -> RawClient {
        let stream = TcpStream::connect(server.handle.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        RawClient { stream, decoder: Decoder::new(1 << 20), received: BytesMut::new() }
    }

    /// Connects and logs in as root without a password; no EOF packets are wanted.
    fn login(server: &Server) -> RawClient {
        let mut client = RawClient::connect(server);
        client.message().unwrap();
        let capabilities = 0x0100_0000_u32 | 0x8000 | 0x0200;
        let mut login = capabilities.to_le_bytes().to_vec();
        login.extend_from_slice(&[0, 0, 0, 1, 255]);
        login.extend_from_slice(&[0; 23]);
        login.extend_from_slice(b"root\0\0");
        client.send(1, &login);
        assert_eq!(client.message().unwrap()[0], 0, "logged in");
        client
    }

    fn send(&mut self, sequence: u8, payload: &[u8]) {
        let mut encoder = Encoder::default();
        encoder.expect(sequence);
        encoder.message(|out| out.extend_from_slice(payload));
        self.stream.write_all(encoder.bytes()).unwrap();
        // The answer goes on from there.
        self.decoder.expect(encoder.sequence());
    }

    fn command(&mut self, payload: &[u8]) {
        self.send(0, payload);
    }

    /// The next message; `None` when the server closes.
    fn message(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.received).unwrap() {
                return Some(message);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The number of the error that the server answers with, and that it closes after it.
    fn last_error(&mut self) -> u16 {
        let message = self.message().expect("an error before the end");
        assert_eq!(message[0], 0xff, "{message:?}");
        assert_eq!(self.message(), None, "the server closes");
        u16::from_le_bytes([message[1], message[2]])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_log_in() {
    let server = Server::start(100).await;
    let mut root = server.root().await;
    for (user, plugin) in [("sha", "caching_sha2_password"), ("old", "mysql_native_password")] {
        let create = format!("CREATE USER '{user}'@'%' IDENTIFIED WITH {plugin} BY 'säcret'");
        root.query_drop(create).await.unwrap();
        let opts = server.opts(user, "säcret");
        let tls = SslOpts::default().with_danger_accept_invalid_certs(true);
        let socket = server.folder.path().join("sock").display().to_string();
        let ways = [
            ("TLS", opts.clone().ssl_opts(tls)),
            ("plain TCP", opts.clone()),
            ("plain TCP again", opts.clone()),
            ("Unix socket", opts.socket(Some(socket))),
        ];
        for (way, opts) in ways {
            let mut conn = Conn::new(opts).await.unwrap_or_else(|error| panic!("{way}: {error}"));
            let who: Option<String> = conn.query_first("SELECT USER()").await.unwrap();
            assert_eq!(who.unwrap(), format!("{user}@localhost"), "{way}");
        }
        assert_eq!(code(Conn::new(server.opts(user, "wrong")).await), 1045);
        assert_eq!(code(Conn::new(server.opts(user, "")).await), 1045);
    }
    assert_eq!(code(Conn::new(server.opts("nobody", "x")).await), 1045);
    assert_eq!(code(Conn::new(server.opts("root", "").db_name(Some("nope"))).await), 1049);
    server.handle.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_sealed_login_on_plain_tcp() {
    let server = Server::start(100).await;
    let mut root = server.root().await;
    root.query_drop("CREATE USER 'sealed'@'%' IDENTIFIED BY 'secret'").await.unwrap();
    let mut conn = Conn::new(server.opts("sealed", "secret")).await.unwrap();
    conn.ping().await.unwrap();
    assert_eq!(
        code(
            conn.change_user(
                mysql_async::ChangeUserOpts::default()
                    .with_user(Some("sealed".into()))
                    .with_pass(Some("wrong".into())),
            )
            .await
        ),
        1045
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_prepared_statements_give_the_same_rows() {
    let server = Server::start(100).await;
    let mut conn = server.root().await;
    conn.query_drop("CREATE DATABASE shop; USE shop").await.unwrap();
    let create = "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50), price DECIMAL(9,2), at \
                  DATETIME(6), photo BLOB)";
    conn.query_drop(create).await.unwrap();
    let insert = "INSERT INTO t VALUES (?, ?, ?, ?, ?)";
    let at = mysql_async::Value::Date(2018, 7, 1, 13, 14, 15, 258);
    conn.exec_drop(insert, (1, "häß", "1.50", at, vec![0_u8, 0xff])).await.unwrap();
    conn.exec_drop(insert, (2, None::<String>, None::<String>, None::<String>, None::<Vec<u8>>))
        .await
        .unwrap();
    assert_eq!(conn.affected_rows(), 1);
    type Row = (i64, Option<String>, Option<String>, Option<String>, Option<Vec<u8>>);
    let select = "SELECT id, name, price, CAST(at AS CHAR), photo FROM t ORDER BY id";
    let text: Vec<Row> = conn.query(select).await.unwrap();
    let prepared: Vec<Row> = conn.exec(select, ()).await.unwrap();
    assert_eq!(text, prepared);
    let first = (
        1,
        Some("häß".to_string()),
        Some("1.50".to_string()),
        Some("2018-07-01 13:14:15.000258".to_string()),
        Some(vec![0, 0xff]),
    );
    assert_eq!(text, [first, (2, None, None, None, None)]);
    assert_eq!(code(conn.query_drop("SELEC 1").await), 1064);
    let again: Option<u8> = conn.query_first("SELECT 1; SELECT 2").await.unwrap();
    assert_eq!(again, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn local_file_is_loaded_and_a_bad_one_leaves_the_connection_in_step() {
    let server = Server::start(100).await;
    let file = server.folder.path().join("rows.csv");
    let rows: String = (0..3000).map(|i| format!("{i},name {i}\n")).collect();
    std::fs::write(&file, rows).unwrap();
    let handler = WhiteListFsHandler::new([file.clone()]);
    let mut conn =
        Conn::new(server.opts("root", "").local_infile_handler(Some(handler))).await.unwrap();
    conn.query_drop("CREATE DATABASE shop; USE shop").await.unwrap();
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))").await.unwrap();
    let load = |table: &str| {
        format!(
            "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table} FIELDS TERMINATED BY ','",
            file.display()
        )
    };
    conn.query_drop(load("t")).await.unwrap();
    assert_eq!(conn.affected_rows(), 3000);
    assert_eq!(code(conn.query_drop(load("missing")).await), 1146);
    let count: Option<u64> = conn.query_first("SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(count, Some(3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bytes_end_their_connection_and_no_other() {
    let server = Server::start(100).await;
    let mut other = server.root().await;
    let cases: [(&str, &[u8], u16); 4] = [
        ("wrong sequence", b"\x01\x00\x00\x07\x0e", 1156),
        ("beyond the limit before login", b"\xff\xff\xff\x01", 1153),
        ("no login packet", b"\x03\x00\x00\x01abc", 1043),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n", 1156),
    ];
    for (case, bytes, expected) in cases {
        let mut client = RawClient::connect(&server);
        let greeting = client.message().unwrap();
        assert_eq!(greeting[0], 10, "{case}");
        client.stream.write_all(bytes).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // The server answers with the number it heard last, plus one.
        let heard = if expected == 1156 { 1 } else { 2 };
        client.decoder.expect(heard);
        assert_eq!(client.last_error(), expected, "{case}");
    }
    let mut client = RawClient::login(&server);
    client.command(&[0x17, 1]);
    assert_eq!(client.last_error(), 1835, "half an EXECUTE");
    other.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn small_commands_and_unknown_ones() {
    let server = Server::start(100).await;
    let mut client = RawClient::login(&server);
    client.command(&[0x0e]);
    assert_eq!(client.message().unwrap()[0], 0, "PING");
    client.command(&[0x07, 2]);
    assert_eq!(client.message().unwrap()[0], 0, "REFRESH of logs");
    client.command(&[0x07, 0x80]);
    assert_eq!(client.message().unwrap()[1..3], 1235_u16.to_le_bytes(), "REFRESH of replication");
    client.command(&[0x06]);
    assert_eq!(client.message().unwrap()[1..3], 1047_u16.to_le_bytes(), "DROP_DB");
    client.command(&[0x09]);
    assert!(client.message().unwrap().starts_with(b"Uptime: "), "STATISTICS");
    client.command(b"\x03SELECT `\xff`");
    assert_eq!(client.message().unwrap()[1..3], 1300_u16.to_le_bytes(), "no UTF-8");
    client.command(b"\x03SELECT 1; SELECT 2");
    assert_eq!(client.message().unwrap()[1..3], 1064_u16.to_le_bytes(), "several statements");
    client.command(&[0x1f]);
    assert_eq!(client.message().unwrap()[0], 0, "RESET_CONNECTION");
    client.command(&[0x01]);
    assert_eq!(client.message(), None, "QUIT");
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_that_are_no_text_keep_their_bytes() {
    let server = Server::start(100).await;
    let mut root = server.root().await;
    root.query_drop("CREATE DATABASE d").await.unwrap();
    root.query_drop("CREATE TABLE d.t (id INT PRIMARY KEY, b BLOB, c VARCHAR(9))").await.unwrap();
    let mut client = RawClient::login(&server);
    client.command(b"\x03INSERT INTO d.t (id, b) VALUES (1, '\xff\\0\\'\\\\\\Z\x80'), (2, 'text')");
    let ok = client.message().unwrap();
    assert_eq!((ok[0], ok[1]), (0, 2), "OK, two rows");
    assert_eq!(ok[5..7], [1, 0], "one warning");
    client.command(b"\x03SHOW WARNINGS");
    // Number of columns, three columns, the row, the end.
    let messages: Vec<BytesMut> = (0..6).map(|_| client.message().unwrap()).collect();
    let warning = String::from_utf8_lossy(&messages[4]);
    assert!(warning.ends_with("Invalid utf8mb4 character string: 'FF0027'"), "{warning}");
    let rows: Vec<Vec<u8>> = root.query("SELECT b FROM d.t ORDER BY id").await.unwrap();
    assert_eq!(rows, [b"\xff\0'\\\x1a\x80".to_vec(), b"text".to_vec()]);
    client.command(b"\x03UPDATE d.t SET b = CONCAT('\xfe', b) WHERE b = 'text' OR b = '\xfd'");
    assert_eq!(client.message().unwrap()[..2], [0, 1]);
    let rows: Vec<Vec<u8>> = root.query("SELECT b FROM d.t WHERE id = 2").await.unwrap();
    assert_eq!(rows, [b"\xfetext".to_vec()]);
    client.command(b"\x03INSERT INTO d.t (id, c) VALUES (3, 'a\xff')");
    assert_eq!(client.message().unwrap()[1..3], 1366_u16.to_le_bytes(), "no bytes in a text");
    client.command(b"\x03SET NAMES latin1");
    assert_eq!(client.message().unwrap()[0], 0);
    client.command(b"\x03INSERT INTO d.t (id, b) VALUES (4, '\xff')");
    assert_eq!(client.message().unwrap()[1..3], 1300_u16.to_le_bytes(), "a character of latin1");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_sleeps_answers_no_row() {
    let server = Server::start(100).await;
    let mut client = RawClient::login(&server);
    client.command(b"\x03SELECT CONNECTION_ID()");
    let rows: Vec<BytesMut> = (0..4).map(|_| client.message().unwrap()).collect();
    let id = String::from_utf8(rows[2][1..].to_vec()).unwrap();
    client.command(b"\x03SELECT SLEEP(1000)");
    let mut root = server.root().await;
    let state = format!("SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = {id}");
    let sleeps = [Some("User sleep".to_string())];
    while root.query::<Option<String>, _>(state.as_str()).await.unwrap() != sleeps {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    root.query_drop(format!("KILL {id}")).await.unwrap();
    assert_eq!(client.message().unwrap()[1..3], 1317_u16.to_le_bytes(), "interrupted");
    assert_eq!(client.message(), None, "the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn procedures_send_their_result_sets_one_after_the_other() {
    let server = Server::start(100).await;
    let mut conn = server.root().await;
    conn.query_drop("CREATE DATABASE d").await.unwrap();
    let create =
        "CREATE PROCEDURE d.both_of(n INT) BEGIN SELECT n; SELECT 'x' UNION ALL SELECT 'y'; END";
    conn.query_drop(create).await.unwrap();
    let mut result = conn.query_iter("CALL d.both_of(7)").await.unwrap();
    let numbers: Vec<i64> = result.collect().await.unwrap();
    let words: Vec<String> = result.collect().await.unwrap();
    result.drop_result().await.unwrap();
    assert_eq!((numbers, words), (vec![7], vec!["x".to_string(), "y".to_string()]));
    let mut result = conn.exec_iter("CALL d.both_of(?)", (8,)).await.unwrap();
    let numbers: Vec<i64> = result.collect().await.unwrap();
    result.drop_result().await.unwrap();
    assert_eq!(numbers, [8]);
    let create = "CREATE PROCEDURE d.fails() BEGIN SELECT 1; SIGNAL SQLSTATE '45000'; END";
    conn.query_drop(create).await.unwrap();
    assert_eq!(code(conn.query_drop("CALL d.fails()").await), 1644);
    let after: Option<i64> = conn.query_first("SELECT 2").await.unwrap();
    assert_eq!(after, Some(2), "the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_an_endless_loop_of_a_procedure() {
    let server = Server::start(100).await;
    let mut root = server.root().await;
    root.query_drop("CREATE DATABASE d").await.unwrap();
    let create = "CREATE PROCEDURE d.forever() BEGIN DECLARE i INT DEFAULT 0; \
                  WHILE TRUE DO SET i = 1 - i; END WHILE; END";
    root.query_drop(create).await.unwrap();
    let mut client = RawClient::login(&server);
    client.command(b"\x03SELECT CONNECTION_ID()");
    let rows: Vec<BytesMut> = (0..4).map(|_| client.message().unwrap()).collect();
    let id = String::from_utf8(rows[2][1..].to_vec()).unwrap();
    client.command(b"\x03CALL d.forever()");
    let info = format!("SELECT INFO FROM information_schema.PROCESSLIST WHERE ID = {id}");
    let calls = [Some("CALL d.forever()".to_string())];
    while root.query::<Option<String>, _>(info.as_str()).await.unwrap() != calls {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    root.query_drop(format!("KILL QUERY {id}")).await.unwrap();
    assert_eq!(client.message().unwrap()[1..3], 1317_u16.to_le_bytes(), "interrupted");
    client.command(b"\x03SELECT 1");
    assert!((0..4).all(|_| client.message().is_some()), "the connection lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_gives_its_rows_in_portions() {
    let server = Server::start(100).await;
    let mut client = RawClient::login(&server);
    client.command(b"\x16SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9");
    assert_eq!(client.message().unwrap()[..7], [0, 1, 0, 0, 0, 1, 0], "statement 1, one column");
    client.message().unwrap();
    client.command(&[0x17, 1, 0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(&client.message().unwrap()[..], [1], "one column");
    client.message().unwrap();
    let flags = |end: &[u8]| u16::from_le_bytes([end[3], end[4]]) & 0xc0;
    assert_eq!(flags(&client.message().unwrap()), 0x40, "the cursor is open");
    let mut fetch = |rows: u8| {
        client.command(&[0x1c, 1, 0, 0, 0, rows, 0, 0, 0]);
        let mut values = Vec::new();
        loop {
            let message = client.message().unwrap();
            match message[0] {
                0 => values.push(message[2]),
                _ => return (values, message),
            }
        }
    };
    let (rows, end) = fetch(2);
    assert_eq!((rows, flags(&end)), (vec![7, 8], 0x40));
    let (rows, end) = fetch(2);
    assert_eq!((rows, flags(&end)), (vec![9], 0x80));
    let (_, error) = fetch(2);
    assert_eq!(error[1..3], 1421_u16.to_le_bytes(), "the cursor is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_is_gone_while_it_waits_gives_up_its_locks() {
    let server = Server::start(10).await;
    let mut holder = server.root().await;
    holder.query_drop("CREATE DATABASE d").await.unwrap();
    holder.query_drop("CREATE TABLE d.t (id INT PRIMARY KEY, v INT)").await.unwrap();
    holder.query_drop("INSERT INTO d.t VALUES (1, 1), (2, 2)").await.unwrap();
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("UPDATE d.t SET v = 10 WHERE id = 1").await.unwrap();
    // One that holds the second row and waits for the first goes away without a word.
    let mut gone = RawClient::login(&server);
    for text in ["BEGIN", "UPDATE d.t SET v = 20 WHERE id = 2"] {
        gone.command(&[&[0x03], text.as_bytes()].concat());
        gone.message().unwrap();
    }
    gone.command(b"\x03UPDATE d.t SET v = 11 WHERE id = 1");
    drop(gone);
    let mut other = server.root().await;
    other.query_drop("SET innodb_lock_wait_timeout = 5").await.unwrap();
    other.query_drop("UPDATE d.t SET v = 21 WHERE id = 2").await.unwrap();
    holder.query_drop("COMMIT").await.unwrap();
    let rows: Vec<i64> = other.query("SELECT v FROM d.t ORDER BY id").await.unwrap();
    assert_eq!(rows, [10, 21]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_stopped_connections_are_closed() {
    let server = Server::start(100).await;
    let mut client = RawClient::login(&server);
    client.command(b"\x03SELECT CONNECTION_ID()");
    let rows: Vec<BytesMut> = (0..4).map(|_| client.message().unwrap()).collect();
    let id = String::from_utf8(rows[2][1..].to_vec()).unwrap();
    let mut root = server.root().await;
    root.query_drop(format!("KILL {id}")).await.unwrap();
    assert_eq!(client.message(), None, "killed while idle");
    assert_eq!(code(root.query_drop("KILL 5").await), 1094);
    let mut idle = RawClient::login(&server);
    server.handle.stop(Duration::from_secs(5)).await;
    assert_eq!(idle.message(), None, "the server stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_so() {
    let server = Server::start(1).await;
    let _only = RawClient::login(&server);
    let mut second = RawClient::connect(&server);
    assert_eq!(second.last_error(), 1040);
}
