//! The reference pages of variables and functions are what the tables in the code say.
//!
//! A page that differs fails; `UPDATE_GOLDENFILES=1 cargo test -p sql --test reference` writes it anew.

use sql::function;
use sql::sysvar::{self, SystemVariable, VariableKind, VariableScope};
use std::fmt::Write;
use std::path::Path;

const VARIABLES_HEAD: &str = "\
# System variables

<!-- Written by sql/tests/reference.rs from sql/src/sysvar. Change it there. -->

`SET GLOBAL` and `SET PERSIST` set a value for sessions that begin from then on, at every node; it stays until it is set again, and
`DEFAULT` gives it back to the nodes' configuration files. `RESET PERSIST` takes the mark of `PERSIST` off and leaves the value. A
variable that is read only, or that takes its default alone, refuses other values.

| variable | scope | values | default | what it does |
|---|---|---|---|---|
";

const FUNCTIONS_HEAD: &str = "\
# Functions

<!-- Written by sql/tests/reference.rs from sql/src/function. Change it there. -->

Functions by name, with the number of their arguments. What they answer is what MySQL 8.4 answers. Operators, aggregates (`COUNT`, `SUM`,
`GROUP_CONCAT` …), window functions, and the forms that evaluate only what they need (`IF`, `IFNULL`, `NULLIF`, `COALESCE`, `CASE`)
are part of the language and not listed.

| what differs | how |
|---|---|
| regular expressions | matched in linear time; with look-around, back-references or possessive repetition two million steps at most, then error 3699 |
| FORMAT, lc_time_names | nine locales; another one is unknown (1649) |
| BENCHMARK | at most a million rounds, of constants |
| LOAD_FILE | NULL: no file of a server is read |
| STATEMENT_DIGEST | the hash of the text of STATEMENT_DIGEST_TEXT |
| UUID | version 4, random; UUID_SHORT is random, too |
| PS_THREAD_ID | that of the own connection; NULL for others |
| VALIDATE_PASSWORD_STRENGTH | by the defaults of MySQL's component |
| spatial functions | SRID 0, the plane |

| function | arguments |
|---|---|
";

/// The page is this text, or becomes it.
fn check(page: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(page);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, wanted).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).expect("the page is there");
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert_eq!(differs, None, "{page}: found, and what it should be");
    assert!(found == wanted, "{page} has another number of lines than it should have");
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) }
}

fn values(variable: &SystemVariable) -> String {
    match variable.kind {
        VariableKind::Flag => "OFF, ON".to_string(),
        VariableKind::Number { min, max } => format!("{min} to {max}"),
        VariableKind::Real => "a number".to_string(),
        VariableKind::Choice(words) => words.join(", "),
        VariableKind::Text => "text".to_string(),
    }
}

#[test]
fn variables() {
    let mut page = VARIABLES_HEAD.to_string();
    for variable in sysvar::all() {
        let scope = match variable.scope {
            VariableScope::Global => "global",
            VariableScope::Session => "session",
            VariableScope::Both => "both",
        };
        let default = match (variable.kind, variable.default) {
            (VariableKind::Flag, "0") => "OFF",
            (VariableKind::Flag, _) => "ON",
            (_, default) => default,
        };
        let (name, values, default) = (variable.name, values(variable), cell(default));
        let effect = sysvar::effect(variable);
        writeln!(page, "| `{name}` | {scope} | {values} | {default} | {effect} |").expect("memory");
    }
    check("variables.md", &page);
}

#[test]
fn functions() {
    let mut page = FUNCTIONS_HEAD.to_string();
    for name in function::names() {
        let function = function::find(name).expect("a name is one of a function");
        // Operators and conversions that no statement names.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let count = match (function.args_min, function.args_max) {
            (min, function::MANY) => format!("{min} or more"),
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        writeln!(page, "| {} | {count} |", name.to_ascii_uppercase()).expect("memory");
    }
    check("functions.md", &page);
}
