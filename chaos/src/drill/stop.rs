//! A cluster whose files are damaged on more nodes than it can repair may stop, but then loudly: what it can no longer
//! answer, it refuses, and a health page names a damaged file.

use crate::fault::health;
use crate::fault::lab::Lab;
use crate::fault::view::View;
use crate::workload::ballast::Found;

/// What was seen of a damaged cluster before anything was put right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Shards without a leader that any node knows.
    pub(super) stopped: Vec<u64>,
    /// What the health pages say that is not well.
    pub(super) pages: Vec<String>,
    /// What a read of all ballast rows found.
    pub(super) found: Found,
}

impl Look {
    /// Looks at the nodes; `found` is what a read of all ballast rows found.
    pub(super) fn at(lab: &mut Lab, found: Found) -> Look {
        let stopped = View::of(lab).map(|view| {
            let led = view.shards.into_iter().filter(|(_, shard)| shard.leader.is_none());
            led.map(|(number, _)| number).collect()
        });
        let nodes = lab.nodes();
        let pages = (1..=nodes).filter_map(|node| health::of(lab, node).err()).collect();
        Look { stopped: stopped.unwrap_or_default(), pages, found }
    }

    /// Whether it refused nothing, or was loud about it; and the sentence for the report.
    pub(super) fn judge(&self) -> (bool, String) {
        let Found { good, wrong, refused, .. } = self.found;
        let rows = format!("{good} rows read, {refused} refused, {wrong} wrong");
        if wrong > 0 {
            return (false, rows);
        }
        if self.stopped.is_empty() && refused == 0 {
            return (true, format!("did not stop: {rows}"));
        }
        let named = self.pages.iter().filter(|page| page.contains(".sst")).count();
        let stopped = match self.stopped.len() {
            0 => String::new(),
            1 => "; 1 shard has no leader".to_string(),
            count => format!("; {count} shards have no leader"),
        };
        match named {
            0 => (false, format!("stopped silently: {rows}{stopped}; no health page names a file")),
            _ => (
                true,
                format!(
                    "stopped loudly: {rows}{stopped}; the health pages of {named} nodes name files"
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(good: u64, wrong: u64, refused: u64, page: &str) -> Look {
        let pages = Some(page.to_string()).filter(|page| !page.is_empty());
        let found = Found { good, wrong, refused, error: None };
        Look { stopped: vec![], pages: pages.into_iter().collect(), found }
    }

    #[test]
    fn stopping_is_good_enough_when_it_is_loud_and_a_wrong_answer_never_is() {
        assert!(look(9, 0, 0, "").judge().0);
        assert!(!look(5, 0, 4, "").judge().0, "silent");
        assert!(!look(5, 0, 4, "node 1: 503: a replica is slow").judge().0, "names no file");
        let loud = look(5, 0, 4, "node 1: 503: corrupt data in replicas/1-4/db/000008.sst");
        assert_eq!(
            loud.judge(),
            (
                true,
                "stopped loudly: 5 rows read, 4 refused, 0 wrong; the health pages of 1 nodes name files"
                    .to_string()
            )
        );
        assert!(!look(5, 1, 4, "node 1: 503: corrupt data in 000008.sst").judge().0);
        let leaderless = Look { stopped: vec![3], ..look(9, 0, 0, "") };
        assert!(!leaderless.judge().0, "silent too");
    }
}
