//! One lane of the probe: its key, its rhythm, its connection.

use super::Lane;
use super::measure::Measure;
use crate::history::Failure;
use crate::workload::client::{self, Client, Steady};
use crate::workload::{Stop, Target};
use base::Slot;
use mysql_async::Row;
use std::time::Duration;

/// Writes per second of a lane.
const RATE: u32 = 100;
/// How long a lane waits for an answer before it asks another node: the resolution of an outage in which
/// connections hang.
const WAIT: Duration = Duration::from_millis(500);
/// How long a lane that fails when it is stopped goes on: an outage has an end, or is one.
const TAIL_MAX: Duration = Duration::from_secs(5);
/// Pause between two statements of the tail.
const TAIL_PAUSE: Duration = Duration::from_millis(20);
/// Keys that are tried to find one in each shard.
const KEYS_TRIED_MAX: i64 = 100_000;

const CREATE: &str = "CREATE TABLE chaos.probe (id BIGINT PRIMARY KEY, beat BIGINT NOT NULL)";

/// A key in every shard that has slots.
pub(super) async fn per_shard(target: &Target) -> Result<Vec<Lane>, Failure> {
    let rows: Vec<Row> = Steady::new(target, 0).rows("SHOW SHARDS", ()).await?;
    let mut lanes = Vec::new();
    for row in &rows {
        let number = |column: &str| -> Result<u64, Failure> {
            row.get(column).ok_or_else(|| Failure {
                code: 0,
                message: format!("SHOW SHARDS has no column {column}"),
            })
        };
        let (shard, slots) = (number("Shard")?, number("Slot_start")?..number("Slot_end")?);
        let key = (0..KEYS_TRIED_MAX).find(|key| slots.contains(&u64::from(slot_of(*key).0)));
        // The meta shard has no slots and no rows of tables.
        if let Some(key) = key {
            lanes.push(Lane { name: format!("shard {shard}"), key });
        }
    }
    Ok(lanes)
}

/// Slot of a BIGINT primary key (`docs/formats.md`, Keys).
fn slot_of(key: i64) -> Slot {
    let mut column = [1; 9];
    column[1..].copy_from_slice(&((key as u64) ^ (1 << 63)).to_be_bytes());
    Slot::of(&column)
}

/// The probe's table with the lanes' rows.
pub(super) async fn prepare(target: &Target, lanes: &[Lane]) -> Result<(), Failure> {
    client::prepare(target, &[client::DATABASE, "DROP TABLE IF EXISTS chaos.probe", CREATE])
        .await?;
    for lane in lanes {
        let insert = format!("REPLACE INTO chaos.probe VALUES ({}, 0)", lane.key);
        client::prepare(target, &[&insert]).await?;
    }
    Ok(())
}

/// Writes and reads until `stop`.
pub(super) async fn run(lane: Lane, target: Target, stop: Stop) -> Measure {
    let target = Target { statement_wait: target.statement_wait.min(WAIT), rate: RATE, ..target };
    let clock = target.clock.clone();
    let mut measure = Measure::new(lane.name, clock.monotonic());
    let mut client = Client::new(&target, lane.key.unsigned_abs());
    let mut beat = 0;
    let mut tail_ends = None;
    loop {
        if !client.turn(&stop).await {
            let now = clock.monotonic();
            if !measure.failing() || now > *tail_ends.get_or_insert(now + TAIL_MAX) {
                break;
            }
            tokio::time::sleep(TAIL_PAUSE).await;
        }
        let sent = clock.monotonic();
        beat += 1;
        match once(&mut client, lane.key, beat).await {
            Ok(()) => measure.ok(sent, clock.monotonic()),
            Err(failure) => {
                measure.failed(sent, clock.monotonic(), &failure);
                client.after(failure.code).await;
            }
        }
    }
    measure.end(clock.monotonic());
    measure
}

/// Error 1815: what the server answers must be what was just written, as nobody else writes the key.
async fn once(client: &mut Client<'_>, key: i64, beat: i64) -> Result<(), Failure> {
    client.change("UPDATE chaos.probe SET beat = ? WHERE id = ?", (beat, key)).await?;
    let rows: Vec<i64> = client.rows("SELECT beat FROM chaos.probe WHERE id = ?", (key,)).await?;
    if rows == [beat] {
        return Ok(());
    }
    Err(Failure { code: 1815, message: format!("wrote {beat} to key {key}, read {rows:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_is_the_storage_codecs() {
        for key in [0, 1, -1, 77, i64::MAX, i64::MIN] {
            let mut encoded = engine::key::KeyBuilder::columns();
            encoded.put_i64(key);
            assert_eq!(slot_of(key), encoded.slot(), "{key}");
        }
    }
}
