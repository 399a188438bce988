//! Paths into documents: `$.name[0][last-1][1 to 3].*[*]**.x`.
//!
//! What is no array is taken as an array of one by `[0]`, `[last]` and ranges that hold its first element.
//!
//! Reference: MySQL 8.4 manual, 13.5 "The JSON Data Type", JSON Path Syntax.

use super::{Json, parse};
use std::collections::BTreeSet;

/// Where values stand in a document.
#[derive(Clone, Debug)]
pub struct Path {
    pub(super) legs: Vec<Leg>,
}

/// A step of a path.
#[derive(Clone, Debug)]
pub(super) enum Leg {
    /// `.name`.
    Member(String),
    /// `.*`.
    AnyMember,
    /// `[n]`.
    Cell(Place),
    /// `[m to n]`.
    Range(Place, Place),
    /// `[*]`.
    AnyCell,
    /// `**`: the value itself and all that is in it.
    Below,
}

/// A place in an array.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// From 0.
    First(usize),
    /// `last`, or so many before it.
    Last(usize),
}

impl Place {
    /// The place in an array that is so long, which may be behind its end; `None` before its start.
    pub(super) fn of(self, length: usize) -> Option<usize> {
        match self {
            Place::First(place) => Some(place),
            Place::Last(back) => length.checked_sub(back + 1),
        }
    }
}

impl Path {
    /// The path that a text is; else the character where it is none.
    pub fn parse(text: &str) -> Result<Path, usize> {
        let mut reader = Reader { text, at: 0 };
        match reader.path() {
            Some(legs) => Ok(Path { legs }),
            None => Err(text.get(..reader.at).map_or(0, |read| read.chars().count())),
        }
    }

    /// Whether it is `$`, the document itself.
    pub fn is_root(&self) -> bool {
        self.legs.is_empty()
    }

    /// Whether it may mean several values.
    pub fn is_multiple(&self) -> bool {
        let single = |leg: &Leg| matches!(leg, Leg::Member(_) | Leg::Cell(_));
        !self.legs.iter().all(single)
    }

    /// The values that it means, in their order, each once.
    pub fn find<'a>(&self, document: &'a Json) -> Vec<&'a Json> {
        let mut found = vec![document];
        for leg in &self.legs {
            let mut next = Vec::new();
            found.into_iter().for_each(|value| step(leg, value, &mut next));
            let mut seen = BTreeSet::new();
            next.retain(|value| seen.insert(std::ptr::from_ref::<Json>(value)));
            found = next;
        }
        found
    }
}

fn step<'a>(leg: &Leg, value: &'a Json, out: &mut Vec<&'a Json>) {
    match leg {
        Leg::Member(name) => out.extend(value.member(name)),
        Leg::AnyMember => {
            if let Json::Object(_) = value {
                out.extend(value.children());
            }
        }
        Leg::AnyCell => {
            if let Json::Array(elements) = value {
                out.extend(elements);
            }
        }
        Leg::Cell(place) => {
            let cells = cells(value);
            out.extend(place.of(cells.len()).and_then(|place| cells.get(place)));
        }
        Leg::Range(from, to) => {
            let cells = cells(value);
            let from = from.of(cells.len()).unwrap_or(0);
            let Some(to) = to.of(cells.len()) else { return };
            let count = (to + 1).saturating_sub(from);
            out.extend(cells.iter().skip(from).take(count));
        }
        Leg::Below => {
            out.push(value);
            value.children().for_each(|child| step(leg, child, out));
        }
    }
}

fn cells(value: &Json) -> &[Json] {
    match value {
        Json::Array(elements) => elements,
        value => std::slice::from_ref(value),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// All legs; `None` where the text is no path.
    fn path(&mut self) -> Option<Vec<Leg>> {
        let mut legs = Vec::new();
        self.space();
        if !self.accept("$") {
            // The character that should be one counts as read.
            self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            return None;
        }
        loop {
            self.space();
            if self.rest().is_empty() {
                break;
            }
            legs.push(self.leg()?);
        }
        // What is below must be said.
        (!matches!(legs.last(), Some(Leg::Below))).then_some(legs)
    }

    fn leg(&mut self) -> Option<Leg> {
        if self.accept("**") {
            return (!self.rest().starts_with('*')).then_some(Leg::Below);
        }
        if self.accept(".") {
            self.space();
            return if self.accept("*") {
                Some(Leg::AnyMember)
            } else {
                self.name().map(Leg::Member)
            };
        }
        if !self.accept("[") {
            return None;
        }
        self.space();
        let leg = if self.accept("*") {
            Leg::AnyCell
        } else {
            let from = self.place()?;
            self.space();
            if self.accept("to") {
                self.space();
                let to = self.place()?;
                let is_empty = match (from, to) {
                    (Place::First(from), Place::First(to)) => from > to,
                    (Place::Last(from), Place::Last(to)) => from < to,
                    _ => false,
                };
                if is_empty {
                    return None;
                }
                Leg::Range(from, to)
            } else {
                Leg::Cell(from)
            }
        };
        self.space();
        self.accept("]").then_some(leg)
    }

    fn place(&mut self) -> Option<Place> {
        if !self.accept("last") {
            return self.number().map(Place::First);
        }
        self.space();
        if !self.accept("-") {
            return Some(Place::Last(0));
        }
        self.space();
        self.number().map(Place::Last)
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = self.rest()[..digits].parse().ok()?;
        self.at += digits;
        usize::try_from(number).ok()
    }

    /// A member's name: an identifier, or a string in quotes.
    fn name(&mut self) -> Option<String> {
        if self.rest().starts_with('"') {
            let (name, length) = parse::string_at_start(self.rest()).ok()?;
            self.at += length;
            return Some(name);
        }
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let end = self.rest().find(|c: char| !is_part(c)).unwrap_or(self.rest().len());
        let name = self.rest()[..end].to_string();
        if name.chars().next().is_none_or(char::is_numeric) {
            return None;
        }
        self.at += end;
        Some(name)
    }
}
