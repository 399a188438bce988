//! XA.

use super::{Error, errors};

errors! {
    /// XA: a name that no transaction has here.
    xa_unknown() = 1397, "XAE04", "XAER_NOTA: Unknown XID";
    /// XA: what is never done.
    xa_invalid() = 1398, "XAE05", "XAER_INVAL: Invalid arguments (or unsupported command)";
    /// XA: what is not done in this state.
    xa_wrong_state(state) = 1399, "XAE07", "XAER_RMFAIL: The command cannot be executed when global transaction is in the  {state} state";
    /// XA START in a transaction.
    xa_outside() = 1400, "XAE09", "XAER_OUTSIDE: Some work is done outside global transaction";
    /// XA: storage failed under a transaction.
    xa_failed() = 1401, "XAE03", "XAER_RMERR: Fatal error occurred in the transaction branch - check your data for consistency";
    /// XA: a transaction that was rolled back.
    xa_rolled_back() = 1402, "XA100", "XA_RBROLLBACK: Transaction branch was rolled back";
    /// XA: a name that is in use.
    xa_duplicate() = 1440, "XAE08", "XAER_DUPID: The XID already exists";
    /// XA: a transaction that was rolled back because it had to wait too long.
    xa_timeout() = 1613, "XA106", "XA_RBTIMEOUT: Transaction branch was rolled back: took too long";
    /// XA: a transaction that was rolled back because of a deadlock or conflict.
    xa_deadlock() = 1614, "XA102", "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected";
    /// XA: a decision that is not carried out yet; repeating the statement goes on with it.
    xa_retry() = 3197, "HY000", "The resource manager is not able to commit the transaction branch at this time. Please retry later.";
}
