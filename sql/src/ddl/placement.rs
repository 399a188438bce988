//! Placement policies: their statements, and where a table with one lies.
//!
//! ```text
//! CREATE TABLE … PLACEMENT POLICY=eu ──> a set under eu; none yet: the last set under no policy comes under it
//!                                         rows: as in a hash table, but over the slots of that set alone
//! ```
//!
//! Policies and the slots under them are the cluster's (`placement`); databases and tables name them in the catalog. A
//! table gets another policy by a job that writes its rows into the slots of another set, as for another sharding key (`rekey`);
//! meanwhile it has rows in both.

use super::change::{Touched, change};
use super::indexes::{self, Planned};
use super::{check_own, create_table, database_of, existing_database, rekey_steps};
use crate::ast::{self, PlacementStatement, ShardingClause};
use crate::catalog::index_jobs::{self, JobOutcome, Rekey};
use crate::catalog::{
    Catalog, DatabaseDef, Distribution, IndexDef, ItemValues, SetItem, Sharding, TableDef, store,
};
use crate::context::EvalContext;
use crate::dml::find_table;
use crate::instance::Cluster;
use crate::placement::{PlacementAnswer, PlacementChange, PlacementRefusal, PutPolicy};
use crate::session::{OkResult, Outcome, Session};
use crate::sets::{self, Sets};
use crate::{Error, Result};
use base::SlotRange;
use std::sync::Arc;

/// Where a table with a policy lies.
pub(super) struct TablePlacement {
    /// The policy.
    pub policy: String,
    /// The set.
    pub set: u32,
    /// Its slots.
    pub slots: SlotRange,
}

impl TablePlacement {
    /// How rows are spread by the hash of some columns: as without a policy, but over the slots of the set. `None` without
    /// columns.
    pub(super) fn sharding(&self, columns: &[usize]) -> Option<Sharding> {
        let (column, spread) = (*columns.first()?, columns.to_vec());
        let items = vec![SetItem { set: self.set, slots: self.slots, values: ItemValues::Rest }];
        Some(Sharding::Range(Distribution { column, spread, items }))
    }
}

/// The policy that a new table is to have.
pub(super) struct Wanted {
    /// Its name, as it was said.
    policy: String,
    /// The database, when it is the one that names the policy.
    of_database: Option<String>,
}

impl Wanted {
    /// A place to check a table with before it has a set: no check goes by which slots it has.
    pub(super) fn anywhere(&self) -> TablePlacement {
        TablePlacement { policy: key(&self.policy), set: 1, slots: SlotRange::ALL }
    }
}

/// Runs a statement about policies.
pub(super) async fn run(session: &mut Session, statement: &PlacementStatement) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let cluster = session.instance.config.cluster.clone();
    match statement {
        PlacementStatement::Create { or_replace, if_not_exists, name, options } => {
            let wrong = |name: &str| Error::wrong_arguments(format!("PLACEMENT POLICY '{name}'"));
            create_table::check_identifier(name, wrong)?;
            if name.eq_ignore_ascii_case("default") {
                return Err(wrong(name));
            }
            let how = if *or_replace { PutPolicy::Either } else { PutPolicy::New };
            let put = PlacementChange::Put { name: key(name), options: options.clone(), how };
            match ask(&cluster, put).await {
                Err(PlacementRefusal::Exists) if *if_not_exists => {
                    ctx.note(Error::placement_policy_exists(name));
                }
                answer => warn(&ctx, answer.map_err(|why| refused(why, name, &ctx))?),
            }
        }
        PlacementStatement::Alter { if_exists, name, options } => {
            let how = PutPolicy::Old;
            let put = PlacementChange::Put { name: key(name), options: options.clone(), how };
            match ask(&cluster, put).await {
                Err(PlacementRefusal::Unknown) if *if_exists => {
                    ctx.note(Error::unknown_placement_policy(name));
                }
                answer => warn(&ctx, answer.map_err(|why| refused(why, name, &ctx))?),
            }
        }
        PlacementStatement::Drop { if_exists, name } => {
            let catalog = session.instance.catalog.current().await?;
            let layouts = layouts(session, &catalog).await?;
            if let Some(user) = user_of(&catalog, &layouts, &key(name)) {
                return Err(Error::placement_policy_in_use(name, user));
            }
            match ask(&cluster, PlacementChange::Drop { name: key(name) }).await {
                Err(PlacementRefusal::Unknown) if *if_exists => {
                    ctx.note(Error::unknown_placement_policy(name));
                }
                answer => warn(&ctx, answer.map_err(|why| refused(why, name, &ctx))?),
            }
        }
        PlacementStatement::Set { set, policy } => {
            let sets = Sets::of_context(&ctx)?;
            let slots = slots_of(&sets, sets.by_name(set)?)?;
            let policy = policy.as_deref().map(key);
            let catalog = session.instance.catalog.current().await?;
            let other = |table: &&TableDef| {
                let lies_there = table.sharding.distribution().is_some_and(|by| {
                    let meets = |own: SlotRange| own.start < slots.end && slots.start < own.end;
                    by.items.iter().any(|item| meets(item.slots))
                });
                let named = Some(table.placement.as_str());
                lies_there && !table.placement.is_empty() && named != policy.as_deref()
            };
            if let Some(table) = layouts(session, &catalog).await?.iter().find(other) {
                let user = format!("table {}", table.qualified_name());
                return Err(Error::placement_policy_in_use(&table.placement, user));
            }
            let name = policy.clone().unwrap_or_default();
            let answer = ask(&cluster, PlacementChange::Assign { slots, policy }).await;
            warn(&ctx, answer.map_err(|why| refused(why, &name, &ctx))?);
        }
    }
    Ok(Outcome::done())
}

/// ALTER DATABASE … PLACEMENT POLICY: what tables get that are made from now on.
pub(super) async fn alter_database(
    session: &mut Session,
    alter: &ast::AlterDatabase,
) -> Result<Outcome> {
    let placement = alter.options.placement.clone();
    let only = ast::DatabaseOptions { placement, ..ast::DatabaseOptions::default() };
    let Some(policy) = alter.options.placement.as_deref().filter(|_| alter.options == only) else {
        return Err(Error::not_supported(
            "ALTER DATABASE of PLACEMENT POLICY together with others: say it in a statement of its own",
        ));
    };
    session.dml_context(Vec::new(), false);
    let name = alter.name.clone().or_else(|| session.database.as_deref().map(String::from));
    let name = name.ok_or_else(Error::no_database)?;
    check_own(session, &name)?;
    let placement = known(session, policy)?;
    change(session, Touched::NewDatabase, |change| {
        let old = existing_database(&change.catalog, &name)?;
        let new = DatabaseDef { placement: placement.clone(), ..DatabaseDef::clone(old) };
        if new == **old {
            return Ok(false);
        }
        change.put_database(&new)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// ALTER TABLE … PLACEMENT POLICY, for a table that is in use: a job writes its rows and index entries into a set under the
/// policy, or into all slots for none, and lets the table read those then.
///
/// # Errors
/// 8239; 9005 when no set is left; 1235 for a table that cannot have a policy.
pub(super) async fn alter_table(
    session: &mut Session,
    name: &ast::TableName,
    policy: &str,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let wanted = known(session, policy)?;
    let client = session.instance.config.client.clone();
    let catalog = session.instance.catalog.current().await?;
    let table = find_table(name, session.database.as_deref(), &catalog)?;
    let mut place = None;
    if table.placement != wanted {
        // A set that comes under the policy stays there, so what fails is to fail before.
        Touched::Altered(&database, &name.name).check_own_locks(&session.table_locks)?;
        indexes::check_no_rekey(&index_jobs::all(&client).await?, &table)?;
        check_can_change(&table)?;
        if !wanted.is_empty() {
            let asked = Wanted { policy: policy.to_string(), of_database: None };
            place = Some(take_set(session, &asked, &ctx).await?);
        }
    }
    let ids = store::new_table_ids(&client, 1).await?;
    let mut made = None;
    indexes::begin(session, name, |table| {
        made = None;
        if table.placement == wanted {
            return Ok(None);
        }
        check_can_change(table)?;
        let columns = table.sharding_columns();
        let sharding = match &place {
            Some(place) => place.sharding(columns),
            None if wanted.is_empty() => Some(Sharding::Hash(columns.to_vec())),
            // It had the policy when it was looked at.
            None => return Err(Error::table_changed()),
        };
        let sharding = sharding.ok_or_else(|| Error::internal("a hash of no columns"))?;
        let rekey = Rekey::of_policy(ids[0], table, &wanted, &sharding);
        made = Some(rekey_steps::layout_of(table, &rekey)?.indexes);
        Ok(Some(Planned { added: Vec::new(), dropped: Vec::new(), rekey: Some(rekey) }))
    })
    .await?;
    if let Some(indexes) = made {
        warn_of_global(&wanted, &indexes, &ctx);
    }
    let info = format!("Records: 0  Duplicates: 0  Warnings: {}", session.diagnostics.count());
    Ok(Outcome::Ok(OkResult { info, ..OkResult::default() }))
}

/// 1235 for a table that cannot get another policy, with what to do instead.
fn check_can_change(table: &TableDef) -> Result<()> {
    let instead = match &table.sharding {
        _ if table.partitioning.is_some() => {
            "a partitioned table: create one with the policy, INSERT … SELECT into it and RENAME both"
        }
        Sharding::Hash(_) => return Ok(()),
        Sharding::Range(_) if !table.placement.is_empty() => return Ok(()),
        Sharding::Range(_) | Sharding::List(_) => {
            "a table by RANGE or LIST: its rows follow the policies of their sets (ALTER SET … PLACEMENT POLICY); or give it a hash \
             with ALTER TABLE … shardkey= first"
        }
        Sharding::Single | Sharding::Keys(_) => {
            "a table that is not spread by a hash: give it one with ALTER TABLE … shardkey= first"
        }
        Sharding::Broadcast(_) => {
            "a broadcast table: create one with the policy, INSERT … SELECT into it and RENAME both"
        }
    };
    Err(Error::not_supported(format!("PLACEMENT POLICY of {instead}")))
}

/// The policy that a database or table names, as it is kept; empty for none.
///
/// # Errors
/// 8239.
pub(super) fn known(session: &Session, policy: &str) -> Result<String> {
    let name = key(policy);
    let is_known = || session.instance.config.cluster.placement().policy(&name).is_some();
    if !name.is_empty() && !is_known() {
        return Err(Error::unknown_placement_policy(policy));
    }
    Ok(name)
}

/// The policy that a new table is to have, by its own or by its database's word.
///
/// # Errors
/// 1235 when its rows are spread in another way.
pub(super) async fn of_new_table(
    session: &mut Session,
    create: &ast::CreateTable,
    database: &str,
    ctx: &EvalContext,
) -> Result<Option<Wanted>> {
    let catalog = session.instance.catalog.current().await?;
    let inherited = catalog.database(database).map_or("", |found| found.placement.as_str());
    let own = create.options.placement.as_deref();
    let policy = own.unwrap_or(inherited);
    if policy.is_empty() || catalog.is_name_taken(database, &create.name.name) {
        return Ok(None);
    }
    existing_database(&catalog, database)?;
    let by_hash = match &create.sharding {
        None | Some(ShardingClause::ShardKey(_)) => true,
        Some(ShardingClause::DistributedBy { method, .. }) => {
            *method == ast::DistributionMethod::Hash
        }
        Some(
            ShardingClause::Single
            | ShardingClause::Broadcast { .. }
            | ShardingClause::ByRange { .. },
        ) => false,
    };
    if !by_hash {
        let refusal = Error::not_supported(
            "PLACEMENT POLICY of a table that is not spread by a hash: rows of RANGE and LIST follow the policies of their \
             sets (ALTER SET), and shardkey=noshardkey and SHARD BY RANGE have none",
        );
        if own.is_some() {
            return Err(refusal);
        }
        ctx.note(refusal);
        return Ok(None);
    }
    let of_database = own.is_none().then(|| database.to_string());
    Ok(Some(Wanted { policy: policy.to_string(), of_database }))
}

/// A set for a new table that is to have a policy: the last one that is under none comes under it when none is. So everything else
/// about the table is checked before.
///
/// # Errors
/// 8239; 9005 when no set is left, and when its database names a policy that is not there any more.
pub(super) async fn take_set(
    session: &mut Session,
    wanted: &Wanted,
    ctx: &EvalContext,
) -> Result<TablePlacement> {
    let policy = wanted.policy.as_str();
    let cluster = session.instance.config.cluster.clone();
    let sets = Sets::of_context(ctx)?;
    let ranges = sets.numbers().filter_map(|number| sets.slots(number)).collect();
    let change = PlacementChange::Use { policy: key(policy), sets: ranges };
    let answer = ask(&cluster, change).await.map_err(|why| match (why, &wanted.of_database) {
        // Dropped while the database was given it.
        (PlacementRefusal::Unknown, Some(database)) => Error::cluster_refuses(format!(
            "database {database} names placement policy '{policy}', which is not there any more: ALTER DATABASE {database} \
             PLACEMENT POLICY=DEFAULT, or create the policy again"
        )),
        (why, _) => refused(why, policy, ctx),
    })?;
    let slots = answer.slots.ok_or_else(|| Error::internal("a policy without slots"))?;
    let set = sets.numbers().find(|number| sets.slots(*number) == Some(slots));
    let set = set.ok_or_else(|| Error::internal("slots of no set"))?;
    if answer.taken {
        ctx.note(Error::cluster_refuses(format!(
            "{} has come under placement policy '{}': rows that other tables have there move with it",
            sets::name(set),
            key(policy)
        )));
    }
    warn(ctx, answer);
    Ok(TablePlacement { policy: key(policy), set, slots })
}

/// Warns of what new indexes of a table with a policy have outside of its set: entries of a global one.
pub(super) fn warn_of_global(policy: &str, indexes: &[IndexDef], ctx: &EvalContext) {
    let global = indexes.iter().find(|index| index.global);
    if let Some(index) = global.filter(|_| !policy.is_empty()) {
        ctx.warn(Error::cluster_refuses(format!(
            "entries of the global index '{}' lie in all sets, not only where placement policy '{policy}' wants the rows",
            index.name
        )));
    }
}

/// The tables with a policy, in each layout that they have or that an open job is to make: rows are in all of them.
async fn layouts(session: &Session, catalog: &Catalog) -> Result<Vec<TableDef>> {
    let jobs = index_jobs::all(&session.instance.config.client).await?;
    let mut layouts: Vec<TableDef> = Vec::new();
    for table in catalog.databases().flat_map(|database| catalog.tables(&database.name)) {
        let other = table.rebuild.as_deref().map(|rebuild| &rebuild.mirror);
        layouts.extend(std::iter::once(&**table).chain(other).cloned());
    }
    for job in jobs.iter().filter(|job| job.outcome == JobOutcome::Open) {
        if let (Some(table), Some(rekey)) = (catalog.table_by_id(job.table), &job.rekey) {
            layouts.push(table.in_layout(&rekey_steps::layout_of(table, rekey)?));
        }
    }
    layouts.retain(|layout| !layout.placement.is_empty());
    Ok(layouts)
}

/// Who names a policy in the catalog.
fn user_of(catalog: &Catalog, layouts: &[TableDef], policy: &str) -> Option<String> {
    let database = catalog.databases().find(|database| database.placement == policy);
    let table = layouts.iter().find(|table| table.placement == policy);
    database
        .map(|database| format!("database {}", database.name))
        .or_else(|| table.map(|table| format!("table {}", table.qualified_name())))
}

/// A policy's name as it is kept.
pub(crate) fn key(name: &str) -> String {
    name.to_lowercase()
}

async fn ask(
    cluster: &Arc<dyn Cluster>,
    change: PlacementChange,
) -> std::result::Result<PlacementAnswer, PlacementRefusal> {
    cluster.alter_placement(change).await
}

fn slots_of(sets: &Sets, set: u32) -> Result<SlotRange> {
    sets.slots(set).ok_or_else(|| Error::internal("a set without slots"))
}

fn warn(ctx: &EvalContext, answer: PlacementAnswer) {
    for warning in answer.warnings {
        ctx.warn(Error::cluster_refuses(warning));
    }
}

fn refused(why: PlacementRefusal, name: &str, ctx: &EvalContext) -> Error {
    match why {
        PlacementRefusal::Exists => Error::placement_policy_exists(name),
        PlacementRefusal::Unknown => Error::unknown_placement_policy(name),
        PlacementRefusal::InUse(slots) => {
            let set = Sets::of_context(ctx)
                .ok()
                .and_then(|sets| sets.numbers().find(|number| sets.slots(*number) == Some(slots)));
            let last = slots.end.saturating_sub(1);
            let user = set.map_or(format!("slots {} to {last}", slots.start), sets::name);
            Error::placement_policy_in_use(name, user)
        }
        PlacementRefusal::NoSet => Error::cluster_refuses(format!(
            "no set is left for placement policy '{name}': each one is under another policy; take one back with ALTER SET \
             … PLACEMENT POLICY=DEFAULT, or have more sets ([sql] tdsql_sets)"
        )),
        PlacementRefusal::Other(sentence) => Error::cluster_refuses(sentence),
    }
}
