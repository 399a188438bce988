//! What each system variable does, in a sentence for the reference page (`docs/reference/variables.md`).

use super::{Settable, SystemVariable};
use std::borrow::Cow;

/// What those do that do something, sorted by name.
const EFFECTS: &[(&str, &str)] = &[
    ("auto_increment_increment", "the step between generated values"),
    ("auto_increment_offset", "the first generated value, modulo the step"),
    ("autocommit", "each statement is a transaction of its own"),
    ("block_encryption_mode", "how AES_ENCRYPT and AES_DECRYPT work"),
    ("character_set_client", "the character set of what the client sends"),
    ("character_set_connection", "the character set of literals"),
    ("character_set_database", "that of the default database; follows USE"),
    ("character_set_results", "the character set of what the client gets"),
    ("collation_connection", "the collation of literals"),
    ("collation_database", "that of the default database; follows USE"),
    ("cte_max_recursion_depth", "rounds of a recursive WITH before error 3636"),
    ("default_week_format", "what WEEK() counts without a mode"),
    ("div_precision_increment", "digits that a division adds behind the point"),
    ("error_count", "errors of the statement before"),
    ("group_concat_max_len", "bytes of GROUP_CONCAT before it is cut"),
    ("identity", "LAST_INSERT_ID()"),
    ("innodb_lock_wait_timeout", "seconds that a statement waits for a row before error 1205"),
    ("innodb_snapshot_isolation", "a row that changed since the snapshot was taken is a conflict"),
    ("interactive_timeout", "seconds without a statement before an interactive client is closed"),
    ("last_insert_id", "LAST_INSERT_ID()"),
    ("lc_time_names", "the language of DAYNAME, MONTHNAME and DATE_FORMAT"),
    ("lock_wait_timeout", "seconds that a statement waits for a table before error 1205"),
    ("max_allowed_packet", "the longest statement and string; set in the configuration"),
    (
        "max_execution_time",
        "milliseconds of a SELECT that locks nothing before error 3024; looked at between batches of rows",
    ),
    ("optimizer_switch", "kept as it is set, no effect"),
    ("replica_read", "whether queries are read at followers"),
    ("replica_read_max_lag", "how far behind followers may be, in seconds"),
    ("sql_mode", "how strict values are, and how statements are read"),
    ("sql_select_limit", "rows of a SELECT without LIMIT"),
    ("tdsql_explain_info", "EXPLAIN shows the sets that are asked"),
    ("tdsql_show_create", "the form of SHOW CREATE TABLE"),
    ("time_zone", "the zone in which TIMESTAMP is shown and NOW() tells the time"),
    ("timestamp", "NOW() stands still at this Unix time; 0 lets it go on"),
    ("transaction_isolation", "what a transaction sees of others"),
    ("transaction_read_only", "transactions change nothing"),
    ("tx_isolation", "another name of transaction_isolation"),
    ("tx_read_only", "another name of transaction_read_only"),
    ("wait_timeout", "seconds without a statement before a client is closed"),
    ("warning_count", "warnings of the statement before"),
];

/// What setting a variable does.
pub fn effect(variable: &SystemVariable) -> Cow<'static, str> {
    let known = EFFECTS.binary_search_by(|(name, _)| name.cmp(&variable.name));
    match (known, variable.settable) {
        (Ok(at), _) => Cow::Borrowed(EFFECTS[at].1),
        (Err(_), Settable::ReadOnly) => Cow::Borrowed("read only"),
        (Err(_), Settable::Fixed(why)) => {
            Cow::Owned(format!("takes its default alone; else error 1235: {why}"))
        }
        (Err(_), Settable::Free | Settable::Special) => Cow::Borrowed("accepted, no effect"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_of_variables_and_sorted() {
        assert!(EFFECTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(EFFECTS.iter().all(|(name, _)| crate::sysvar::find(name).is_some()));
    }
}
