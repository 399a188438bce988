//! Snapshots of all accounts: the total never changes, nobody is overdrawn, and every acknowledged transfer
//! counts.
//!
//! Beside the total, each balance of a snapshot must lie between two sums: transfers acknowledged before the
//! snapshot was called count, those that were under way meanwhile or whose outcome is unknown may count, all
//! others may not.
//!
//! ```text
//! transfers   ├─ok─┤        ├──────── unknown
//!                     ├─ok────┤                  ├─ok─┤
//! snapshot               ├──────┤
//! counts      surely   maybe  maybe              no
//! ```

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Phase, operations};
use std::collections::BTreeMap;

/// What must hold of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Number of accounts; the first is 0.
    pub accounts: i64,
    /// What each account holds at the start.
    pub opening: i64,
    /// Whether an account may be overdrawn.
    pub overdraft: bool,
}

/// Sums over an account's transfers.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Of transfers that were acknowledged.
    sure: i64,
    /// Of what they took and brought.
    sure_taken: i64,
    sure_brought: i64,
    /// Of transfers that were called and did not surely fail.
    called_taken: i64,
    called_brought: i64,
}

/// Judges transfers and snapshots.
pub fn bank(history: &[Event], rules: Bank) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut at_line: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    for (number, operation) in operations.iter().enumerate() {
        at_line.entry(operation.call).or_default().push((number, false));
        if let (Some(answer), Phase::Ok) = (operation.answer, operation.outcome) {
            at_line.entry(answer).or_default().push((number, true));
        }
    }
    let mut checked = Checked::default();
    let mut violations = Vec::new();
    let mut sums: BTreeMap<i64, Sums> =
        (0..rules.accounts).map(|id| (id, Sums::default())).collect();
    // Sums as they were when a snapshot was called.
    let mut at_call: BTreeMap<usize, BTreeMap<i64, Sums>> = BTreeMap::new();
    for (line, moments) in at_line {
        for (number, answered) in moments {
            let operation = &operations[number];
            match operation.op {
                Op::Transfer { from, to, amount } if operation.outcome != Phase::Fail => {
                    for (account, delta) in [(from, -amount), (to, *amount)] {
                        let sums = sums.entry(*account).or_default();
                        let (taken, brought) = (delta.min(0), delta.max(0));
                        if answered {
                            sums.sure += delta;
                            sums.sure_taken += taken;
                            sums.sure_brought += brought;
                        } else {
                            sums.called_taken += taken;
                            sums.called_brought += brought;
                        }
                    }
                    if !answered {
                        checked.operations += 1;
                        *checked.figures.entry("transfers").or_default() += 1;
                    }
                }
                Op::ReadAccounts { .. } if operation.outcome == Phase::Ok && !answered => {
                    at_call.insert(number, sums.clone());
                }
                Op::ReadAccounts { balances: Some(balances) } if answered => {
                    checked.operations += 1;
                    *checked.figures.entry("snapshots").or_default() += 1;
                    let before = at_call.remove(&number).unwrap_or_default();
                    let wrong = judge(balances, rules, &before, &sums);
                    violations.extend(wrong.into_iter().map(|(anomaly, what, account)| {
                        let events = evidence(history, operation.call, line, account);
                        Violation { anomaly, what, events }
                    }));
                }
                _ => {}
            }
        }
    }
    if violations.is_empty() && !checked.figures.contains_key("snapshots") {
        return Verdict::Unknown { why: "no snapshot was read".into() };
    }
    Verdict::of(violations, checked)
}

/// What is wrong with a snapshot, and of which account if of one.
fn judge(
    balances: &[(i64, i64)],
    rules: Bank,
    before: &BTreeMap<i64, Sums>,
    after: &BTreeMap<i64, Sums>,
) -> Vec<(&'static str, String, Option<i64>)> {
    let mut wrong = Vec::new();
    let mut accounts: Vec<i64> = balances.iter().map(|(account, _)| *account).collect();
    accounts.sort_unstable();
    if accounts != (0..rules.accounts).collect::<Vec<_>>() {
        let what = format!("a snapshot shows accounts {accounts:?} instead of {}", rules.accounts);
        wrong.push(("wrong accounts", what, None));
        return wrong;
    }
    let (total, expected) =
        (balances.iter().map(|(_, balance)| balance).sum::<i64>(), rules.accounts * rules.opening);
    if total != expected {
        let what =
            format!("the accounts of a snapshot hold {total} together instead of {expected}");
        wrong.push(("wrong total", what, None));
    }
    for (account, balance) in balances {
        if *balance < 0 && !rules.overdraft {
            let what = format!("account {account} is overdrawn: {balance}");
            wrong.push(("overdrawn", what, Some(*account)));
        }
        let then = before.get(account).copied().unwrap_or_default();
        let now = after.get(account).copied().unwrap_or_default();
        let sure = rules.opening + then.sure;
        let least = sure + now.called_taken - then.sure_taken;
        let most = sure + now.called_brought - then.sure_brought;
        if !(least..=most).contains(balance) {
            let what = format!(
                "account {account} holds {balance}, but the acknowledged transfers leave between {least} and {most}"
            );
            wrong.push(("wrong balance", what, Some(*account)));
        }
    }
    wrong
}

/// The snapshot and what touched the account shortly before.
fn evidence(history: &[Event], call: usize, answer: usize, account: Option<i64>) -> Vec<Event> {
    /// Events before the snapshot that are shown.
    const BEFORE: usize = 20;
    let touches = |event: &&Event| match (&event.op, account) {
        (Op::Transfer { from, to, .. }, Some(account)) => *from == account || *to == account,
        (Op::Transfer { .. }, None) => true,
        _ => false,
    };
    let mut events: Vec<Event> =
        history[..answer].iter().rev().filter(touches).take(BEFORE).cloned().collect();
    events.reverse();
    events.push(history[call].clone());
    events.push(history[answer].clone());
    events
}
