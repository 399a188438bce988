//! A bank: transfers in transactions that read two balances and write what follows from them, and
//! snapshots of all accounts, half of them by one statement, half by a transaction of many.
//!
//! A transfer sets balances that the client worked out, so a write that the transaction had not seen must
//! end it with 1213; otherwise money appears or disappears. In `bank-locking…` it reads them FOR UPDATE.

use super::client::{Client, GAVE_UP, Steady, Trouble};
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;

/// Accounts.
const ACCOUNTS: i64 = 8;
/// What each holds at the start.
const OPENING: i64 = 100;
/// Largest transfer.
const AMOUNT_MAX: u64 = 40;
/// Clients.
const CLIENTS: u64 = 3;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

/// The workload.
pub(super) struct Bank {
    statements: &'static Statements,
}

struct Statements {
    setup: Setup,
    /// All accounts.
    open: &'static str,
    /// Account.
    read: &'static str,
    /// What the read of a transfer ends with.
    suffix: &'static str,
    /// Balance, account.
    write: &'static str,
    read_all: &'static str,
}

/// Statements over a table of this name, found by its primary key or, with `index`, by a unique index.
macro_rules! statements {
    ($name:literal, $table:literal, $suffix:literal) => {
        Statements {
            setup: Setup {
                name: $name,
                clients: CLIENTS,
                drop: concat!("DROP TABLE IF EXISTS chaos.", $table),
                create: concat!(
                    "CREATE TABLE chaos.",
                    $table,
                    " (account BIGINT PRIMARY KEY, balance BIGINT NOT NULL)"
                ),
            },
            open: concat!("INSERT INTO chaos.", $table, " (account, balance) VALUES"),
            read: concat!("SELECT balance FROM chaos.", $table, " WHERE account = ?"),
            suffix: $suffix,
            write: concat!("UPDATE chaos.", $table, " SET balance = ? WHERE account = ?"),
            read_all: concat!("SELECT account, balance FROM chaos.", $table),
        }
    };
    ($name:literal, $table:literal, $suffix:literal, index) => {
        Statements {
            setup: Setup {
                create: concat!(
                    "CREATE TABLE chaos.",
                    $table,
                    " (id BIGINT AUTO_INCREMENT PRIMARY KEY, account BIGINT NOT NULL, balance BIGINT NOT NULL,
                     UNIQUE KEY account (account), KEY balances (balance, account))"
                ),
                ..statements!($name, $table, $suffix).setup
            },
            read_all: concat!(
                "SELECT account, balance FROM chaos.",
                $table,
                " FORCE INDEX (balances) WHERE balance > -1000000"
            ),
            ..statements!($name, $table, $suffix)
        }
    };
}

static ALL: [Statements; 4] = [
    statements!("bank", "bank", ""),
    statements!("bank-index", "bank_index", "", index),
    statements!("bank-locking", "bank_locking", " FOR UPDATE"),
    statements!("bank-locking-index", "bank_locking_index", " FOR UPDATE", index),
];

impl Bank {
    /// Every kind of it: accounts are found by their primary key or by a unique index, and then snapshots are read
    /// from an index of the balances; transfers read plainly or FOR UPDATE.
    pub(super) fn all() -> impl Iterator<Item = Bank> {
        ALL.iter().map(|statements| Bank { statements })
    }

    async fn once(
        &self,
        client: &mut Client<'_>,
        op: &Op,
        by_one_statement: bool,
    ) -> Result<Op, Trouble> {
        match *op {
            Op::Transfer { from, to, amount } => {
                let transferred = self.transfer(client, from, to, amount).await;
                transferred.map_err(Trouble::before_commit)?;
                client.text("COMMIT").await.map_err(Trouble::committing)?;
                Ok(op.clone())
            }
            _ if by_one_statement => {
                let rows = client.rows(self.statements.read_all, ()).await;
                let rows: Vec<(i64, i64)> = rows.map_err(Trouble::before_commit)?;
                Ok(Op::ReadAccounts { balances: Some(rows) })
            }
            _ => {
                let balances = self.one_by_one(client).await.map_err(Trouble::before_commit)?;
                Ok(Op::ReadAccounts { balances: Some(balances) })
            }
        }
    }

    async fn transfer(
        &self,
        client: &mut Client<'_>,
        from: i64,
        to: i64,
        amount: i64,
    ) -> Result<(), Failure> {
        client.text("BEGIN").await?;
        let paying = self.balance(client, from).await?;
        let receiving = self.balance(client, to).await?;
        if paying < amount {
            let message = format!("account {from} holds {paying}, not {amount}");
            return Err(Failure { code: GAVE_UP, message });
        }
        for (account, balance) in [(from, paying - amount), (to, receiving + amount)] {
            if client.change(self.statements.write, (balance, account)).await? != 1 {
                let message = format!("UPDATE did not find account {account}");
                return Err(Failure { code: GAVE_UP, message });
            }
        }
        Ok(())
    }

    async fn balance(&self, client: &mut Client<'_>, account: i64) -> Result<i64, Failure> {
        let read = format!("{}{}", self.statements.read, self.statements.suffix);
        let rows: Vec<i64> = client.rows(&read, (account,)).await?;
        rows.first().copied().ok_or_else(|| Failure {
            code: GAVE_UP,
            message: format!("there is no account {account}"),
        })
    }

    /// All accounts in one transaction, in an order that differs from a scan's.
    async fn one_by_one(&self, client: &mut Client<'_>) -> Result<Vec<(i64, i64)>, Failure> {
        let mut balances = Vec::new();
        client.text("BEGIN").await?;
        for account in (0..ACCOUNTS).rev() {
            let rows: Vec<i64> = client.rows(self.statements.read, (account,)).await?;
            balances.extend(rows.into_iter().map(|balance| (account, balance)));
        }
        client.text("ROLLBACK").await?;
        Ok(balances)
    }
}

#[async_trait]
impl Workload for Bank {
    fn setup(&self) -> &'static Setup {
        &self.statements.setup
    }

    fn begin(&self) -> Option<String> {
        let rows: Vec<String> =
            (0..ACCOUNTS).map(|account| format!("({account}, {OPENING})")).collect();
        Some(format!("{} {}", self.statements.open, rows.join(", ")))
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut rng = Rng::seeded(client);
        while connection.turn(stop).await {
            let op = if rng.chance(0.6) {
                let from = rng.below(ACCOUNTS as u64) as i64;
                let to = (from + 1 + rng.below(ACCOUNTS as u64 - 1) as i64) % ACCOUNTS;
                Op::Transfer { from, to, amount: 1 + rng.below(AMOUNT_MAX) as i64 }
            } else {
                Op::ReadAccounts { balances: None }
            };
            recorder.invoke(client, &op);
            let answer = self.once(&mut connection, &op, rng.chance(0.5)).await;
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        for node in 0..target.nodes.len() {
            let process = FINAL + node as u64;
            recorder.invoke(process, &Op::ReadAccounts { balances: None });
            let mut steady = Steady::new(target, node);
            let rows: Vec<(i64, i64)> = steady.rows(self.statements.read_all, ()).await?;
            recorder.ok(process, &Op::ReadAccounts { balances: Some(rows) });
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::bank(history, check::Bank { accounts: ACCOUNTS, opening: OPENING, overdraft: false })
    }
}
