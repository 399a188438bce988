//! SET GLOBAL, SET PERSIST, RESET PERSIST: a schema change that touches no table, so that every node knows the value when the
//! statement is answered.
//!
//! A value stays until it is set again: a cluster is never started anew as a whole, so that GLOBAL keeps what PERSIST keeps. What
//! PERSIST adds is the mark that RESET PERSIST takes off. DEFAULT gives the value back to the nodes' configuration.
//!
//! Not here: whether the variable takes the value (`session::variables`).

use super::change::{Touched, change};
use crate::catalog::Setting;
use crate::context::EvalContext;
use crate::session::Session;
use crate::{Error, Result};

/// Sets a global value, as text; `None` within is NULL, without a value it is DEFAULT. The context is the statement's, which has its
/// warnings.
pub(crate) async fn set(
    session: &mut Session,
    ctx: &EvalContext,
    name: &str,
    value: Option<Option<String>>,
    persist: bool,
) -> Result<()> {
    let (set_by, set_unix) = (ctx.user.clone(), ctx.now_unix_micros / 1_000_000);
    change(session, Touched::Nothing, |change| {
        match &value {
            None => change.remove_setting(name)?,
            Some(value) => {
                let was = change.catalog.settings().get(name).is_some_and(|old| old.persisted);
                change.put_setting(&Setting {
                    name: name.to_string(),
                    value: value.clone(),
                    persisted: was || persist,
                    set_by: set_by.clone(),
                    set_unix,
                })?;
            }
        }
        Ok(true)
    })
    .await
}

/// RESET PERSIST of one variable, or of all: their values stay in force.
pub(crate) async fn reset_persist(
    session: &mut Session,
    name: Option<&str>,
    if_exists: bool,
) -> Result<()> {
    let ctx = session.context(Vec::new());
    let name = name.map(str::to_ascii_lowercase);
    let mut is_missing = false;
    change(session, Touched::Nothing, |change| {
        let wanted = |setting: &&Setting| {
            setting.persisted && name.as_ref().is_none_or(|name| *name == setting.name)
        };
        let found: Vec<Setting> =
            change.catalog.settings().values().filter(wanted).cloned().collect();
        is_missing = found.is_empty();
        for setting in &found {
            change.put_setting(&Setting { persisted: false, ..setting.clone() })?;
        }
        Ok(!is_missing)
    })
    .await?;
    match name {
        Some(name) if is_missing && if_exists => ctx.warn(Error::not_persisted(name)),
        Some(name) if is_missing => return Err(Error::not_persisted(name)),
        _ => {}
    }
    Ok(())
}
