//! Table options: engine, retention, and what is kept as text.
//!
//! Not here: character set and collation (`column_type`), AUTO_PARTITION (`partition`), PLACEMENT POLICY (`placement`).

use crate::{Error, Result, ast};
use base::limits::RETENTION_S;

pub(super) fn check_engine(options: &ast::TableOptions) -> Result<()> {
    check_engine_name(options.engine.as_deref())
}

/// Refuses engines that nobody knows, of a table or of a partition.
pub(in crate::ddl) fn check_engine_name(engine: Option<&str>) -> Result<()> {
    match engine {
        Some(engine) if !engine.eq_ignore_ascii_case("InnoDB") => {
            // Schemas of other engines are taken as MySQL takes them with a substitute engine, but only
            // those whose tables behave like ours for every statement we have.
            let known = ["MyISAM", "RocksDB", "Aria", "ndbcluster", "precinct"];
            if known.iter().any(|name| name.eq_ignore_ascii_case(engine)) {
                Ok(())
            } else {
                Err(Error::unknown_engine(engine))
            }
        }
        _ => Ok(()),
    }
}

/// Most characters of a table's comment, as in MySQL.
const TABLE_COMMENT_CHARS_MAX: usize = 2048;

/// A table's comment.
///
/// # Errors
/// 1628 when it is too long.
pub(in crate::ddl) fn comment(table: &str, comment: &str) -> Result<String> {
    match comment.chars().count() > TABLE_COMMENT_CHARS_MAX {
        true => Err(Error::table_comment_too_long(table, TABLE_COMMENT_CHARS_MAX)),
        false => Ok(comment.to_string()),
    }
}

/// The retention that options give a table, seconds; 0 for the cluster's.
pub(in crate::ddl) fn retention(options: &ast::TableOptions) -> Result<u64> {
    match options.retention_s {
        None | Some(0) => Ok(0),
        Some(seconds) if RETENTION_S.contains(&seconds) => Ok(seconds),
        Some(seconds) => {
            let (least, most) = (*RETENTION_S.start(), *RETENTION_S.end());
            let kind = format!("RETENTION_SECONDS ({least} to {most}, or DEFAULT)");
            Err(Error::wrong_value(kind, seconds))
        }
    }
}

/// Table options that SHOW CREATE TABLE prints back.
pub(super) fn printed_options(options: &ast::TableOptions) -> String {
    let mut text = String::new();
    for option in &options.other {
        if option.name == "ROW_FORMAT" && !option.value.eq_ignore_ascii_case("DEFAULT") {
            text.push_str(&format!(" ROW_FORMAT={}", option.value.to_ascii_uppercase()));
        }
    }
    text
}
