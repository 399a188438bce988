//! Documents with other parts: what JSON_SET, JSON_REMOVE, JSON_MERGE_PATCH and their like make of one.
//!
//! ```text
//! {"a": [1]}   set $.b 2          {"a": [1], "b": 2}      the value before the last leg must be there
//!              set $.a[5] 2       {"a": [1, 2]}           a cell behind the end is appended
//!              set $.a[0][1] 2    {"a": [[1, 2]]}         what is no array is an array of one
//! ```
//!
//! Reference: MySQL 8.4 manual, 14.17.4 "Functions That Modify JSON Values"; RFC 7396 (`merge_patch`).

use super::Json;
use super::path::{Leg, Path};
use std::mem;

/// Which values [`set`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// JSON_INSERT: those that are not there.
    New,
    /// JSON_REPLACE: those that are there.
    Old,
    /// JSON_SET: both.
    All,
}

/// Writes a value at a path that means one place.
pub fn set(document: &mut Json, path: &Path, value: Json, writes: Writes) {
    let Some((last, before)) = path.legs.split_last() else {
        if writes != Writes::New {
            *document = value;
        }
        return;
    };
    let Some(parent) = at(document, before) else { return };
    match (last, parent) {
        (Leg::Member(name), Json::Object(members)) => {
            let wanted = (name.len(), name.as_str());
            let found =
                members.binary_search_by(|(known, _)| (known.len(), known.as_str()).cmp(&wanted));
            match found {
                Ok(place) if writes != Writes::New => members[place].1 = value,
                Err(place) if writes != Writes::Old => members.insert(place, (name.clone(), value)),
                _ => {}
            }
        }
        (Leg::Cell(place), Json::Array(elements)) => {
            let length = elements.len();
            match place.of(length) {
                Some(place) if place < length => {
                    if writes != Writes::New {
                        elements[place] = value;
                    }
                }
                _ if writes == Writes::Old => {}
                Some(_) => elements.push(value),
                // Before the first one.
                None => elements.insert(0, value),
            }
        }
        (Leg::Cell(place), one) => match place.of(1) {
            Some(0) => {
                if writes != Writes::New {
                    *one = value;
                }
            }
            _ if writes == Writes::Old => {}
            Some(_) => *one = Json::Array(vec![mem::replace(one, Json::Null), value]),
            None => *one = Json::Array(vec![value, mem::replace(one, Json::Null)]),
        },
        _ => {}
    }
}

/// Removes what stands at a path that means one place; nothing when there is nothing.
pub fn remove(document: &mut Json, path: &Path) {
    let Some((last, before)) = path.legs.split_last() else { return };
    match (last, at(document, before)) {
        (Leg::Member(name), Some(Json::Object(members))) => {
            members.retain(|(known, _)| known != name);
        }
        (Leg::Cell(place), Some(Json::Array(elements))) => {
            if let Some(place) = place.of(elements.len()).filter(|place| *place < elements.len()) {
                elements.remove(place);
            }
        }
        _ => {}
    }
}

/// Appends to the array at a path; what is no array becomes one.
pub fn append(document: &mut Json, path: &Path, value: Json) {
    match at(document, &path.legs) {
        Some(Json::Array(elements)) => elements.push(value),
        Some(one) => *one = Json::Array(vec![mem::replace(one, Json::Null), value]),
        None => {}
    }
}

/// Inserts before the cell of an array that a path means. `false` when its last leg is no cell.
pub fn insert_before(document: &mut Json, path: &Path, value: Json) -> bool {
    let Some((Leg::Cell(place), before)) = path.legs.split_last() else { return false };
    if let Some(Json::Array(elements)) = at(document, before) {
        let length = elements.len();
        elements.insert(place.of(length).unwrap_or(0).min(length), value);
    }
    true
}

/// JSON_MERGE_PRESERVE: members of both objects, elements of both arrays; values of one name are merged.
pub fn merge_preserve(first: Json, second: Json) -> Json {
    match (first, second) {
        (Json::Object(mut members), Json::Object(others)) => {
            for (name, value) in others {
                match members.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => {
                        let old = mem::replace(known, Json::Null);
                        *known = merge_preserve(old, value);
                    }
                    None => members.push((name, value)),
                }
            }
            Json::object(members)
        }
        (first, second) => {
            let elements = |value: Json| match value {
                Json::Array(elements) => elements,
                one => vec![one],
            };
            let mut all = elements(first);
            all.extend(elements(second));
            Json::Array(all)
        }
    }
}

/// JSON_MERGE_PATCH: members of the second object take the place of the first one's, `null` removes them; anything else
/// takes the place of all.
pub fn merge_patch(first: Json, second: Json) -> Json {
    let Json::Object(changes) = second else { return second };
    let mut members = match first {
        Json::Object(members) => members,
        _ => Vec::new(),
    };
    for (name, value) in changes {
        let known = members.iter().position(|(known, _)| *known == name);
        let old = known.map(|place| members.remove(place).1);
        if !matches!(value, Json::Null) {
            members.push((name, merge_patch(old.unwrap_or(Json::Null), value)));
        }
    }
    Json::object(members)
}

/// The value at the end of these legs, each of which means one place.
fn at<'a>(value: &'a mut Json, legs: &[Leg]) -> Option<&'a mut Json> {
    legs.iter().try_fold(value, |value, leg| match (leg, value) {
        (Leg::Member(name), Json::Object(members)) => {
            members.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
        }
        (Leg::Cell(place), Json::Array(elements)) => {
            let place = place.of(elements.len())?;
            elements.get_mut(place)
        }
        (Leg::Cell(place), one) => (place.of(1) == Some(0)).then_some(one),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn json(text: &str) -> Json {
        parse(text).unwrap()
    }

    fn changed(document: &str, change: impl Fn(&mut Json)) -> String {
        let mut document = json(document);
        change(&mut document);
        document.to_string()
    }

    #[test]
    fn values_are_set_where_a_path_leads() {
        let cases = [
            (r#"{"a": [1]}"#, "$.b", Writes::All, r#"{"a": [1], "b": 7}"#),
            (r#"{"a": [1]}"#, "$.b", Writes::Old, r#"{"a": [1]}"#),
            (r#"{"a": [1]}"#, "$.a", Writes::New, r#"{"a": [1]}"#),
            (r#"{"a": [1]}"#, "$.a[0]", Writes::Old, r#"{"a": [7]}"#),
            (r#"{"a": [1]}"#, "$.a[9]", Writes::All, r#"{"a": [1, 7]}"#),
            (r#"{"a": [1]}"#, "$.a[last-3]", Writes::All, r#"{"a": [7, 1]}"#),
            (r#"{"a": 1}"#, "$.a[1]", Writes::All, r#"{"a": [1, 7]}"#),
            (r#"{"a": 1}"#, "$.a[0]", Writes::All, r#"{"a": 7}"#),
            (r#"{"a": 1}"#, "$.x.y", Writes::All, r#"{"a": 1}"#),
            ("1", "$", Writes::All, "7"),
            ("1", "$", Writes::New, "1"),
        ];
        for (document, path, writes, wanted) in cases {
            let path = Path::parse(path).unwrap();
            let set = changed(document, |document| set(document, &path, Json::Int(7), writes));
            assert_eq!(set, wanted);
        }
    }

    #[test]
    fn values_are_removed_appended_and_inserted() {
        let path = |text: &str| Path::parse(text).unwrap();
        let document = r#"{"a": [1, 2], "b": 3}"#;
        let removed = changed(document, |d| remove(d, &path("$.a[last]")));
        assert_eq!(removed, r#"{"a": [1], "b": 3}"#);
        assert_eq!(changed(document, |d| remove(d, &path("$.b"))), r#"{"a": [1, 2]}"#);
        let appended = changed(document, |d| append(d, &path("$.b"), Json::Null));
        assert_eq!(appended, r#"{"a": [1, 2], "b": [3, null]}"#);
        let inserted =
            changed(document, |d| assert!(insert_before(d, &path("$.a[1]"), Json::Null)));
        assert_eq!(inserted, r#"{"a": [1, null, 2], "b": 3}"#);
        assert!(!insert_before(&mut json("1"), &path("$.a"), Json::Null));
    }

    #[test]
    fn documents_are_merged_in_both_ways() {
        let (a, b) = (r#"{"a": 1, "b": {"x": 1}}"#, r#"{"a": null, "b": {"y": 2}, "c": 3}"#);
        let preserved = merge_preserve(json(a), json(b)).to_string();
        assert_eq!(preserved, r#"{"a": [1, null], "b": {"x": 1, "y": 2}, "c": 3}"#);
        let patched = merge_patch(json(a), json(b)).to_string();
        assert_eq!(patched, r#"{"b": {"x": 1, "y": 2}, "c": 3}"#);
        assert_eq!(merge_preserve(json("1"), json("[2]")).to_string(), "[1, 2]");
        assert_eq!(merge_patch(json("[1]"), json(r#"{"a": null}"#)).to_string(), "{}");
    }
}
