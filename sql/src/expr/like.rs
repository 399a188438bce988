//! LIKE: `%` any characters, `_` one character, an escape before either takes it literally.
//!
//! Characters are compared one by one under the collation, as MySQL does: `'ß' LIKE 'ss'` is false
//! although both are equal. Trailing blanks count, also under PAD SPACE.

use crate::collation::CollationId;
use crate::value::Value;

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<T> {
    /// This character.
    Literal(T),
    /// `_`
    One,
    /// `%`
    Any,
}

fn steps<T: Copy + PartialEq>(
    pattern: impl Iterator<Item = T>,
    escape: Option<T>,
    one: T,
    any: T,
) -> Vec<Step<T>> {
    let mut steps = Vec::new();
    let mut pattern = pattern.peekable();
    while let Some(item) = pattern.next() {
        if Some(item) == escape {
            // An escape at the end stands for itself.
            steps.push(Step::Literal(pattern.next().unwrap_or(item)));
        } else if item == any {
            if steps.last() != Some(&Step::Any) {
                steps.push(Step::Any);
            }
        } else if item == one {
            steps.push(Step::One);
        } else {
            steps.push(Step::Literal(item));
        }
    }
    steps
}

/// Matches greedily with one point to return to: the last `%` is the only choice worth revising.
fn matches<T: Copy>(text: &[T], steps: &[Step<T>], same: impl Fn(T, T) -> bool) -> bool {
    let (mut at, mut step) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match steps.get(step) {
            Some(Step::Any) => {
                retry = Some((at, step + 1));
                step += 1;
                continue;
            }
            Some(Step::One) if at < text.len() => {
                at += 1;
                step += 1;
                continue;
            }
            Some(Step::Literal(wanted)) if at < text.len() && same(text[at], *wanted) => {
                at += 1;
                step += 1;
                continue;
            }
            None if at == text.len() => return true,
            _ => {}
        }
        match retry {
            Some((from, after)) if from < text.len() => {
                retry = Some((from + 1, after));
                at = from + 1;
                step = after;
            }
            _ => return false,
        }
    }
}

/// A pattern of text that is matched many times.
pub struct Pattern {
    steps: Vec<Step<char>>,
    collation: CollationId,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(pattern: &str, escape: Option<char>, collation: CollationId) -> Pattern {
        Pattern { steps: steps(pattern.chars(), escape, '_', '%'), collation }
    }

    /// Whether the characters of a text match.
    pub fn matches(&self, text: &[char]) -> bool {
        matches(text, &self.steps, |a, b| self.collation.same_char(a, b))
    }
}

/// Whether a text or byte string matches; `None` when an operand is NULL.
pub fn like(
    text: &Value,
    pattern: &Value,
    escape: Option<char>,
    collation: CollationId,
) -> Option<bool> {
    match (text, pattern) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Text(text), Value::Text(pattern)) => {
            let text: Vec<char> = text.chars().collect();
            Some(Pattern::new(pattern, escape, collation).matches(&text))
        }
        (text, pattern) => {
            let escape = escape.and_then(|escape| u8::try_from(escape).ok());
            let pattern = pattern.as_bytes().unwrap_or_default().iter().copied();
            let steps = steps(pattern, escape, b'_', b'%');
            Some(matches(text.as_bytes().unwrap_or_default(), &steps, |a, b| a == b))
        }
    }
}

/// What everything begins with that matches a pattern, for index ranges; as [`like`] reads patterns. `None` for NULL.
pub fn beginning(pattern: &Value, escape: Option<char>) -> Option<Value> {
    match pattern {
        Value::Null => None,
        Value::Text(pattern) => {
            let steps = steps(pattern.chars(), escape, '_', '%');
            Some(Value::Text(literals(&steps).collect()))
        }
        pattern => {
            let escape = escape.and_then(|escape| u8::try_from(escape).ok());
            let pattern = pattern.as_bytes().unwrap_or_default().iter().copied();
            let steps = steps(pattern, escape, b'_', b'%');
            Some(Value::Bytes(literals(&steps).collect()))
        }
    }
}

/// The literals that stand before any other step.
fn literals<T: Copy>(steps: &[Step<T>]) -> impl Iterator<Item = T> {
    steps.iter().map_while(|step| match step {
        Step::Literal(literal) => Some(*literal),
        Step::One | Step::Any => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, pattern: &str) -> bool {
        like(&Value::text(text), &Value::text(pattern), Some('\\'), CollationId::DEFAULT).unwrap()
    }

    #[test]
    fn patterns() {
        for (text, pattern, wanted) in [
            ("David!", "David_", true),
            ("David!", "%D%v%", true),
            ("abc", "ABC", true),
            ("Résumé", "re%E", true),
            ("abc", "a%b", false),
            ("", "%", true),
            ("", "_", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("a_c", "a\\_c", true),
            ("aaab", "%a%ab", true),
            ("ß", "ss", false),
            ("a ", "a", false),
            ("a\\", "a\\", true),
            ("😀x", "_x", true),
        ] {
            assert_eq!(check(text, pattern), wanted, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn long_patterns_end_quickly() {
        let text = "a".repeat(5000);
        assert!(!check(&text, &format!("{}b", "%a".repeat(50))));
    }

    #[test]
    fn beginnings() {
        for (pattern, escape, wanted) in [
            ("ab\\%c%d", Some('\\'), "ab%c"),
            ("ab", Some('\\'), "ab"),
            ("a_b%", Some('\\'), "a"),
            ("a|_b%", Some('|'), "a_b"),
            ("a\\%", None, "a\\"),
            ("%a", Some('\\'), ""),
            ("ab\\", Some('\\'), "ab\\"),
        ] {
            let text = beginning(&Value::text(pattern), escape);
            assert_eq!(text, Some(Value::text(wanted)), "{pattern}");
            let bytes = beginning(&Value::Bytes(pattern.into()), escape);
            assert_eq!(bytes, Some(Value::Bytes(wanted.into())), "{pattern}");
        }
        assert_eq!(beginning(&Value::Null, None), None);
    }
}
