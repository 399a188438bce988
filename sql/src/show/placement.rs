//! Placement policies: SHOW PLACEMENT, SHOW CREATE PLACEMENT POLICY.

use super::{Listing, text, text_column};
use crate::ast::PlacementTarget;
use crate::catalog::{DatabaseDef, TableDef};
use crate::ddl::placement::key;
use crate::placement::PlacementView;
use crate::printer::identifier;
use crate::session::Session;
use crate::sets::{self, Sets};
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::SlotRange;

/// SHOW CREATE PLACEMENT POLICY.
pub(super) fn create(session: &Session, name: &str) -> Result<Listing> {
    let view = session.instance.config.cluster.placement();
    let policy = view.policy(&key(name)).ok_or_else(|| Error::unknown_placement_policy(name))?;
    let options = policy.options.text();
    let statement = format!("CREATE PLACEMENT POLICY {} {options}", identifier(&policy.name));
    let columns = vec![text_column("Policy", 64), text_column("Create Policy", 1024)];
    Ok(Listing { columns, rows: vec![vec![text(&policy.name), text(statement)]] })
}

/// SHOW PLACEMENT: a row per policy and per thing that is under one.
pub(super) async fn list(session: &mut Session, target: &PlacementTarget) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let view = session.instance.config.cluster.placement();
    let sets = Sets::of_context(&session.context(Vec::new()))?;
    let mut rows: Vec<Row> = Vec::new();
    match target {
        PlacementTarget::All => {
            for policy in &view.policies {
                let name = format!("POLICY {}", policy.name);
                rows.push(vec![text(name), text(policy.options.text()), text(&policy.state)]);
            }
            for database in catalog.databases() {
                rows.extend(of_database(database));
            }
            for number in sets.numbers() {
                rows.extend(of_set(&sets, number, &view));
            }
            let tables = catalog.databases().flat_map(|found| catalog.tables(&found.name));
            rows.extend(tables.filter_map(|table| of_table(table, &view)));
        }
        PlacementTarget::Database(name) => {
            let database = catalog.database(name).ok_or_else(|| Error::unknown_database(name))?;
            rows.extend(of_database(database));
            rows.extend(catalog.tables(name).filter_map(|table| of_table(table, &view)));
        }
        PlacementTarget::Table(name) => {
            let table = crate::dml::find_table(name, session.database.as_deref(), &catalog)?;
            rows.extend(of_table(&table, &view));
            if table.placement.is_empty() {
                // Its rows are under the policies of the sets that they are in.
                let own = table.sharding.distribution();
                let own: Option<Vec<u32>> =
                    own.map(|by| by.items.iter().map(|item| item.set).collect());
                let lies_in = |number: &u32| own.as_ref().is_none_or(|own| own.contains(number));
                let numbers = sets.numbers().filter(lies_in);
                rows.extend(numbers.flat_map(|number| of_set(&sets, number, &view)));
            }
        }
        PlacementTarget::Set(name) => rows.extend(of_set(&sets, sets.by_name(name)?, &view)),
    }
    let columns = vec![
        text_column("Target", 192),
        text_column("Placement", 1024),
        text_column("Scheduling_State", 1024),
    ];
    Ok(Listing { columns, rows })
}

fn policy_text(policy: &str) -> Value {
    text(format!("PLACEMENT POLICY={}", identifier(policy)))
}

fn of_database(database: &DatabaseDef) -> Option<Row> {
    let policy = Some(database.placement.as_str()).filter(|policy| !policy.is_empty())?;
    Some(vec![text(format!("DATABASE {}", database.name)), policy_text(policy), Value::Null])
}

/// The policies that a set's slots are under: one, unless the sets were others when they came under them.
fn of_set(sets: &Sets, number: u32, view: &PlacementView) -> Vec<Row> {
    let slots = sets.slots(number).unwrap_or(SlotRange { start: 0, end: 0 });
    let name = format!("SET {}", sets::name(number));
    let row = |place: &crate::placement::PlaceRow| {
        vec![text(&name), policy_text(&place.policy), text(&place.state)]
    };
    view.places_in(slots).map(row).collect()
}

fn of_table(table: &TableDef, view: &PlacementView) -> Option<Row> {
    let policy = Some(table.placement.as_str()).filter(|policy| !policy.is_empty())?;
    let slots = table.sharding.distribution().and_then(|by| Some(by.items.first()?.slots));
    let state = slots.and_then(|slots| view.places_in(slots).next());
    let state = state.map_or(Value::Null, |place| text(&place.state));
    Some(vec![text(format!("TABLE {}", table.qualified_name())), policy_text(policy), state])
}
