use super::*;
use crate::history::Failure;

/// Events of one key from words: `1 w5` calls, `1 ok` answers; `r?`, `c5>6`.
fn history(lines: &[(u64, &str)]) -> Vec<Event> {
    let mut open: BTreeMap<u64, Op> = BTreeMap::new();
    let mut events = Vec::new();
    for (time, (process, word)) in lines.iter().enumerate() {
        let (phase, op) = match *word {
            "info" => (Phase::Info, open.remove(process).unwrap()),
            "fail" => (Phase::Fail, open.remove(process).unwrap()),
            "ok" => (Phase::Ok, open.remove(process).unwrap()),
            "yes" | "no" => match open.remove(process).unwrap() {
                Op::Cas { key, from, to, .. } => {
                    (Phase::Ok, Op::Cas { key, from, to, swapped: Some(*word == "yes") })
                }
                other => panic!("{other:?} is no swap"),
            },
            call if call.starts_with('w') => {
                (Phase::Invoke, Op::Write { key: 0, value: call[1..].parse().unwrap() })
            }
            call if call.starts_with('c') => {
                let (from, to) = call[1..].split_once('>').unwrap();
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                (Phase::Invoke, Op::Cas { key: 0, from, to, swapped: None })
            }
            "r" => (Phase::Invoke, Op::Read { key: 0, value: None }),
            seen => {
                open.remove(process).unwrap();
                (Phase::Ok, Op::Read { key: 0, value: seen.parse().ok() })
            }
        };
        if phase == Phase::Invoke {
            open.insert(*process, op.clone());
        }
        let error = matches!(phase, Phase::Info | Phase::Fail)
            .then(|| Failure { code: 0, message: String::new() });
        events.push(Event { time: time as u64, process: *process, phase, op, error });
    }
    events
}

fn verdict(lines: &[(u64, &str)]) -> Verdict {
    register(&history(lines))
}

#[test]
fn concurrent_operations_may_be_seen_in_either_order() {
    assert!(verdict(&[(1, "w1"), (2, "r"), (2, "absent"), (1, "ok")]).is_valid());
    assert!(verdict(&[(1, "w1"), (2, "r"), (2, "1"), (1, "ok")]).is_valid());
    assert!(verdict(&[(1, "w1"), (2, "w2"), (1, "ok"), (2, "ok"), (3, "r"), (3, "1")]).is_valid());
}

#[test]
fn a_stale_read_is_found_with_the_shortest_window() {
    let verdict = verdict(&[
        (1, "w1"),
        (1, "ok"),
        (1, "w2"),
        (1, "ok"),
        (2, "r"),
        (2, "2"),
        (1, "w3"),
        (1, "ok"),
        (2, "r"),
        (2, "2"),
    ]);
    let [violation] = verdict.violations() else { panic!("{verdict}") };
    assert!(violation.what.contains("lines 7 to 10"), "{}", violation.what);
    assert!(violation.what.contains("could only be 3"), "{}", violation.what);
    assert_eq!(violation.events.len(), 4);
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_but_only_once() {
    let late = [(1, "w1"), (1, "info"), (2, "w2"), (2, "ok"), (2, "r"), (2, "1")];
    assert!(verdict(&late).is_valid());
    let back = [&late[..], &[(2, "w3"), (2, "ok"), (2, "r"), (2, "1")]].concat();
    assert!(!verdict(&back).is_valid());
    assert!(!verdict(&[(1, "w1"), (1, "fail"), (2, "r"), (2, "1")]).is_valid());
}

#[test]
fn a_write_without_any_answer_is_of_unknown_outcome() {
    assert!(verdict(&[(1, "w1"), (2, "r"), (2, "1"), (2, "r"), (2, "1")]).is_valid());
}

#[test]
fn swaps_exclude_each_other() {
    let both = |second| {
        verdict(&[(1, "w1"), (1, "ok"), (1, "c1>2"), (2, "c1>3"), (1, "yes"), (2, second)])
    };
    assert!(both("no").is_valid());
    assert!(!both("yes").is_valid());
    // A mismatch must have seen another value.
    assert!(!verdict(&[(1, "w1"), (1, "ok"), (1, "c1>2"), (1, "no")]).is_valid());
    // An unknown write explains a mismatch.
    let blocked = [(1, "w1"), (1, "ok"), (2, "w9"), (2, "info"), (1, "c1>2"), (1, "no")];
    assert!(verdict(&blocked).is_valid());
}

#[test]
fn a_hundred_unknown_writes_are_decided() {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for write in 0..100 {
        lines.push((write, format!("w{write}")));
        lines.push((write, "info".into()));
        lines.push((1000, "r".into()));
        lines.push((1000, format!("{}", write / 2 * 2)));
    }
    let lines: Vec<(u64, &str)> = lines.iter().map(|(p, w)| (*p, w.as_str())).collect();
    assert!(verdict(&lines).is_valid());
    let bad = [&lines[..], &[(1000, "r"), (1000, "0")]].concat();
    assert!(!verdict(&bad).is_valid());
}

#[test]
fn two_answers_at_once_are_refused() {
    assert!(matches!(verdict(&[(1, "w1"), (1, "w2")]), Verdict::Unknown { .. }));
}
