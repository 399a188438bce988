//! The grammar: golden scripts, precedence of every pair of operators, and texts that no one would write.
//!
//! A script's command is a statement, written after `>`. Its output is the printed tree; the runner also
//! holds the fix point `parse(print(tree)) == tree`. Tags before `>` choose how it is read:
//! sql_mode flags (`ansi_quotes`, `pipes_as_concat`, `no_backslash_escapes`, `high_not_precedence`,
//! `ignore_space`), `prepared` (parameters allowed, counted), `names` (names of the result's columns),
//! `digest` (the template, its literals, the digest text), `tree` (the tree itself).

use goldenscript::{Command, Context, Runner};
use proptest::prelude::*;
use sql::ast::{Expr, QueryBody, SelectItem, Statement};
use sql::lexer::{ParseMode, digest};
use sql::parser::{parse_one, parse_prepared, parse_statement, rest_after, statement_length};
use sql::printer;
use std::error::Error;

test_each_file::test_each_path! { in "sql/src/testscripts/parser" as scripts => script }

fn script(path: &std::path::Path) {
    goldenscript::run(&mut Grammar, path).expect("the script runs");
}

struct Grammar;

impl Runner for Grammar {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let sql = &command.name;
        let tag = |name: &str| context.tags.contains(name);
        let mode = ParseMode {
            ansi_quotes: tag("ansi_quotes"),
            pipes_as_concat: tag("pipes_as_concat"),
            no_backslash_escapes: tag("no_backslash_escapes"),
            high_not_precedence: tag("high_not_precedence"),
            ignore_space: tag("ignore_space"),
        };
        if tag("digest") {
            let template = digest::template(sql, &mode).ok_or("no tokens")?;
            let literals = &template.literals;
            return Ok(format!("{}\n{literals:?}\n{}", template.text, template.digest_text()));
        }
        let parsed = match tag("prepared") {
            true => parse_prepared(sql, &mode).map(|(statement, count)| (Some(statement), count)),
            false => parse_one(sql, &mode).0.map(|statement| (statement, 0)),
        };
        let (statement, count) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(short(&error)),
        };
        let Some(statement) = statement else { return Ok("nothing".to_string()) };
        if let Statement::Unsupported(unsupported) = &statement {
            return Ok(format!("unsupported {}", unsupported.what));
        }
        let text = statement.to_string();
        holds_fix_point(&statement, &text);
        if tag("tree") {
            return Ok(format!("{statement:?}"));
        }
        if tag("names") {
            return Ok(names(&statement).join(" | "));
        }
        Ok(match tag("prepared") {
            true => format!("{count} parameters: {text}"),
            false => text,
        })
    }
}

/// An error without the words that all syntax errors share.
fn short(error: &sql::Error) -> String {
    let message = error.message.as_str();
    let near = message.find("to use near").map_or(message, |at| &message[at + 7..]);
    format!("{}: {near}", error.code)
}

fn holds_fix_point(statement: &Statement, text: &str) {
    let again = parse_statement(text, &ParseMode::default())
        .unwrap_or_else(|error| panic!("printed text does not parse: {text}\n{error}"));
    assert_eq!(&again, statement, "printed text means something else: {text}");
    assert_eq!(again.to_string(), text, "printing is not stable");
}

fn names(statement: &Statement) -> Vec<String> {
    let Some(QueryBody::Select(select)) = statement.as_query().map(|query| &query.body) else {
        return vec!["no SELECT".to_string()];
    };
    select.items.iter().map(|item| item.name().unwrap_or_else(|| "*".to_string())).collect()
}

fn expression(text: &str, mode: &ParseMode) -> Expr {
    match parse_statement(&format!("SELECT {text}"), mode) {
        Ok(Statement::Query(query)) => match query.body {
            QueryBody::Select(mut select) => match select.items.swap_remove(0) {
                SelectItem::Expr { expr, alias: None, .. } => expr,
                other => panic!("{text}: {other:?}"),
            },
            other => panic!("{text}: {other:?}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

fn means(text: &str, same: &str) {
    means_in(text, same, &ParseMode::default());
}

fn means_in(text: &str, same: &str, mode: &ParseMode) {
    let (left, right) = (expression(text, mode), expression(same, mode));
    assert_eq!(left, right, "{text} must mean {same}, but is {}", printer::expr(&left));
}

/// Infix operators by level, loosest first.
const LEVELS: [&[&str]; 10] = [
    &["OR", "||"],
    &["XOR"],
    &["AND", "&&"],
    &["=", "<=>", ">=", ">", "<=", "<", "<>", "!="],
    &["|"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "DIV", "%", "MOD"],
    &["^"],
];

#[test]
fn every_pair_of_infix_operators_groups_by_level_in_both_orders() {
    for (low_level, low_ops) in LEVELS.iter().enumerate() {
        for (high_level, high_ops) in LEVELS.iter().enumerate() {
            for low in *low_ops {
                for high in *high_ops {
                    let text = format!("a {low} b {high} c");
                    // The first operator of equal level takes the middle.
                    let same = if high_level > low_level {
                        format!("a {low} (b {high} c)")
                    } else {
                        format!("(a {low} b) {high} c")
                    };
                    means(&text, &same);
                }
            }
        }
    }
}

#[test]
fn concatenation_binds_between_bit_xor_and_unary() {
    let mode = ParseMode { pipes_as_concat: true, ..ParseMode::default() };
    means_in("a ^ b || c", "a ^ (b || c)", &mode);
    means_in("a || b ^ c", "(a || b) ^ c", &mode);
    means_in("-a || b", "(-a) || b", &mode);
    means_in("a || b = c", "(a || b) = c", &mode);
    means_in("a || b COLLATE utf8mb4_bin", "a || (b COLLATE utf8mb4_bin)", &mode);
}

#[test]
fn predicates_bind_tighter_than_comparisons_and_looser_than_bits() {
    for predicate in ["LIKE b", "IN (1)", "REGEXP b", "BETWEEN b AND c", "NOT LIKE b", "NOT IN (1)"]
    {
        means(&format!("x = a {predicate}"), &format!("x = (a {predicate})"));
        means(&format!("a {predicate} = x"), &format!("(a {predicate}) = x"));
        means(&format!("x | a {predicate}"), &format!("(x | a) {predicate}"));
        means(&format!("NOT a {predicate}"), &format!("NOT (a {predicate})"));
        means(&format!("a {predicate} AND x"), &format!("(a {predicate}) AND x"));
        means(&format!("a {predicate} IS NULL"), &format!("(a {predicate}) IS NULL"));
    }
    means("a BETWEEN b | c AND d", "a BETWEEN (b | c) AND d");
    means("a BETWEEN b AND c AND d", "(a BETWEEN b AND c) AND d");
    means("a BETWEEN b AND c LIKE d", "a BETWEEN b AND (c LIKE d)");
}

#[test]
fn unary_operators_bind_tighter_than_infix_ones() {
    means("-a ^ b", "(-a) ^ b");
    means("~a * b", "(~a) * b");
    means("!a + b", "(!a) + b");
    means("! a = b", "(!a) = b");
    means("- ~ a", "-(~a)");
    means("-a COLLATE utf8mb4_bin", "-(a COLLATE utf8mb4_bin)");
    means("NOT a = b", "NOT (a = b)");
    means("NOT a AND b", "(NOT a) AND b");
    means("NOT NOT a XOR b", "(NOT (NOT a)) XOR b");
    means("a = b IS NULL", "(a = b) IS NULL");
    means("a IS NULL = b", "(a IS NULL) = b");
    means("a IS NOT TRUE OR b", "(a IS NOT TRUE) OR b");
}

#[test]
fn not_binds_like_bang_under_high_not_precedence() {
    let mode = ParseMode { high_not_precedence: true, ..ParseMode::default() };
    means_in("NOT a BETWEEN b AND c", "(NOT a) BETWEEN b AND c", &mode);
    means_in("1 + NOT a * b", "1 + ((NOT a) * b)", &mode);
    means("NOT a BETWEEN b AND c", "NOT (a BETWEEN b AND c)");
}

#[test]
fn readings_that_other_parsers_get_wrong() {
    means("BINARY a = b", "(BINARY a) = b");
    means("2 ^ 3 * 4", "(2 ^ 3) * 4");
    means("a XOR b AND c", "a XOR (b AND c)");
    means("a || b && c", "a OR (b AND c)");
    means("1 /*!99999 + 1 */", "1");
    means("1 /*!80000 + 1 */", "1 + 1");
    means("a - INTERVAL 1 DAY + b", "(a - INTERVAL 1 DAY) + b");
    means("@a := b OR c", "@a := (b OR c)");
}

#[test]
fn chains_of_thousands_of_conditions_stay_flat() {
    for op in [" OR ", " AND "] {
        let conditions: Vec<String> = (0..20_000).map(|n| format!("id = {n}")).collect();
        let sql = format!("SELECT * FROM t WHERE {}", conditions.join(op));
        let statement = parse_statement(&sql, &ParseMode::default()).unwrap();
        let text = statement.to_string();
        holds_fix_point(&statement, &text);
    }
}

#[test]
fn unions_of_thousands_of_queries_stay_flat() {
    for op in [" UNION ", " UNION ALL "] {
        for count in [3, 64, 65, 66, 2_000] {
            let queries: Vec<String> = (0..count).map(|n| format!("SELECT {n}")).collect();
            let statement = parse_statement(&queries.join(op), &ParseMode::default()).unwrap();
            let text = statement.to_string();
            holds_fix_point(&statement, &text);
            let places: Vec<usize> =
                queries.iter().filter_map(|query| text.find(query.as_str())).collect();
            assert_eq!(places.len(), count);
        }
    }
}

/// Half the stack of a worker: the rest is for whoever called the parser.
fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(body);
    thread.expect("a thread starts").join().expect("the body holds");
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    on_a_small_stack(|| {
        let nests: [(&str, &str, &str); 29] = [
            ("SELECT ", "(", ")"),
            ("SELECT ", "1+(", ")"),
            ("SELECT ", "-", ""),
            ("SELECT ", "NOT ", ""),
            ("SELECT ", "f(", ")"),
            ("SELECT ", "CASE WHEN 1 THEN ", " END"),
            ("SELECT ", "1+", ""),
            ("SELECT ", "(SELECT ", ")"),
            ("SELECT 1 IN ", "((SELECT 1) + ", ")"),
            ("SELECT * FROM ", "(", ")"),
            ("SELECT * FROM ", "(SELECT * FROM ", ") AS t"),
            ("", "(", ")"),
            ("", "EXPLAIN ", ""),
            ("", "SELECT 1 UNION ", ""),
            ("", "(SELECT 1 UNION ", ")"),
            ("", "WITH a AS (", ") SELECT 1"),
            ("", "INSERT INTO t SELECT * FROM (", ") AS t"),
            ("SELECT ", "CASE ", " WHEN 1 THEN 1 END"),
            ("SELECT ", "1 IN (", ")"),
            ("SELECT ", "1 BETWEEN 1 AND ", ""),
            ("SELECT ", "EXISTS (SELECT ", ")"),
            ("SELECT ", "CAST(", " AS CHAR)"),
            ("SELECT ", "SUM(", ")"),
            ("SELECT ", "@a := ", ""),
            ("SELECT ", "INTERVAL 1 DAY + ", ""),
            ("SELECT * FROM ", "t JOIN (", ") ON 1"),
            ("SELECT * FROM ", "t JOIN ", ""),
            ("CREATE PROCEDURE p() ", "BEGIN ", "; END"),
            ("CREATE TRIGGER r BEFORE DELETE ON t FOR EACH ROW ", "IF 1 THEN ", "; END IF"),
        ];
        for (before, open, close) in nests {
            for inner in ["1", "t", "SELECT 1", ""] {
                let deep = 100_000;
                let sql = format!("{before}{}{inner}{}", open.repeat(deep), close.repeat(deep));
                match parse_one(&sql, &ParseMode::default()).0 {
                    Ok(statement) => {
                        // A chain of UNIONs is no deep tree, however long it is.
                        assert!(
                            open.ends_with("UNION ") && close.is_empty(),
                            "{before}{open}{inner}"
                        );
                        drop(statement);
                    }
                    Err(sql::Error { code, .. }) => {
                        assert!(code == 1436 || code == 1064, "{before}{open}{inner}: {code}");
                    }
                }
                // Just below the limits everything fits into the stack, dropping and printing included.
                for deep in [20, 60, 100, 160, 250] {
                    let sql = format!("{before}{}{inner}{}", open.repeat(deep), close.repeat(deep));
                    if let Ok(Some(statement)) = parse_one(&sql, &ParseMode::default()).0 {
                        let text = statement.to_string();
                        // Printing may add parentheses, and so a level too many.
                        match parse_statement(&text, &ParseMode::default()) {
                            Ok(again) => assert!(again == statement, "{before}{open}{inner}"),
                            Err(error) => assert_eq!(error.code, 1436, "{before}{open}{inner}"),
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn statements_are_taken_one_by_one() {
    let mode = ParseMode::default();
    let sql = "SELECT ';' ; -- one\n UPDATE t SET a = 1;;  /* end */ ";
    let (first, at) = parse_one(sql, &mode);
    assert_eq!(first.unwrap().unwrap().to_string(), "SELECT ';'");
    assert_eq!(rest_after(sql, at, &mode), Some(at));
    let (second, next) = parse_one(&sql[at..], &mode);
    assert_eq!(second.unwrap().unwrap().to_string(), "UPDATE `t` SET `a` = 1");
    let (third, last) = parse_one(&sql[at + next..], &mode);
    assert_eq!((third, last), (Ok(None), 1));
    assert_eq!(rest_after(sql, at + next + last, &mode), None);
    assert!(parse_statement("SELECT 1; SELECT 2", &mode).is_err());
    assert_eq!(parse_statement(" -- nothing", &mode).unwrap_err().code, 1065);
}

#[test]
fn semicolons_inside_of_a_program_end_no_statement() {
    let mode = ParseMode::default();
    let program = "CREATE PROCEDURE p() l: BEGIN IF a THEN SELECT ';'; END IF; END l;";
    let sql = format!("{program} SELECT 2; SELECT 'never ends");
    let (first, at) = parse_one(&sql, &mode);
    let printed = "CREATE PROCEDURE `p`() `l`: BEGIN IF `a` THEN SELECT ';'; END IF; END";
    assert_eq!(first.unwrap().unwrap().to_string(), printed);
    assert_eq!((at, rest_after(&sql, at, &mode)), (program.len(), Some(program.len())));
    assert_eq!(statement_length(&sql, &mode), program.len());
    // One without its end takes all of the text, as does one in a comment that other servers skip.
    assert_eq!(statement_length("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2", &mode), 45);
    let dumped =
        "/*!50003 CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW BEGIN DO 1; DO 2; END */";
    assert_eq!(statement_length(dumped, &mode), dumped.len());
    let (trigger, at) = parse_one(dumped, &mode);
    assert_eq!((trigger.unwrap().is_some(), at), (true, dumped.len()));
    // Others are cut by the lexer, whatever they say.
    assert_eq!(statement_length("BEGIN; SELECT 1", &mode), 6);
    assert_eq!(statement_length("SELECT 'x;y' FROM; SELECT 1", &mode), 18);
}

#[test]
fn parameters_are_only_for_prepared_statements() {
    let mode = ParseMode::default();
    assert_eq!(parse_one("SELECT ?", &mode).0.unwrap_err().code, 1064);
    assert_eq!(parse_prepared("SELECT ?, a FROM t WHERE b = ? LIMIT ?", &mode).unwrap().1, 3);
}

/// Reads a text in every mode; whatever is accepted must survive printing.
fn survives(sql: &str) {
    for flags in 0..32u32 {
        let mode = ParseMode {
            ansi_quotes: flags & 1 > 0,
            pipes_as_concat: flags & 2 > 0,
            no_backslash_escapes: flags & 4 > 0,
            high_not_precedence: flags & 8 > 0,
            ignore_space: flags & 16 > 0,
        };
        let (parsed, consumed) = parse_one(sql, &mode);
        assert!(consumed <= sql.len() && sql.is_char_boundary(consumed));
        let _ = digest::template(sql, &mode).map(|template| template.digest_text());
        match parsed {
            Ok(Some(Statement::Unsupported(_)) | None) | Err(_) => {}
            Ok(Some(statement)) => {
                let text = statement.to_string();
                // Parts that are kept as text are read in the mode of the statement.
                if !keeps_text(&statement) {
                    holds_fix_point(&statement, &text);
                }
            }
        }
    }
}

fn keeps_text(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::LoadData(_)
        | Statement::Do(_)
        | Statement::Call { .. } => false,
        Statement::OnSets(on) => keeps_text(&on.statement),
        Statement::Explain(explain) => match &explain.target {
            sql::ast::ExplainTarget::Statement(inner) => keeps_text(inner),
            _ => true,
        },
        _ => true,
    }
}

/// Pieces that meet in odd ways.
const SOUP: [&str; 108] = [
    "SELECT",
    "FROM",
    "WHERE",
    "t",
    "a",
    "b.c",
    "1",
    "1.5",
    "1e3",
    "'x'",
    "\"y\"",
    "`z`",
    "(",
    ")",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "|",
    "||",
    "&",
    "&&",
    "<<",
    ">>",
    "=",
    "<=>",
    "<>",
    "<",
    ">=",
    ":=",
    "!",
    "~",
    "NOT",
    "AND",
    "OR",
    "XOR",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "ESCAPE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "INTERVAL",
    "DAY",
    "EXISTS",
    "ANY",
    "ALL",
    "JOIN",
    "LEFT",
    "ON",
    "USING",
    "NATURAL",
    "UNION",
    "INTERSECT",
    "ORDER",
    "BY",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "FOR",
    "UPDATE",
    "SET",
    "INSERT",
    "INTO",
    "VALUES",
    "DUPLICATE",
    "KEY",
    "DELETE",
    "COUNT(*)",
    "COUNT (",
    "SUM(",
    "DATE_ADD(",
    "CAST(",
    "AS",
    "SIGNED",
    "CHAR",
    "TRIM(",
    "BOTH",
    "@v",
    "@@x",
    "@@global.x",
    "_utf8mb4",
    "x'41'",
    "0b1",
    "N'n'",
    "DATE",
    "BINARY",
    "COLLATE",
    "ROW",
    "DEFAULT",
    "WITH",
    "DISTINCT",
    ".",
    "->",
    "?",
    ";",
    "/*!80000",
    "*/",
    "{",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,60}") {
        survives(&text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn token_soup_never_panics(pieces in proptest::collection::vec(0..SOUP.len(), 0..30)) {
        let words: Vec<&str> = pieces.iter().map(|piece| SOUP[*piece]).collect();
        survives(&words.join(" "));
        survives(&format!("SELECT {}", words.join(" ")));
        survives(&format!("SELECT 1 FROM t JOIN u {}", words.join(" ")));
    }
}
