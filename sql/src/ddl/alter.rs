//! ALTER TABLE: who does which change, and those that change a definition in place.
//!
//! ```text
//! changes ──> columns, and with them indexes and options (`columns`)
//!         ├─> indexes · rekey · partition · ranges · placement ──> each alone
//!         ├─> another name: as RENAME TABLE
//!         ├─> table options in place
//!         └─> anything else: 1235
//! ```

mod column_list;
mod columns;
mod copy;
mod kept_type;
mod modifiers;
mod row_check;

pub(super) use copy::TableCopy;
pub(super) use row_check::RowCheck;

use super::change::{Touched, change};
use super::table::check_retentions;
use super::{
    column_type, create_table, database_of, drop, foreign_key, indexes, partition, placement,
    ranges, rekey, temporary,
};
use crate::ast::{self, TableChange};
use crate::catalog::TableDef;
use crate::session::{Outcome, Session};
use crate::{Error, Result};

/// ALTER TABLE: columns, indexes, the sharding key, the placement policy, RETENTION_SECONDS = n, AUTO_INCREMENT = n, AUTO_PARTITION = n, COMMENT, changes of
/// partitions or ranges, another name, or nothing to do.
pub(super) async fn table(session: &mut Session, alter: &ast::AlterTable) -> Result<Outcome> {
    session.dml_context(Vec::new(), false);
    if let Some(table) = session.temporary_table(&alter.table) {
        return temporary::alter(session, &table, &alter.changes).await;
    }
    let database = database_of(session, &alter.table)?.to_string();
    let catalog = session.instance.catalog.current().await?;
    if let Some(table) = catalog.table(&database, &alter.table.name) {
        foreign_key::check_alter(&catalog, table, &alter.changes)?;
        if let Some(names) = foreign_key::dropped_alone(table, &alter.changes) {
            return drop_foreign_keys(session, &alter.table, &names).await;
        }
    }
    let of_keys = |change: &TableChange| matches!(change, TableChange::EnableKeys(_));
    if !alter.changes.is_empty() && alter.changes.iter().all(of_keys) {
        return enable_keys(session, &alter.table).await;
    }
    ranges::check_alone(&alter.changes)?;
    if alter.changes.iter().any(copy::is_of_primary) {
        return copy::alter(session, &alter.table, &alter.changes).await;
    }
    if alter.changes.iter().any(column_list::is_of_columns) {
        return columns::alter(session, &alter.table, &alter.changes).await;
    }
    if let Some(changes) = indexes::changes_alone(&alter.changes)? {
        return indexes::alter(session, &alter.table, changes).await;
    }
    if let Some(sharding) = rekey::changes_alone(&alter.changes)? {
        return rekey::alter(session, &alter.table, sharding).await;
    }
    if partition::is_change(&alter.changes)? {
        return partition::alter(session, &alter.table, &alter.changes[0]).await;
    }
    if let [TableChange::SplitRange(bounds)] = alter.changes.as_slice() {
        return ranges::split(session, &alter.table, bounds).await;
    }
    if let [TableChange::MergeRanges(bounds)] = alter.changes.as_slice() {
        return ranges::merge(session, &alter.table, bounds).await;
    }
    if let Some(auto) = auto_alone(&alter.changes)? {
        return partition::set_auto(session, &alter.table, auto).await;
    }
    if let Some(policy) = placement_alone(&alter.changes) {
        return placement::alter_table(session, &alter.table, policy).await;
    }
    if let [TableChange::RenameTable(to)] = alter.changes.as_slice() {
        // As in MySQL, a new name without a database means the session's.
        return drop::rename(session, &[(alter.table.clone(), to.clone())]).await;
    }
    let in_place = InPlace::of(&alter.changes)?.filter(|_| !alter.changes.is_empty());
    let Some(in_place) = in_place else {
        return Err(Error::not_supported(not_in_place(&alter.changes)));
    };
    let default = session.database.clone();
    let touched = Touched::Tables(vec![(database.as_str(), alter.table.name.as_str())]);
    change(session, touched, |change| {
        let table = crate::dml::find_table(&alter.table, default.as_deref(), &change.catalog)?;
        indexes::check_no_rekey(&change.index_jobs, &table)?;
        let mut new = TableDef::clone(&table);
        in_place.apply(&mut new)?;
        if new == *table {
            return Ok(false);
        }
        check_retentions(&change.catalog, &new)?;
        change.put_table(&new)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// DROP FOREIGN KEY. Indexes stay, as in MySQL.
async fn drop_foreign_keys(
    session: &mut Session,
    name: &ast::TableName,
    dropped: &[&str],
) -> Result<Outcome> {
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
    change(session, touched, |change| {
        let table = crate::dml::find_table(name, default.as_deref(), &change.catalog)?;
        let mut new = TableDef::clone(&table);
        for name in dropped {
            foreign_key::drop(&mut new, name)?;
        }
        change.put_table(&new)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// What ALTER TABLE changes in place.
#[derive(Default, PartialEq)]
struct InPlace {
    /// RETENTION_SECONDS.
    retention_s: Option<u64>,
    /// AUTO_INCREMENT: the next value, unless higher ones have been handed out. Without such a column it means nothing, as
    /// in MySQL.
    auto_increment: Option<u64>,
    /// COMMENT.
    comment: Option<String>,
    /// CHARACTER SET of new columns.
    charset: Option<String>,
    /// COLLATE of new columns.
    collation: Option<String>,
}

impl InPlace {
    /// `None` when anything else is to be changed. ENGINE names the one that there is, and FORCE builds anew what is kept in
    /// order all the time: they change nothing.
    fn of<'a>(changes: impl IntoIterator<Item = &'a TableChange>) -> Result<Option<InPlace>> {
        let mut all = InPlace::default();
        for change in changes {
            let options = match change {
                TableChange::Options(options) => options,
                TableChange::Other(text) if text.eq_ignore_ascii_case("FORCE") => continue,
                TableChange::Other(text) if indexes::is_modifier(text) => continue,
                _ => return Ok(None),
            };
            let (retention_s, auto_increment) = (options.retention_s, options.auto_increment);
            let known = ast::TableOptions {
                retention_s,
                auto_increment,
                comment: options.comment.clone(),
                engine: options.engine.clone(),
                charset: options.charset.clone(),
                collation: options.collation.clone(),
                ..ast::TableOptions::default()
            };
            if *options != known {
                return Ok(None);
            }
            create_table::check_engine_name(options.engine.as_deref())?;
            if retention_s.is_some() {
                all.retention_s = Some(create_table::retention(options)?);
            }
            all.auto_increment = auto_increment.or(all.auto_increment);
            all.comment = options.comment.clone().or(all.comment);
            all.charset = options.charset.clone().or(all.charset);
            all.collation = options.collation.clone().or(all.collation);
        }
        Ok(Some(all))
    }

    /// Changes a definition.
    fn apply(&self, table: &mut TableDef) -> Result<()> {
        table.retention_s = self.retention_s.unwrap_or(table.retention_s);
        if table.auto_increment().is_some() {
            table.auto_increment_start = self.auto_increment.unwrap_or(table.auto_increment_start);
        }
        let (charset, collation) = (self.charset.as_deref(), self.collation.as_deref());
        table.collation = column_type::choose_collation(charset, collation, table.collation)?;
        if let Some(comment) = &self.comment {
            table.comment = create_table::comment(&table.name, comment)?;
        }
        Ok(())
    }
}

/// What to do about changes that are not done.
fn not_in_place(changes: &[TableChange]) -> &'static str {
    let renames = |change: &TableChange| matches!(change, TableChange::RenameTable(_));
    match changes.iter().any(renames) {
        true => {
            "ALTER TABLE … RENAME TO together with other changes: rename it in a statement of its own"
        }
        false => "ALTER TABLE: create a table with the new definition and INSERT … SELECT into it",
    }
}

/// How many partitions of the future are asked for, when that is all that is changed.
fn auto_alone(changes: &[TableChange]) -> Result<Option<u32>> {
    let [TableChange::Options(options)] = changes else { return Ok(None) };
    let auto_partition = options.auto_partition;
    let alone = ast::TableOptions { auto_partition, ..ast::TableOptions::default() };
    match auto_partition {
        Some(_) if *options == alone => partition::auto(options).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// The placement policy that is asked for, when that is all that is changed.
fn placement_alone(changes: &[TableChange]) -> Option<&str> {
    let [TableChange::Options(options)] = changes else { return None };
    let placement = options.placement.clone();
    let alone = ast::TableOptions { placement, ..ast::TableOptions::default() };
    options.placement.as_deref().filter(|_| *options == alone)
}

/// ENABLE KEYS and DISABLE KEYS change nothing: indexes are always kept, as InnoDB's.
async fn enable_keys(session: &mut Session, name: &ast::TableName) -> Result<Outcome> {
    let catalog = session.instance.catalog.current().await?;
    let table = crate::dml::find_table(name, session.database.as_deref(), &catalog)?;
    session.table_locks.check_table(&table.database, &table.name, true)?;
    session.context(Vec::new()).note(Error::illegal_engine_option(&table.name));
    Ok(Outcome::done())
}
