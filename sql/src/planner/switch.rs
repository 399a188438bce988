//! `optimizer_switch`: which rewritings a session wants.
//!
//! MySQL's words are known, and two of them mean something here, so that a query can be run both ways and its answers compared.
//!
//! Not here: the rewritings (`unnest`).

use crate::context::EvalContext;
use crate::value::Value;

/// What is on and off where nobody has said anything, in MySQL 8.4's order. MySQL has `subquery_to_derived=off`.
pub const DEFAULT: &str = "index_merge=on,index_merge_union=on,index_merge_sort_union=on,index_merge_intersection=on,\
    engine_condition_pushdown=on,index_condition_pushdown=on,mrr=on,mrr_cost_based=on,\
    block_nested_loop=on,batched_key_access=off,materialization=on,semijoin=on,loosescan=on,\
    firstmatch=on,duplicateweedout=on,subquery_materialization_cost_based=on,use_index_extensions=on,\
    condition_fanout_filter=on,derived_merge=on,use_invisible_indexes=off,skip_scan=on,hash_join=on,\
    subquery_to_derived=on,prefer_ordering_index=on,hypergraph_optimizer=off,\
    derived_condition_pushdown=on,hash_set_operations=on";

/// What SET makes of a value: the words that it gives, changed. The error is the first word that is none.
pub fn changed(before: &str, given: &str) -> Result<String, String> {
    let mut words: Vec<(&str, &str)> = pairs(before).collect();
    for word in given.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if word.eq_ignore_ascii_case("default") {
            words = pairs(DEFAULT).collect();
            continue;
        }
        let (name, value) = word.split_once('=').ok_or_else(|| word.to_string())?;
        let is_it = |known: &str| known.eq_ignore_ascii_case(name.trim());
        let usual = pairs(DEFAULT).find(|(known, _)| is_it(known)).map(|(_, value)| value);
        let value = match (usual, value.trim().to_ascii_lowercase().as_str()) {
            (Some(_), "on") => "on",
            (Some(_), "off") => "off",
            (Some(usual), "default") => usual,
            _ => return Err(word.to_string()),
        };
        words.iter_mut().filter(|(known, _)| is_it(known)).for_each(|(_, now)| *now = value);
    }
    let words: Vec<String> = words.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(words.join(","))
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|word| word.split_once('='))
}

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

    /// Reads `name=off,name=on,…`; what is not said is on.
    fn parse(text: &str) -> Switches {
        let mut switches = Switches { semijoin: true, subquery_to_derived: true };
        for (name, value) in pairs(text) {
            match name {
                "semijoin" => switches.semijoin = value != "off",
                "subquery_to_derived" => switches.subquery_to_derived = value != "off",
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
        assert_eq!(Switches::parse(DEFAULT), on);
        let off = changed(DEFAULT, "SemiJoin=OFF , mrr=off").unwrap();
        assert_eq!(Switches::parse(&off), Switches { semijoin: false, ..on });
        // What was said before stays.
        let both = changed(&off, "subquery_to_derived=off").unwrap();
        let none = Switches { semijoin: false, subquery_to_derived: false };
        assert_eq!(Switches::parse(&both), none);
        assert_eq!(changed(&both, "default").unwrap(), DEFAULT);
        let usual = "semijoin=default,subquery_to_derived=default,mrr=default";
        assert_eq!(changed(&both, usual).unwrap(), DEFAULT);
    }

    #[test]
    fn a_word_that_is_none_is_told() {
        assert_eq!(changed(DEFAULT, "semijoin=off,nonsense=on"), Err("nonsense=on".to_string()));
        assert_eq!(changed(DEFAULT, "semijoin=maybe"), Err("semijoin=maybe".to_string()));
        assert_eq!(changed(DEFAULT, "semijoin"), Err("semijoin".to_string()));
    }
}
