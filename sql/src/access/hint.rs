//! USE, FORCE and IGNORE INDEX: a statement sees a table with indexes that its reads leave alone.
//!
//! FORCE is USE here: any index that a condition bounds is taken before a walk over all rows. What is said for ORDER BY or
//! GROUP BY alone keeps no look-up from an index; its names are checked.

use crate::ast::{IndexHint, IndexHintAction, IndexHintPurpose};
use crate::catalog::TableDef;
use crate::{Error, Result};
use std::sync::Arc;

/// The table as a statement with these hints reads it.
///
/// # Errors
///
/// 1176 for an index that the table has not, 1221 for USE beside FORCE.
pub fn hinted(table: &Arc<TableDef>, alias: &str, hints: &[IndexHint]) -> Result<Arc<TableDef>> {
    if hints.is_empty() {
        return Ok(table.clone());
    }
    let says = |action| hints.iter().any(|hint| hint.action == action);
    if says(IndexHintAction::Use) && says(IndexHintAction::Force) {
        return Err(Error::wrong_usage("USE INDEX", "FORCE INDEX"));
    }
    let is_named = |name: &str, known: &str| !known.is_empty() && known.eq_ignore_ascii_case(name);
    for name in hints.iter().flat_map(|hint| &hint.indexes) {
        let mut declared = table.declared.iter().map(|key| key.name.as_str());
        let mut known = table.indexes.iter().map(|index| index.name.as_str());
        if !known.any(|known| is_named(name, known)) && !declared.any(|known| is_named(name, known))
        {
            return Err(Error::no_such_key(name, alias));
        }
    }
    let for_reads = |hint: &&IndexHint| matches!(hint.purpose, None | Some(IndexHintPurpose::Join));
    let names =
        |hint: &IndexHint, known: &str| hint.indexes.iter().any(|name| is_named(name, known));
    let mut table = TableDef::clone(table);
    for index in &mut table.indexes {
        let mut wanted = hints
            .iter()
            .filter(for_reads)
            .filter(|hint| hint.action != IndexHintAction::Ignore)
            .peekable();
        let is_left_out = wanted.peek().is_some() && !wanted.any(|hint| names(hint, &index.name));
        let mut refused =
            hints.iter().filter(for_reads).filter(|hint| hint.action == IndexHintAction::Ignore);
        index.ignored = is_left_out || refused.any(|hint| names(hint, &index.name));
    }
    Ok(Arc::new(table))
}
