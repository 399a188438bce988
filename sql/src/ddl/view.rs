//! CREATE, ALTER and DROP VIEW.
//!
//! ```text
//! bind the query (its mistakes, in MySQL's words) ─> resolve its names ─> text ─> bind the text ─> record
//! ```
//!
//! All of that is done inside of the schema change, over the definitions that it has read: a view is never made of a table that
//! is gone. Nothing waits for those who use a view: statements that have begun go on with what it was.
//!
//! Views share their names with tables and sequences.
//!
//! Not here: how names are resolved and written (`crate::view`), what queries make of a view (`binder::view`).

use super::change::{Touched, change};
use super::{account, create_table, database_of, existing_database};
use crate::ast::{SqlSecurity, TableName, ViewAlgorithm, ViewDefinition, ViewStatement};
use crate::binder::{self, BindContext};
use crate::catalog::information_schema::SystemTables;
use crate::catalog::{Catalog, ViewDef, store};
use crate::context::EvalContext;
use crate::session::{Outcome, Session};
use crate::{Error, Result, view};
use std::sync::Arc;

/// Runs one of them.
pub(super) async fn run(session: &mut Session, statement: &ViewStatement) -> Result<Outcome> {
    match statement {
        ViewStatement::Create { or_replace: false, view } => define(session, view, Mode::New).await,
        ViewStatement::Create { or_replace: true, view } => {
            define(session, view, Mode::Replace).await
        }
        ViewStatement::Alter(view) => define(session, view, Mode::Alter).await,
        ViewStatement::Drop { if_exists, names } => drop_all(session, *if_exists, names).await,
    }
}

/// What may have the name before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing.
    New,
    /// Nothing or a view.
    Replace,
    /// A view, which keeps what the statement does not say.
    Alter,
}

async fn define(session: &mut Session, wanted: &ViewDefinition, mode: Mode) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let name = wanted.name.name.as_str();
    create_table::check_identifier(name, |name| Error::wrong_table_name(name))?;
    let database = database_of(session, &wanted.name)?.to_string();
    let (definer, is_known) = account::definer(session, wanted.definer.as_ref()).await?;
    if !is_known {
        ctx.note(Error::no_such_definer(format!("'{}'@'{}'", definer.0, definer.1)));
    }
    let client = session.instance.config.client.clone();
    let id = store::new_table_ids(&client, 1).await?[0];
    let catalog = session.instance.catalog.current().await?;
    let maker = Maker {
        wanted,
        database: &database,
        default: session.database.as_deref().map(str::to_string),
        tables: session.virtual_tables(&catalog),
        ctx: ctx.clone(),
        base: ViewDef {
            id,
            database: database.clone(),
            name: name.to_string(),
            text: String::new(),
            columns: Vec::new(),
            columns_declared: !wanted.columns.is_empty(),
            algorithm: wanted.algorithm.unwrap_or(ViewAlgorithm::Undefined),
            definer,
            security: wanted.security.unwrap_or(SqlSecurity::Definer),
            check: wanted.check,
            updatable: false,
            client_charset: session.variables.text("character_set_client"),
            connection_collation: session.variables.text("collation_connection"),
            created_unix: ctx.now_unix_micros / 1_000_000,
        },
    };
    let mut warning = None;
    let touched = match mode {
        Mode::New => Touched::NewTable(&database, name),
        Mode::Replace | Mode::Alter => Touched::Tables(vec![(database.as_str(), name)]),
    };
    change(session, touched, |change| {
        existing_database(&change.catalog, &database)?;
        let old = existing(&change.catalog, &database, name, mode)?;
        let (view, refused) = maker.make(&change.catalog, old.as_deref(), mode)?;
        warning = refused;
        change.put_object(&view)?;
        Ok(true)
    })
    .await?;
    if let Some(warning) = warning {
        ctx.warn(warning);
    }
    Ok(Outcome::done())
}

/// The view that has the name.
///
/// # Errors
/// 1050 when there is something and must not be, 1146 when there is nothing and must be, 1347 when it is no view.
fn existing(
    catalog: &Catalog,
    database: &str,
    name: &str,
    mode: Mode,
) -> Result<Option<Arc<ViewDef>>> {
    let view = catalog.view(database, name);
    match (mode, view) {
        (Mode::New, _) if catalog.is_name_taken(database, name) => Err(Error::table_exists(name)),
        (Mode::Replace | Mode::Alter, None) if catalog.is_name_taken(database, name) => {
            Err(not_a_view(database, name))
        }
        (Mode::Alter, None) => Err(Error::no_such_table(format!("{database}.{name}"))),
        (_, view) => Ok(view.cloned()),
    }
}

fn not_a_view(database: &str, name: &str) -> Error {
    Error::wrong_object(format!("{database}.{name}"), "VIEW")
}

/// Makes a definition of a statement.
struct Maker<'a> {
    wanted: &'a ViewDefinition,
    /// Where the view is to be.
    database: &'a str,
    /// What names without a database mean.
    default: Option<String>,
    tables: SystemTables,
    ctx: Arc<EvalContext>,
    /// The definition as far as the query says nothing of it.
    base: ViewDef,
}

impl Maker<'_> {
    /// The definition, and the warning that it brings.
    fn make(
        &self,
        catalog: &Catalog,
        old: Option<&ViewDef>,
        mode: Mode,
    ) -> Result<(ViewDef, Option<Error>)> {
        let catalog = Arc::new(catalog.clone());
        let query = &*self.wanted.query;
        let mut bind = BindContext::new(catalog.clone(), self.default.clone(), &self.ctx)
            .with_virtual_tables(&self.tables);
        let bound = binder::bind_query(query, &mut bind)?;
        if let Some((_, name)) = bound.sources.temporary.first() {
            return Err(Error::view_of_temporary(name));
        }
        if old.is_some_and(|old| bind.views.seen.contains(&old.id)) {
            return Err(Error::no_such_table(self.base.qualified_name()));
        }
        let resolved = view::resolve(query, &catalog, self.default.as_deref(), &self.tables)?;
        let mut made = ViewDef {
            text: view::stored(&resolved.query),
            columns: self.columns(resolved.columns)?,
            ..self.base.clone()
        };
        if let Some(old) = old {
            made.id = old.id;
            if mode == Mode::Alter {
                self.keep(&mut made, old);
            }
        }
        let is_mergeable = view::is_mergeable(&resolved.query);
        let mut warning = None;
        if made.algorithm == ViewAlgorithm::Merge && !is_mergeable {
            made.algorithm = ViewAlgorithm::Undefined;
            warning = Some(Error::view_cannot_merge());
        }
        let changeable = |name: &&TableName| {
            let database = name.database.as_deref().unwrap_or(self.database);
            catalog.table(database, &name.name).is_some()
                || catalog.view(database, &name.name).is_some_and(|view| view.updatable)
        };
        made.updatable = is_mergeable
            && made.algorithm != ViewAlgorithm::TempTable
            && view::sources(&resolved.query).iter().any(changeable);
        if made.check.is_some() && !made.updatable {
            return Err(Error::view_check_not_updatable(made.qualified_name()));
        }
        self.check_text(&made, &catalog)?;
        Ok((made, warning))
    }

    /// What ALTER VIEW leaves as it was.
    fn keep(&self, made: &mut ViewDef, old: &ViewDef) {
        if self.wanted.algorithm.is_none() {
            made.algorithm = old.algorithm;
        }
        if self.wanted.definer.is_none() {
            made.definer.clone_from(&old.definer);
        }
        if self.wanted.security.is_none() {
            made.security = old.security;
        }
    }

    /// Names of the columns: those listed, else the query's own.
    fn columns(&self, own: Vec<String>) -> Result<Vec<String>> {
        let listed = &self.wanted.columns;
        if !listed.is_empty() && listed.len() != own.len() {
            return Err(Error::column_list_mismatch());
        }
        let columns = if listed.is_empty() { own } else { listed.clone() };
        for (place, name) in columns.iter().enumerate() {
            create_table::check_identifier(name, |name| Error::wrong_column_name(name))?;
            if columns[..place].iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(Error::duplicate_column(name));
            }
        }
        Ok(columns)
    }

    /// Refuses a view whose text is not understood: it would be of no use to anybody.
    fn check_text(&self, made: &ViewDef, catalog: &Arc<Catalog>) -> Result<()> {
        let warnings = self.ctx.warnings.count();
        let columns = binder::view::columns_of(made, catalog, &self.ctx, &self.tables);
        self.ctx.warnings.forget_after(warnings);
        match columns {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::not_supported(format!(
                "a view of this query, which cannot be read back from what would be kept of it ({}); write it in another way",
                error.message
            ))),
        }
    }
}

async fn drop_all(session: &mut Session, if_exists: bool, names: &[TableName]) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let mut pairs = Vec::with_capacity(names.len());
    for name in names {
        let pair = (database_of(session, name)?.to_string(), name.name.clone());
        if pairs.contains(&pair) {
            return Err(Error::nonunique_table(&pair.1));
        }
        pairs.push(pair);
    }
    let mut absent = Vec::new();
    let touched = pairs.iter().map(|(database, name)| (database.as_str(), name.as_str()));
    change(session, Touched::Tables(touched.collect()), |change| {
        absent.clear();
        let mut found = Vec::new();
        for (database, name) in &pairs {
            match change.catalog.view(database, name) {
                Some(view) => found.push(view.clone()),
                None if change.catalog.is_name_taken(database, name) => {
                    return Err(not_a_view(database, name));
                }
                None => absent.push(format!("{database}.{name}")),
            }
        }
        if !absent.is_empty() && !if_exists {
            return Err(Error::unknown_table(absent.join(",")));
        }
        for view in &found {
            change.remove_object(&**view)?;
        }
        Ok(!found.is_empty())
    })
    .await?;
    for name in absent {
        ctx.note(Error::unknown_table(name));
    }
    Ok(Outcome::done())
}
