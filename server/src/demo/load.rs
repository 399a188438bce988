//! Loads the sample through an ordinary MySQL client connection: LOAD DATA LOCAL, as any user would.

use super::invented;
use base::SharedClock;
use bytes::Bytes;
use futures::StreamExt;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeSet;
use std::time::Duration;

/// All three months, 87,348 rows, zstd-compressed (`sample/README.md`).
const CRIMES: &[u8] = include_bytes!("../../../sample/crimes.csv.zst");
/// Rows after the header line.
pub const CRIMES_ROWS: u64 = 87_348;
/// Bytes sent to the server at once.
const CHUNK_BYTES: usize = 256 << 10;

/// The sample's tables.
pub const SCHEMA: &[&str] = &[
    "CREATE DATABASE IF NOT EXISTS police",
    "CREATE TABLE IF NOT EXISTS police.crimes (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  crime_id CHAR(64) COLLATE utf8mb4_bin DEFAULT NULL COMMENT 'empty in the source for anti-social behaviour',
  month CHAR(7) NOT NULL,
  reported_by VARCHAR(64) NOT NULL,
  falls_within VARCHAR(64) NOT NULL,
  longitude DECIMAL(9,6) DEFAULT NULL,
  latitude DECIMAL(9,6) DEFAULT NULL,
  location VARCHAR(160) NOT NULL,
  lsoa_code VARCHAR(9) NOT NULL COMMENT 'statistical area; empty where unknown',
  lsoa_name VARCHAR(64) NOT NULL,
  crime_type VARCHAR(64) NOT NULL,
  last_outcome VARCHAR(128) DEFAULT NULL,
  context VARCHAR(255) DEFAULT NULL,
  PRIMARY KEY (id, lsoa_code),
  UNIQUE KEY crime_id (crime_id),
  KEY crime_type (crime_type, month)
) COMMENT='Street crimes, West Yorkshire, data.police.uk' shardkey=lsoa_code",
    "CREATE TABLE IF NOT EXISTS police.persons (
  identity_number CHAR(18) COLLATE utf8mb4_bin NOT NULL,
  name VARCHAR(64) NOT NULL,
  sex CHAR(1) NOT NULL,
  birth_date DATE NOT NULL,
  lsoa_code VARCHAR(9) NOT NULL,
  phone VARCHAR(20) NOT NULL,
  note VARCHAR(20) NOT NULL,
  PRIMARY KEY (identity_number),
  KEY lsoa_code (lsoa_code)
) COMMENT='Invented persons'",
    "CREATE TABLE IF NOT EXISTS police.vehicles (
  plate VARCHAR(10) COLLATE utf8mb4_bin NOT NULL,
  owner CHAR(18) COLLATE utf8mb4_bin NOT NULL,
  vin CHAR(17) COLLATE utf8mb4_bin NOT NULL,
  make VARCHAR(20) NOT NULL,
  colour VARCHAR(20) NOT NULL,
  registered DATE NOT NULL,
  note VARCHAR(20) NOT NULL,
  PRIMARY KEY (plate),
  UNIQUE KEY vin (vin),
  KEY owner (owner)
) COMMENT='Invented vehicles, beside their owners' shardkey=owner",
    "CREATE TABLE IF NOT EXISTS police.officers (
  officer_number CHAR(6) NOT NULL,
  name VARCHAR(64) NOT NULL,
  unit VARCHAR(20) NOT NULL,
  rank_title VARCHAR(20) NOT NULL,
  beat_lsoa_code VARCHAR(9) NOT NULL,
  note VARCHAR(20) NOT NULL,
  PRIMARY KEY (officer_number),
  KEY beat (beat_lsoa_code)
) COMMENT='Invented officers'",
];

const LOAD_CRIMES: &str = "LOAD DATA LOCAL INFILE 'crimes.csv' INTO TABLE police.crimes CHARACTER SET utf8mb4
 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\n' IGNORE 1 LINES
 (@crime_id, month, reported_by, falls_within, @longitude, @latitude, location, lsoa_code, lsoa_name, crime_type, @outcome, @context)
 SET crime_id = NULLIF(@crime_id, ''), longitude = NULLIF(@longitude, ''), latitude = NULLIF(@latitude, ''),
 last_outcome = NULLIF(@outcome, ''), context = NULLIF(@context, '')";

/// What was loaded, for the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Rows of `crimes`.
    pub crimes: u64,
    /// Rows of persons, vehicles and officers together.
    pub invented: u64,
    /// Time the crimes took.
    pub crimes_took: Duration,
}

/// Loads the sample unless it is there already; `None` when it was.
///
/// # Errors
/// One sentence: which step failed and what the server said.
pub async fn load(dsn: &str, clock: &SharedClock) -> Result<Option<Loaded>, String> {
    let opts = mysql_async::Opts::from_url(dsn).map_err(|error| error.to_string())?;
    let mut conn = Conn::new(opts).await.map_err(|error| format!("cannot connect: {error}"))?;
    for statement in SCHEMA {
        conn.query_drop(*statement)
            .await
            .map_err(|error| format!("creating the sample's tables: {error}"))?;
    }
    if count(&mut conn, "police.crimes").await? == CRIMES_ROWS
        && count(&mut conn, "police.officers").await? == invented::OFFICERS as u64
    {
        return Ok(None);
    }
    for table in ["crimes", "persons", "vehicles", "officers"] {
        conn.query_drop(format!("TRUNCATE TABLE police.{table}"))
            .await
            .map_err(|error| format!("emptying {table}: {error}"))?;
    }
    let crimes = zstd::decode_all(CRIMES).map_err(|error| format!("the sample: {error}"))?;
    let areas = areas(&crimes);
    let start = clock.monotonic();
    let crimes = infile(&mut conn, LOAD_CRIMES, crimes).await?;
    let crimes_took = clock.monotonic() - start;
    let people = invented::invent(invented::SEED, &areas);
    let mut loaded = 0;
    for (table, rows) in
        [("persons", people.persons), ("vehicles", people.vehicles), ("officers", people.officers)]
    {
        let statement = format!(
            "LOAD DATA LOCAL INFILE '{table}.tsv' INTO TABLE police.{table} CHARACTER SET utf8mb4"
        );
        loaded += infile(&mut conn, &statement, rows.into_bytes()).await?;
    }
    // The connection has done its work; a failure to close it loses nothing.
    let _ = conn.disconnect().await;
    Ok(Some(Loaded { crimes, invented: loaded, crimes_took }))
}

async fn infile(conn: &mut Conn, statement: &str, data: Vec<u8>) -> Result<u64, String> {
    let data = Bytes::from(data);
    conn.set_infile_handler(async move {
        let chunks: Vec<_> = (0..data.len())
            .step_by(CHUNK_BYTES)
            .map(|at| Ok(data.slice(at..data.len().min(at + CHUNK_BYTES))))
            .collect();
        Ok(futures::stream::iter(chunks).boxed())
    });
    let what = statement.split_whitespace().nth(7).unwrap_or("the sample").to_string();
    conn.query_drop(statement).await.map_err(|error| format!("loading {what}: {error}"))?;
    if conn.get_warnings() > 0 {
        let first: Option<(String, u16, String)> =
            conn.query_first("SHOW WARNINGS").await.map_err(|error| error.to_string())?;
        return Err(format!("loading {what} gave warnings, the first: {first:?}"));
    }
    Ok(conn.affected_rows())
}

async fn count(conn: &mut Conn, table: &str) -> Result<u64, String> {
    conn.query_first(format!("SELECT COUNT(*) FROM {table}"))
        .await
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("counting {table}: {error}"))
}

/// The statistical areas of the crimes, in order of first appearance.
fn areas(crimes: &[u8]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    crimes
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| line.split(|byte| *byte == b',').nth(7))
        .filter(|area| !area.is_empty())
        .map(|area| String::from_utf8_lossy(area).into_owned())
        .filter(|area| seen.insert(area.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_sample_is_whole() {
        let crimes = zstd::decode_all(CRIMES).unwrap();
        let lines = crimes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines as u64, CRIMES_ROWS + 1);
        assert!(areas(&crimes).len() > 1000);
    }
}
