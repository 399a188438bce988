//! What shards have to do and where: SHOW HOT SHARDS, SHOW SHARD … WHY.
//!
//! The cluster tells figures; here they become words, for only the catalog knows how tables are called and by which columns
//! their rows are spread.

use super::{Listing, number_column, text, text_column};
use crate::catalog::{Catalog, Distribution, Sharding};
use crate::instance::{HotSlotRow, LoadFinding, ShardLoadRow};
use crate::session::Session;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::LOAD_QUIET_PERMILLE;
use base::{ShardId, TableId};

/// SHOW HOT SHARDS: the shards that have anything to do, the busiest first.
pub(super) async fn shards(session: &mut Session) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let mut loads = session.instance.config.cluster.shard_loads();
    loads.retain(|row| row.reads + row.writes > 0 || row.cpu_permille > 0);
    loads.sort_by_key(|row| {
        let requests = row.reads + row.writes;
        (std::cmp::Reverse((row.cpu_permille, requests)), row.shard)
    });
    let rows = loads.into_iter().map(|row| {
        let hottest = row.hottest.filter(|_| row.finding != LoadFinding::Unknown);
        let table = row.table.filter(|_| row.finding != LoadFinding::Unknown);
        vec![
            Value::UInt(row.shard.0),
            Value::UInt(row.leader.0),
            Value::UInt(row.reads),
            Value::UInt(row.writes),
            percent(row.cpu_permille),
            hottest.map_or(Value::Null, |hot| Value::UInt(u64::from(hot.slot.0))),
            hottest.map_or(Value::Null, |hot| percent(hot.permille)),
            table.map_or(Value::Null, |(table, _)| text(table_name(&catalog, table))),
            table.map_or(Value::Null, |(_, permille)| percent(permille)),
            text(verdict(&row, &catalog)),
        ]
    });
    let columns = vec![
        number_column("Shard"),
        number_column("Leader"),
        number_column("Reads_per_s"),
        number_column("Writes_per_s"),
        number_column("CPU_percent"),
        number_column("Hottest_slot"),
        number_column("Slot_percent"),
        text_column("Table", 129),
        number_column("Table_percent"),
        text_column("Verdict", 1024),
    ];
    Ok(Listing { columns, rows: rows.collect() })
}

/// SHOW SHARD … WHY: what the planners think of a shard, and of where its load is.
pub(super) async fn why(session: &mut Session, shard: u64) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let cluster = session.instance.config.cluster.clone();
    let lines = cluster.why_shard(ShardId(shard)).map_err(Error::cluster_refuses)?;
    let mut rows: Vec<_> =
        lines.into_iter().map(|(topic, line)| vec![text(topic), text(line)]).collect();
    let load = cluster.shard_loads().into_iter().find(|row| row.shard.0 == shard);
    rows.extend(load.map(|load| vec![text("hot spot"), text(verdict(&load, &catalog))]));
    Ok(Listing { columns: vec![text_column("About", 16), text_column("Why", 1024)], rows })
}

/// Thousandths as whole percent.
pub(crate) fn percent(permille: u32) -> Value {
    Value::UInt(u64::from((permille + 5) / 10))
}

/// A table as people call it.
pub(crate) fn table_name(catalog: &Catalog, table: TableId) -> String {
    match catalog.table_by_id(table) {
        Some(table) => table.qualified_name(),
        None if table < TableId::FIRST_USER => "the cluster's own records".to_string(),
        None => format!("table {}, which is gone", table.0),
    }
}

/// What can be done about a shard's load.
pub(crate) fn verdict(row: &ShardLoadRow, catalog: &Catalog) -> String {
    let table = || row.table.map_or(String::new(), |(table, _)| table_name(catalog, table));
    match (row.finding, row.hottest) {
        (LoadFinding::OneSlot, Some(hot)) => one_slot(&hot, catalog),
        (LoadFinding::Scans, _) => format!(
            "hot by scans of about {} rows, most of them of {}: an index may spare them; a split shares them between two \
             leaders",
            row.rows_scanned / row.scans.max(1),
            table()
        ),
        (LoadFinding::Even, _) if row.cpu_permille < LOAD_QUIET_PERMILLE => {
            "load is even over its slots, and small".to_string()
        }
        (LoadFinding::Even, _) => "load is even over its slots: a split would help".to_string(),
        (LoadFinding::Unknown | LoadFinding::OneSlot, _) => {
            format!("too few samples ({}) tell where its load is", row.samples)
        }
    }
}

/// Why a slot is hot, and what to do.
fn one_slot(hot: &HotSlotRow, catalog: &Catalog) -> String {
    let what = if hot.by_writes { "writes" } else { "reads" };
    let (name, slot) = (table_name(catalog, hot.table), hot.slot);
    let lead = format!("{what} concentrate on {name}, slot {slot}");
    let Some(table) = catalog.table_by_id(hot.table) else {
        return format!("{lead}; a split cannot help");
    };
    match &table.sharding {
        Sharding::Hash(columns)
        | Sharding::Range(Distribution { spread: columns, .. })
        | Sharding::List(Distribution { spread: columns, .. }) => {
            let names: Vec<&str> =
                columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
            let key = match names.as_slice() {
                [only] => (*only).to_string(),
                _ => format!("({})", names.join(", ")),
            };
            let global = match table.indexes.iter().any(|index| index.global) {
                true => ", or of the columns of a global index",
                false => "",
            };
            format!(
                "{lead}: one value of {key}{global}; a split cannot help, add a column to its sharding key"
            )
        }
        Sharding::Keys(by) => {
            let column = &table.columns[by.column].name;
            format!(
                "{lead}: one range of {column}; a split cannot help, divide the range with ALTER TABLE … SPLIT RANGE AT, \
                 or shard the table by a hash"
            )
        }
        Sharding::Single => format!(
            "{lead}: the table is not spread, all its rows have one slot; a split cannot help, give it a sharding key"
        ),
        Sharding::Broadcast(copies) => format!(
            "{lead}: of {copies} copies it is the one that its leader's sessions read, or the first one, which all others read and \
             writers lock; a split of this shard cannot help, let each node lead a shard that has a copy"
        ),
    }
}
