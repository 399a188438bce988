//! Comments before a statement that say where it runs, as TDSQL's clients write them.
//!
//! ```text
//! /*proxy*/ show status               asks for what the cluster is made of
//! /*sets:set_1,set_2*/ SELECT …       /*sets:allsets*/ SELECT …
//! /*shardkey:10*/ SELECT …            /*shardkey_hash:10*/ SELECT …
//! ```
//!
//! One such comment stands before a statement; two are refused. All other comments, and those inside of a statement, are none of our business. Clients that strip comments (`mysql` without `-c`) have forms of the grammar
//! that mean the same: SHOW PROXY …, ON SETS (…) ….
//!
//! Not here: what sets there are (`sets`).

/// What such a comment says. Texts are as written, blanks around them taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint<'a> {
    /// `/*proxy*/`.
    Proxy,
    /// `/*sets:…*/`: names with commas between.
    Sets(&'a str),
    /// `/*shardkey:…*/`: a value of the sharding key.
    ShardKey(&'a str),
    /// `/*shardkey_hash:…*/`: a slot.
    ShardKeyHash(&'a str),
}

/// The first such comment in what stands before a statement's first token, and where the comment begins.
pub fn leading(before: &str) -> Option<(Hint<'_>, usize)> {
    let mut at = 0;
    while let Some(rest) = before.get(at..).filter(|rest| !rest.is_empty()) {
        let line_comment = rest.starts_with('#') || rest.starts_with("--");
        if let Some(inside) = rest.strip_prefix("/*").filter(|inside| !inside.starts_with('!')) {
            let length = inside.find("*/")?;
            if let Some(hint) = of(&inside[..length]) {
                return Some((hint, at));
            }
            at += length + 4;
        } else if line_comment {
            at += rest.find('\n')? + 1;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// Whether another such comment stands behind the one that begins at `at`: only one can hold.
pub fn second(before: &str, at: usize) -> bool {
    let after = before.get(at..).and_then(|hint| hint.split_once("*/"));
    after.is_some_and(|(_, after)| leading(after).is_some())
}

/// What the inside of a comment says.
fn of(inside: &str) -> Option<Hint<'_>> {
    // Without a part they are mistakes, which must not run on the whole cluster. With blanks inside they are plain comments.
    match inside.to_ascii_lowercase().as_str() {
        "sets" => return Some(Hint::Sets("")),
        "shardkey" => return Some(Hint::ShardKey("")),
        "shardkey_hash" => return Some(Hint::ShardKeyHash("")),
        _ => {}
    }
    let inside = inside.trim();
    if inside.eq_ignore_ascii_case("proxy") {
        return Some(Hint::Proxy);
    }
    let (word, rest) = inside.split_once(':')?;
    let rest = rest.trim();
    match word.trim_end().to_ascii_lowercase().as_str() {
        "sets" => Some(Hint::Sets(rest)),
        "shardkey" => Some(Hint::ShardKey(rest)),
        "shardkey_hash" => Some(Hint::ShardKeyHash(rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comment_that_says_something_counts() {
        let before = "/* it's me */ -- /*sets:a*/\n # x\n/*SETS: set_1 , s2*/ /*proxy*/";
        assert_eq!(leading(before), Some((Hint::Sets("set_1 , s2"), 33)));
        assert!(second(before, 33) && !second("/*sets:a*/ /* b */", 0));
        assert_eq!(leading("/*!40000 /*proxy*/"), Some((Hint::Proxy, 9)));
        assert_eq!(leading("/*shardkey:a:b*/"), Some((Hint::ShardKey("a:b"), 0)));
        assert_eq!(leading("/*sets*/"), Some((Hint::Sets(""), 0)));
        assert_eq!(leading("/*shardkey_hash:*/"), Some((Hint::ShardKeyHash(""), 0)));
    }

    #[test]
    fn other_comments_say_nothing() {
        for before in ["", "/* sets */", "/*proxies*/", "/*slave*/", "-- /*proxy*/"] {
            assert_eq!(leading(before), None, "{before}");
        }
    }
}
