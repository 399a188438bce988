//! EXPLAIN FORMAT=JSON: the table of accesses as MySQL's document (manual 15.8.2, version 1 of the format).
//!
//! ```text
//! query_block ─ select_id, ordering_operation ─ grouping_operation ─┬─ table
//!       │                                                           └─ nested_loop: tables in the order in which they are read
//!       ├ union_result: query_specifications, each with its query_block
//!       └ attached_subqueries, materialized_from_subquery
//! ```
//!
//! Costs are left out: there are none. `distribution` is ours: where rows are, in the words of `Extra`.

use super::{Entry, Line, Table};
use crate::types::json::quoted;
use std::borrow::Cow;
use std::fmt::Write;

/// A part of the document; members keep their order.
enum Part {
    Text(String),
    Number(u64),
    Bool(bool),
    List(Vec<Part>),
    Object(Vec<(&'static str, Part)>),
}

impl Part {
    fn texts<'t>(texts: impl IntoIterator<Item = &'t String>) -> Part {
        Part::List(texts.into_iter().map(|text| Part::Text(text.clone())).collect())
    }

    /// Writes it; what is in it is indented by two blanks more than `depth` pairs.
    fn write(&self, depth: usize, out: &mut String) {
        // Writing to a String cannot fail.
        match self {
            Part::Text(text) => out.push_str(&quoted(text)),
            Part::Number(number) => {
                let _ = write!(out, "{number}");
            }
            Part::Bool(truth) => {
                let _ = write!(out, "{truth}");
            }
            Part::List(parts) => {
                let parts = parts.iter().map(|part| (None, part));
                Part::write_all('[', parts, ']', depth, out);
            }
            Part::Object(members) => {
                let members = members.iter().map(|(name, part)| (Some(*name), part));
                Part::write_all('{', members, '}', depth, out);
            }
        }
    }

    fn write_all<'p>(
        open: char,
        parts: impl Iterator<Item = (Option<&'static str>, &'p Part)>,
        close: char,
        depth: usize,
        out: &mut String,
    ) {
        out.push(open);
        for (place, (name, part)) in parts.enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(out, "{comma}\n{:indent$}", "", indent = depth * 2 + 2);
            if let Some(name) = name {
                let _ = write!(out, "\"{name}\": ");
            }
            part.write(depth + 1, out);
        }
        let _ = write!(out, "\n{:indent$}{close}", "", indent = depth * 2);
    }
}

/// Whether a `select_type` is wanted.
type IsKind = fn(&str) -> bool;

/// The document of a plan.
pub(super) fn document(table: &Table<'_>) -> String {
    let mut out = String::new();
    let block = Part::Object(vec![("query_block", with_union(table, 1))]);
    block.write(0, &mut out);
    out
}

/// Selects of a kind that stand in another one.
fn inner(table: &Table<'_>, parent: u64, is_wanted: IsKind) -> Vec<(u64, &'static str)> {
    let ids = table.parents.iter().filter(|(_, of)| **of == parent).map(|(id, _)| *id);
    let kinds = ids.filter_map(|id| {
        let first = table.entries.iter().find(|entry| entry.id == id)?;
        is_wanted(first.select_type).then_some((id, first.select_type))
    });
    kinds.collect()
}

/// A select with what it is united with.
fn with_union(table: &Table<'_>, id: u64) -> Part {
    let others = inner(table, id, |kind| kind == "UNION");
    if others.is_empty() {
        return Part::Object(block(table, id));
    }
    let ids = [id].into_iter().chain(others.into_iter().map(|(id, _)| id));
    let parts = ids.map(|id| specification("SIMPLE", Part::Object(block(table, id))));
    let united = vec![
        ("using_temporary_table", Part::Bool(false)),
        ("query_specifications", Part::List(parts.collect())),
    ];
    Part::Object(vec![("union_result", Part::Object(united))])
}

fn specification(kind: &str, block: Part) -> Part {
    let dependent = kind.starts_with("DEPENDENT");
    Part::Object(vec![
        ("dependent", Part::Bool(dependent)),
        ("cacheable", Part::Bool(!dependent)),
        ("query_block", block),
    ])
}

/// A select alone.
fn block(table: &Table<'_>, id: u64) -> Vec<(&'static str, Part)> {
    let lines: Vec<&Entry> = table.entries.iter().filter(|entry| entry.id == id).collect();
    let says = |what: &str| lines.iter().any(|entry| entry.line.extra.iter().any(|e| e == what));
    let mut tables: Vec<Part> =
        lines.iter().filter_map(|entry| access(&entry.line)).map(Part::Object).collect();
    let mut members = vec![("select_id", Part::Number(id))];
    let read: Vec<(&'static str, Part)> = match tables.len() {
        0 => {
            let words = lines.iter().flat_map(|entry| entry.line.extra.iter());
            let words: Vec<Cow<'_, str>> = words.cloned().collect();
            vec![("message", Part::Text(words.join("; ")))]
        }
        1 => tables.drain(..).map(|table| ("table", table)).collect(),
        _ => {
            let tables = tables.into_iter().map(|table| Part::Object(vec![("table", table)]));
            vec![("nested_loop", Part::List(tables.collect()))]
        }
    };
    let around = |is_there: bool, name: &'static str, how: &'static str, inner: Vec<_>| {
        if !is_there {
            return inner;
        }
        let members = [(how, Part::Bool(true))].into_iter().chain(inner).collect();
        vec![(name, Part::Object(members))]
    };
    let read = around(says("Using temporary"), "grouping_operation", "using_temporary_table", read);
    members.extend(around(says("Using filesort"), "ordering_operation", "using_filesort", read));
    let is_derived = |kind: &str| kind.ends_with("DERIVED");
    let is_subquery = |kind: &str| kind.ends_with("SUBQUERY");
    let lists: [(&'static str, IsKind); 2] =
        [("materialized_from_subquery", is_derived), ("attached_subqueries", is_subquery)];
    for (name, is_wanted) in lists {
        let found = inner(table, id, is_wanted).into_iter();
        let found: Vec<Part> =
            found.map(|(id, kind)| specification(kind, with_union(table, id))).collect();
        if !found.is_empty() {
            members.push((name, Part::List(found)));
        }
    }
    members
}

/// A table; `None` for a line that tells of none.
fn access(line: &Line) -> Option<Vec<(&'static str, Part)>> {
    let name = line.table.clone()?;
    let mut members = vec![("table_name", Part::Text(name))];
    let names =
        |joined: &str| Part::List(joined.split(',').map(|n| Part::Text(n.into())).collect());
    if let Some(partitions) = &line.partitions {
        members.push(("partitions", names(partitions)));
    }
    if let Some(access) = line.access {
        members.push(("access_type", Part::Text(access.into())));
    }
    if !line.possible.is_empty() {
        members.push(("possible_keys", Part::texts(&line.possible)));
    }
    if let Some(key) = &line.key {
        members.push(("key", Part::Text(key.clone())));
        members.push(("used_key_parts", Part::texts(&line.key_parts)));
    }
    if let Some(bytes) = line.key_bytes {
        members.push(("key_length", Part::Text(bytes.to_string())));
    }
    if let Some(reference) = &line.reference {
        members.push(("ref", names(reference)));
    }
    if let Some(rows) = line.rows {
        members.push(("rows_examined_per_scan", Part::Number(rows)));
    }
    let filtered = line.filtered.map_or(100.0, |kept| kept * 100.0);
    members.push(("filtered", Part::Text(format!("{filtered:.2}"))));
    let mut distribution = Vec::new();
    for word in &line.extra {
        match &**word {
            "Using where" | "Using temporary" | "Using filesort" => {}
            "Using index" => members.push(("using_index", Part::Bool(true))),
            "FirstMatch" => members.push(("first_match", Part::Bool(true))),
            "Not exists" => members.push(("not_exists", Part::Bool(true))),
            "Using join buffer (hash join)" => {
                members.push(("using_join_buffer", Part::Text("hash join".into())));
            }
            other => distribution.push(other.to_string()),
        }
    }
    if !distribution.is_empty() {
        members.push(("distribution", Part::texts(&distribution)));
    }
    if !line.columns.is_empty() {
        members.push(("used_columns", Part::texts(&line.columns)));
    }
    if let Some(condition) = &line.condition {
        members.push(("attached_condition", Part::Text(condition.clone())));
    }
    Some(members)
}
