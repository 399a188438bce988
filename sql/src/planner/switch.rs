//! `optimizer_switch`: which rewritings a session wants.
//!
//! Only the words that switch something off here are read; all others are accepted and mean nothing. So a query can be run both
//! ways and its answers compared.
//!
//! Not here: the rewritings (`unnest`).

use crate::context::EvalContext;
use crate::value::Value;

/// Which rewritings are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// `semijoin`: EXISTS, IN, ANY, ALL and their negations become semi and anti joins.
    pub semijoin: bool,
    /// `subquery_to_derived`: a value that is an aggregate becomes a join with groups.
    pub subquery_to_derived: bool,
}

impl Switches {
    /// Those of the session.
    pub fn of(ctx: &EvalContext) -> Switches {
        match ctx.vars.system(None, "optimizer_switch") {
            Ok(Value::Text(text)) => Switches::parse(&text),
            // Nobody has switched anything where there is no session.
            Ok(_) | Err(_) => Switches::parse(""),
        }
    }

    /// Reads `name=off,name=on,…`; later words win, `default` stands for on.
    fn parse(text: &str) -> Switches {
        let mut switches = Switches { semijoin: true, subquery_to_derived: true };
        for word in text.split(',') {
            let Some((name, value)) = word.split_once('=') else { continue };
            let on = !value.trim().eq_ignore_ascii_case("off");
            match name.trim().to_ascii_lowercase().as_str() {
                "semijoin" => switches.semijoin = on,
                "subquery_to_derived" => switches.subquery_to_derived = on,
                _ => {}
            }
        }
        switches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_on_until_it_is_switched_off() {
        let on = Switches { semijoin: true, subquery_to_derived: true };
        assert_eq!(Switches::parse(""), on);
        assert_eq!(Switches::parse("mrr=off,semijoin=default"), on);
        let off = Switches { semijoin: false, subquery_to_derived: false };
        assert_eq!(Switches::parse("SemiJoin=OFF , subquery_to_derived=off"), off);
        assert_eq!(Switches::parse("semijoin=off,semijoin=on"), on);
    }
}
