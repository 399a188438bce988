//! Regular expressions with look-around and back-references: a backtracking machine with a limit of steps.
//!
//! ```text
//! pattern ──Reader──> instructions ──run──> places of the groups
//!                     Split: try one way, remember the other ──┐
//!                       ▲                                       │ a step that fails goes back to the last way
//!                       └───────────────────────────────────────┘ remembered; each step counts
//! ```
//!
//! Patterns without those two are `regex`'s, which never goes back (`pattern`). Here the time of a match may grow with every
//! power of the text, so a match ends with 3699 after [`REGEXP_STEPS_MAX`] steps, and with 3698 when too many ways are
//! remembered. What a single character may be (`[…]`, `\d`, `\p{…}`) is asked of `regex`.

use base::limits::{REGEXP_INSTRUCTIONS_MAX, REGEXP_STEPS_MAX, REGEXP_WAYS_MAX};
use regex::{Regex, RegexBuilder};

use crate::{Error, Result};

/// How deep groups may be in each other.
const DEPTH_MAX: usize = 64;

/// Where groups of a match lie, in bytes; the first one is the whole.
pub(super) type Groups = Vec<Option<(usize, usize)>>;

/// What counts for all of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    /// Small letters are capitals.
    pub(super) ignore_case: bool,
    /// `^` and `$` stand at lines, too.
    pub(super) multi_line: bool,
    /// `.` is the end of a line, too.
    pub(super) dot_newline: bool,
}

/// One step of the machine.
#[derive(Clone, Debug)]
enum Step {
    /// This character.
    Char(char),
    /// Any character, or any but the end of a line.
    Any,
    /// One of the characters of this set.
    Set(usize),
    /// The beginning of the text, or of a line.
    Start { line: bool },
    /// The end of the text, or of a line.
    End { line: bool },
    /// Between a letter and another character, or not.
    Word { edge: bool },
    /// Remember this place.
    Save(usize),
    /// What a group has matched.
    Back(usize),
    /// Go on at the first; when that fails at the second.
    Split(usize, usize),
    /// Go on there.
    Jump(usize),
    /// Remember where a round of a loop begins.
    Round(usize),
    /// A round that took nothing is the last one.
    Moved(usize),
    /// Look whether what follows until `end` matches, without going there (`keeps` false) or with it.
    Look { behind: bool, negated: bool, keeps: bool, end: usize },
    /// The pattern, or what is looked for, has matched.
    Match,
}

/// A pattern, read.
#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    sets: Vec<Regex>,
    flags: Flags,
    /// Groups, the whole among them.
    groups: usize,
    /// Loops whose rounds may take nothing.
    loops: usize,
}

/// Whether a pattern needs this machine.
pub(super) fn is_needed(pattern: &str) -> bool {
    let mut chars = pattern.char_indices();
    while let Some((at, c)) = chars.next() {
        let rest = &pattern[at..];
        match c {
            '\\' => {
                if matches!(chars.next(), Some((_, '1'..='9' | 'k'))) {
                    return true;
                }
            }
            '(' if ["(?=", "(?!", "(?<=", "(?<!", "(?>"].iter().any(|s| rest.starts_with(s)) => {
                return true;
            }
            '*' | '+' | '?' | '}' if rest[1..].starts_with('+') => return true,
            _ => {}
        }
    }
    false
}

struct Reader<'a> {
    pattern: &'a str,
    at: usize,
    depth: usize,
    names: Vec<(String, usize)>,
    program: Program,
}

impl Program {
    /// Reads a pattern; 3692 when it cannot be read.
    pub(super) fn new(pattern: &str, flags: Flags) -> Result<Program> {
        let program =
            Program { steps: vec![Step::Save(0)], sets: Vec::new(), flags, groups: 1, loops: 0 };
        let mut reader = Reader { pattern, at: 0, depth: 0, names: Vec::new(), program };
        reader.alternatives()?;
        if reader.at < pattern.len() {
            return Err(reader.error("unopened group"));
        }
        reader.push(Step::Save(1))?;
        reader.push(Step::Match)?;
        let too_high =
            |step: &Step| matches!(step, Step::Back(group) if *group >= reader.program.groups);
        if reader.program.steps.iter().any(too_high) {
            return Err(reader.error("reference to a group that is not there"));
        }
        Ok(reader.program)
    }

    /// The first match that begins at `from` or later.
    pub(super) fn find_at(&self, text: &str, from: usize) -> Result<Option<Groups>> {
        let mut left = REGEXP_STEPS_MAX;
        for (start, _) in text[from..].char_indices().chain([(text.len() - from, ' ')]) {
            let state = State {
                step: 0,
                at: from + start,
                places: vec![None; self.groups * 2],
                rounds: vec![usize::MAX; self.loops],
            };
            if let Some(found) = self.run(text, state, None, &mut left)? {
                let group = |at: usize| found.places[at * 2].zip(found.places[at * 2 + 1]);
                return Ok(Some((0..self.groups).map(group).collect()));
            }
        }
        Ok(None)
    }

    /// Runs until a match that ends at `wanted`, if that is given.
    fn run(
        &self,
        text: &str,
        mut now: State,
        wanted: Option<usize>,
        left: &mut u64,
    ) -> Result<Option<State>> {
        let mut ways: Vec<State> = Vec::new();
        loop {
            *left = left.checked_sub(1).ok_or_else(Error::regexp_timeout)?;
            let next = text[now.at..].chars().next();
            let before = text[..now.at].chars().next_back();
            let goes_on = match &self.steps[now.step] {
                Step::Char(c) => now.take(next.filter(|next| self.same(*c, *next))),
                Step::Any => {
                    now.take(next.filter(|next| self.flags.dot_newline || !is_line_end(*next)))
                }
                Step::Set(set) => now.take(
                    next.filter(|next| self.sets[*set].is_match(next.encode_utf8(&mut [0; 4]))),
                ),
                Step::Start { line } => {
                    now.step += 1;
                    before.is_none() || (*line && before.is_some_and(is_line_end))
                }
                Step::End { line } => {
                    now.step += 1;
                    next.is_none() || (*line && next.is_some_and(is_line_end))
                }
                Step::Word { edge } => {
                    now.step += 1;
                    (before.is_some_and(is_word) != next.is_some_and(is_word)) == *edge
                }
                Step::Save(place) => {
                    now.places[*place] = Some(now.at);
                    now.step += 1;
                    true
                }
                Step::Back(group) => self.take_again(text, &mut now, *group),
                Step::Split(first, second) => {
                    if ways.len() >= REGEXP_WAYS_MAX {
                        return Err(Error::regexp_overflow());
                    }
                    ways.push(State { step: *second, ..now.clone() });
                    now.step = *first;
                    true
                }
                Step::Jump(to) => {
                    now.step = *to;
                    true
                }
                Step::Round(number) => {
                    now.rounds[*number] = now.at;
                    now.step += 1;
                    true
                }
                Step::Moved(number) => {
                    now.step += 1;
                    now.rounds[*number] != now.at
                }
                Step::Look { behind, negated, keeps, end } => {
                    let found = self.look(text, &now, *behind, left)?;
                    now.step = *end;
                    let is_found = found.is_some();
                    if let Some(found) = found.filter(|_| !negated) {
                        now.places = found.places;
                        now.at = if *keeps { found.at } else { now.at };
                    }
                    is_found != *negated
                }
                Step::Match => {
                    if wanted.is_none_or(|wanted| wanted == now.at) {
                        return Ok(Some(now));
                    }
                    false
                }
            };
            if !goes_on {
                match ways.pop() {
                    Some(way) => now = way,
                    None => return Ok(None),
                }
            }
        }
    }

    /// What is looked for from here on; behind means that it ends here.
    fn look(&self, text: &str, now: &State, behind: bool, left: &mut u64) -> Result<Option<State>> {
        let from = |at: usize| State { step: now.step + 1, at, ..now.clone() };
        if !behind {
            return self.run(text, from(now.at), None, left);
        }
        let mut start = now.at;
        loop {
            if let Some(found) = self.run(text, from(start), Some(now.at), left)? {
                return Ok(Some(found));
            }
            match text[..start].chars().next_back() {
                Some(before) => start -= before.len_utf8(),
                None => return Ok(None),
            }
        }
    }

    /// Takes what a group has matched once more; a group that has matched nothing matches nowhere.
    fn take_again(&self, text: &str, now: &mut State, group: usize) -> bool {
        let Some((start, end)) = now.places[group * 2].zip(now.places[group * 2 + 1]) else {
            return false;
        };
        let mut chars = text[now.at..].chars();
        let mut at = now.at;
        for wanted in text[start.min(end)..end].chars() {
            match chars.next() {
                Some(found) if self.same(wanted, found) => at += found.len_utf8(),
                _ => return false,
            }
        }
        (now.at, now.step) = (at, now.step + 1);
        true
    }

    fn same(&self, a: char, b: char) -> bool {
        a == b || (self.flags.ignore_case && a.to_lowercase().eq(b.to_lowercase()))
    }
}

/// Where the machine stands.
#[derive(Clone, Debug)]
struct State {
    step: usize,
    at: usize,
    /// Beginnings and ends of groups.
    places: Vec<Option<usize>>,
    /// Where rounds of loops began.
    rounds: Vec<usize>,
}

impl State {
    /// Takes a character, if there is one.
    fn take(&mut self, c: Option<char>) -> bool {
        self.step += 1;
        self.at += c.map_or(0, char::len_utf8);
        c.is_some()
    }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Reader<'_> {
    fn error(&self, what: &str) -> Error {
        Error::invalid_regexp(format!("{what} in '{}'", self.pattern))
    }

    fn rest(&self) -> &str {
        &self.pattern[self.at..]
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn push(&mut self, step: Step) -> Result<usize> {
        if self.program.steps.len() >= REGEXP_INSTRUCTIONS_MAX {
            return Err(self.error("too long a pattern"));
        }
        self.program.steps.push(step);
        Ok(self.program.steps.len() - 1)
    }

    fn place(&self) -> usize {
        self.program.steps.len()
    }

    /// `a|b|…`.
    fn alternatives(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("groups nested too deep"));
        }
        let start = self.place();
        self.sequence()?;
        let mut ends = Vec::new();
        let mut begin = start;
        while self.accept("|") {
            // What was read so far becomes the first way of a choice.
            self.insert(begin, Step::Split(begin + 1, self.place() + 2))?;
            ends.push(self.push(Step::Jump(0))?);
            begin = self.place();
            self.sequence()?;
        }
        let end = self.place();
        for jump in ends {
            self.program.steps[jump] = Step::Jump(end);
        }
        self.depth -= 1;
        Ok(())
    }

    /// Inserts a step; what was read from there on moves by one.
    fn insert(&mut self, at: usize, step: Step) -> Result<()> {
        self.push(Step::Match)?;
        self.program.steps.pop();
        for moved in &mut self.program.steps[at..] {
            shift(moved, at, 1);
        }
        self.program.steps.insert(at, step);
        Ok(())
    }

    fn sequence(&mut self) -> Result<()> {
        while !self.rest().is_empty() && !self.rest().starts_with(['|', ')']) {
            let start = self.place();
            self.atom()?;
            self.quantifier(start)?;
        }
        Ok(())
    }

    fn quantifier(&mut self, start: usize) -> Result<()> {
        let (least, most) = match self.rest().chars().next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.counts() {
                Some(counts) => counts,
                None => return Err(self.error("bad repetition")),
            },
            _ => return Ok(()),
        };
        self.at += 1;
        let lazy = self.accept("?");
        let possessive = !lazy && self.accept("+");
        if most.is_some_and(|most| most < least) {
            return Err(self.error("bad repetition"));
        }
        let body = self.program.steps.split_off(start);
        let look = possessive.then(|| self.place());
        if possessive {
            self.push(Step::Look { behind: false, negated: false, keeps: true, end: 0 })?;
        }
        for _ in 0..least {
            self.copy(&body, start)?;
        }
        match most {
            Some(most) => {
                let mut splits = Vec::new();
                for _ in least..most {
                    splits.push(self.push(Step::Match)?);
                    self.copy(&body, start)?;
                }
                let end = self.place();
                for split in splits {
                    self.program.steps[split] = way(split + 1, end, lazy);
                }
            }
            None => {
                let number = self.program.loops;
                self.program.loops += 1;
                let split = self.push(Step::Match)?;
                self.push(Step::Round(number))?;
                self.copy(&body, start)?;
                self.push(Step::Moved(number))?;
                self.push(Step::Jump(split))?;
                self.program.steps[split] = way(split + 1, self.place(), lazy);
            }
        }
        if let Some(look) = look {
            self.push(Step::Match)?;
            let end = self.place();
            self.program.steps[look] =
                Step::Look { behind: false, negated: false, keeps: true, end };
        }
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; its last character stays.
    fn counts(&mut self) -> Option<(usize, Option<usize>)> {
        let end = self.rest().find('}')?;
        let inner = &self.rest()[1..end];
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n <= 1000);
        let counts = match inner.split_once(',') {
            None => (number(inner)?, Some(number(inner)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        self.at += end;
        Some(counts)
    }

    /// Appends a copy of steps that were read at `from`.
    fn copy(&mut self, body: &[Step], from: usize) -> Result<()> {
        let by = self.place() as isize - from as isize;
        for step in body {
            let mut step = step.clone();
            shift(&mut step, 0, by);
            self.push(step)?;
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<()> {
        let start = self.at;
        let Some(c) = self.next() else { return Ok(()) };
        let line = self.program.flags.multi_line;
        let step = match c {
            '(' => return self.group(),
            '[' => {
                self.at = start;
                return self.class();
            }
            '.' => Step::Any,
            '^' => Step::Start { line },
            '$' => Step::End { line },
            '*' | '+' | '?' => return Err(self.error("repetition of nothing")),
            '\\' => return self.escape(start),
            c => Step::Char(c),
        };
        self.push(step).map(drop)
    }

    fn group(&mut self) -> Result<()> {
        let looks = [
            ("?=", Some((false, false, false))),
            ("?!", Some((false, true, false))),
            ("?<=", Some((true, false, false))),
            ("?<!", Some((true, true, false))),
            ("?>", Some((false, false, true))),
            ("?:", None),
        ];
        for (start, look) in looks {
            if !self.accept(start) {
                continue;
            }
            let Some((behind, negated, keeps)) = look else {
                self.alternatives()?;
                return self.close();
            };
            let at = self.push(Step::Match)?;
            self.alternatives()?;
            self.push(Step::Match)?;
            let end = self.place();
            self.program.steps[at] = Step::Look { behind, negated, keeps, end };
            return self.close();
        }
        if self.accept("?<") {
            let end = self.rest().find('>').ok_or_else(|| self.error("unclosed name"))?;
            let name = self.rest()[..end].to_string();
            self.at += end + 1;
            self.names.push((name, self.program.groups));
        } else if self.rest().starts_with('?') {
            return Err(self.error("a group of this kind is not known here"));
        }
        let number = self.program.groups;
        self.program.groups += 1;
        self.push(Step::Save(number * 2))?;
        self.alternatives()?;
        self.push(Step::Save(number * 2 + 1))?;
        self.close()
    }

    fn close(&mut self) -> Result<()> {
        if self.accept(")") { Ok(()) } else { Err(self.error("unclosed group")) }
    }

    /// `[…]`, with sets inside.
    fn class(&mut self) -> Result<()> {
        let start = self.at;
        let mut depth = 0;
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.next();
                }
                '[' => {
                    depth += 1;
                    // A bracket that stands first is itself.
                    self.accept("^");
                    self.accept("]");
                }
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return self.set(start);
            }
        }
        Err(self.error("unclosed set"))
    }

    /// The text from `start` on as a set of characters.
    fn set(&mut self, start: usize) -> Result<()> {
        let text = &self.pattern[start..self.at];
        let set = RegexBuilder::new(&format!("^(?:{text})$"))
            .case_insensitive(self.program.flags.ignore_case)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| self.error("bad set or escape"))?;
        self.program.sets.push(set);
        let number = self.program.sets.len() - 1;
        self.push(Step::Set(number)).map(drop)
    }

    fn escape(&mut self, start: usize) -> Result<()> {
        let Some(c) = self.next() else { return Err(self.error("incomplete escape")) };
        let step = match c {
            '1'..='9' => Step::Back(c as usize - '0' as usize),
            'k' => {
                let name = self.rest().strip_prefix('<').and_then(|rest| rest.split_once('>'));
                let Some(name) = name.map(|(name, _)| name.to_string()) else {
                    return Err(self.error("unclosed name"));
                };
                self.at += name.len() + 2;
                let known = self.names.iter().find(|(known, _)| *known == name);
                let unknown = || self.error("reference to a group that is not there");
                Step::Back(known.map(|(_, group)| *group).ok_or_else(unknown)?)
            }
            'b' => Step::Word { edge: true },
            'B' => Step::Word { edge: false },
            'A' => Step::Start { line: false },
            'z' | 'Z' => Step::End { line: false },
            'p' | 'P' | 'x' | 'u' => {
                if self.accept("{") {
                    let end = self.rest().find('}').ok_or_else(|| self.error("unclosed escape"))?;
                    self.at += end + 1;
                } else {
                    let digits = match c {
                        'x' => 2,
                        'u' => 4,
                        _ => 1,
                    };
                    for _ in 0..digits {
                        self.next();
                    }
                }
                return self.set(start);
            }
            c if c.is_ascii_alphabetic() => return self.set(start),
            c => Step::Char(c),
        };
        self.push(step).map(drop)
    }
}

/// A choice, of which a lazy one prefers the second way.
fn way(first: usize, second: usize, lazy: bool) -> Step {
    if lazy { Step::Split(second, first) } else { Step::Split(first, second) }
}

/// Moves what a step points to, when that stands at `from` or behind it.
fn shift(step: &mut Step, from: usize, by: isize) {
    let moved = |to: &mut usize| {
        if *to >= from {
            *to = to.saturating_add_signed(by);
        }
    };
    match step {
        Step::Split(first, second) => {
            moved(first);
            moved(second);
        }
        Step::Jump(to) | Step::Look { end: to, .. } => moved(to),
        Step::Char(_)
        | Step::Any
        | Step::Set(_)
        | Step::Start { .. }
        | Step::End { .. }
        | Step::Word { .. }
        | Step::Save(_)
        | Step::Back(_)
        | Step::Round(_)
        | Step::Moved(_)
        | Step::Match => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Flags = Flags { ignore_case: false, multi_line: false, dot_newline: false };

    fn found(pattern: &str, text: &str) -> Option<String> {
        let program = Program::new(pattern, PLAIN).unwrap();
        let groups = program.find_at(text, 0).unwrap()?;
        let (start, end) = groups[0].unwrap();
        Some(text[start..end].to_string())
    }

    #[test]
    fn matches_are_those_of_icu() {
        for (pattern, text, wanted) in [
            (r"(a)(b)\2\1", "xabba", Some("abba")),
            (r"(\w)\1", "hello", Some("ll")),
            (r"a(?=b)", "acab", Some("a")),
            (r"a(?!b)", "abac", Some("a")),
            (r"a(?!b).", "abac", Some("ac")),
            (r"(?<=\$)\d+", "cost $42", Some("42")),
            (r"(?<!\$)\b\d+", "$42 7", Some("7")),
            (r"(?>a+)b", "aaab", Some("aaab")),
            (r"(?>a+)ab", "aaab", None),
            (r"a++b", "aab", Some("aab")),
            (r"x|(?=y)y|z", "zy", Some("z")),
            (r"(?=a)(?:a|b|c){2,3}", "dabcd", Some("abc")),
            (r"(?=a)(?:a|b|c){2,3}?", "dabcd", Some("ab")),
            (r"(?=a)(a*)*b", "aaab", Some("aaab")),
            (r"(?<letter>[ab])\k<letter>", "abb", Some("bb")),
            (r"(?=.)[^a-c\]]+", "abc]de", Some("de")),
            (r"^(?=.*\d)[a-z\d]+$", "abc1", Some("abc1")),
            (r"^(?=.*\d)[a-z\d]+$", "abc", None),
            (r"(?=é)é", "café", Some("é")),
        ] {
            assert_eq!(found(pattern, text).as_deref(), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn case_counts_as_the_flags_say() {
        let flags = Flags { ignore_case: true, ..PLAIN };
        let program = Program::new(r"(?=a)([A-C])\1x", flags).unwrap();
        assert!(program.find_at("zAaX", 0).unwrap().is_some());
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in [r"(?=", r"(?=a))", r"\1", r"(?=[a", r"(?=a)*+*", r"(?=a){3,2}", r"(?=a)(?#"]
        {
            assert_eq!(Program::new(pattern, PLAIN).unwrap_err().code, 3692, "{pattern}");
        }
        assert!(Program::new(&"(?=".repeat(1_000), PLAIN).is_err());
        assert!(Program::new(r"(?=a)((a{1000}){1000}){1000}", PLAIN).is_err());
    }

    #[test]
    fn endless_matches_end() {
        let program = Program::new(r"(?=a)(a+)+$", PLAIN).unwrap();
        let text = "a".repeat(60) + "b";
        assert_eq!(program.find_at(&text, 0).unwrap_err().code, 3699);
    }

    #[test]
    fn patterns_that_need_it_are_known() {
        for pattern in [r"a(?=b)", r"(a)\1", r"(?<!a)", r"a++", r"(?>a)", r"(?<x>a)\k<x>"] {
            assert!(is_needed(pattern), "{pattern}");
        }
        for pattern in [r"a+b", r"(?:a)", r"(?<x>a)", r"\\1", r"a\+", r"(?i)a"] {
            assert!(!is_needed(pattern), "{pattern}");
        }
    }
}
