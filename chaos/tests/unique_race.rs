//! A unique key over all shards in a race, on real processes: connections at two nodes insert the same phones at the same time, for persons
//! of different shards. Of each two inserts one wins, the other one is told 1062, and afterwards rows and index entries
//! fit each other.

use chaos::cluster::Cluster;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Barrier;

const PORT: u16 = 18_100;
/// Phones; each is inserted twice.
const PHONES: u64 = 5_000;
/// Connections at each of the two nodes.
const RACERS: u64 = 32;
/// Attempts at one insert that was certainly not executed.
const TRIES_MAX: u32 = 20;

const TABLE: &str = "CREATE TABLE police.phone (person_id BIGINT, phone BIGINT, PRIMARY KEY (person_id, phone), \
                     UNIQUE KEY by_phone (phone)) shardkey=person_id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_inserts_of_a_phone_one_wins() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(3, PORT)).await.unwrap();
    let mut conn = Conn::new(cluster.opts(1)).await.unwrap();
    conn.query_drop("CREATE DATABASE IF NOT EXISTS police").await.unwrap();
    conn.query_drop(TABLE).await.unwrap();
    let mut races = Vec::new();
    for racer in 0..RACERS {
        let start = Arc::new(Barrier::new(2));
        for (side, node) in [(0, 1), (1, 2)] {
            let conn = Conn::new(cluster.opts(node)).await.unwrap();
            races.push(tokio::spawn(race(conn, racer, side, start.clone())));
        }
    }
    let mut winners: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut losers = 0;
    for outcome in races {
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome.problems, Vec::<String>::new(), "{}", cluster.logs());
        losers += outcome.lost;
        for (phone, person) in outcome.won {
            winners.entry(phone).or_default().push(person);
        }
    }
    assert_eq!(winners.len() as u64, PHONES);
    assert_eq!(losers, PHONES);
    let twice = winners.iter().find(|(_, persons)| persons.len() != 1);
    assert_eq!(twice, None, "a phone with another number of owners than one");

    // Every node reads exactly what was answered, by the rows and by the index.
    for node in 1..=3 {
        let mut conn = Conn::new(cluster.opts(node)).await.unwrap();
        let rows: Vec<(u64, u64)> =
            conn.query("SELECT phone, person_id FROM police.phone").await.unwrap();
        let stored: BTreeMap<u64, Vec<u64>> =
            rows.iter().map(|(phone, person)| (*phone, vec![*person])).collect();
        assert_eq!((rows.len() as u64, &stored), (PHONES, &winners), "as node {node} reads it");
        let checked: Vec<(String, String, u64, u64)> =
            conn.query("ADMIN CHECK TABLE police.phone").await.unwrap();
        let clean = ("police.phone".to_string(), "by_phone".to_string(), PHONES, PHONES);
        assert_eq!(checked, [clean], "as node {node} checks it");
    }
}

/// What a connection was answered.
#[derive(Default)]
struct Outcomes {
    /// Phones that it inserted, each with its person.
    won: Vec<(u64, u64)>,
    /// Inserts that were told 1062.
    lost: u64,
    /// Other answers.
    problems: Vec<String>,
}

/// Inserts each phone of a racer in the moment in which the other side does.
async fn race(mut conn: Conn, racer: u64, side: u64, start: Arc<Barrier>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for phone in (racer..PHONES).step_by(RACERS as usize) {
        let person = 2 * phone + side;
        start.wait().await;
        match insert(&mut conn, person, phone).await {
            Ok(()) => outcomes.won.push((phone, person)),
            Err(Error::Server(error)) if error.code == 1062 => outcomes.lost += 1,
            // The other side waits at the barrier: whatever happened, this one goes on.
            Err(error) => outcomes.problems.push(format!("phone {phone}: {error}")),
        }
    }
    outcomes
}

async fn insert(conn: &mut Conn, person: u64, phone: u64) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let statement = "INSERT INTO police.phone VALUES (?, ?)";
        match conn.exec_drop(statement, (person, phone)).await {
            // Certainly nothing was executed: a conflict, or a leader that moved.
            Err(Error::Server(error)) if matches!(error.code, 1213 | 9001) && tries < TRIES_MAX => {
            }
            outcome => return outcome,
        }
    }
}
