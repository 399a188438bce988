//! SET.

use super::{AccessMode, AccountName, Expr, IsolationLevel, VariableScope};

/// One item of SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetItem {
    /// A system variable.
    System {
        /// GLOBAL, SESSION, …; session when it is not said.
        scope: Option<VariableScope>,
        /// The name as written.
        name: String,
        /// The new value.
        value: SetValue,
    },
    /// Inside of a stored program `name = value`: a variable of the program, a column of NEW, or a system variable.
    Named {
        /// The name as written.
        name: String,
        /// The new value.
        value: SetValue,
    },
    /// `@name = value`.
    User {
        /// The name without `@`.
        name: String,
        /// The new value.
        value: Expr,
    },
    /// SET NAMES.
    Names {
        /// The character set; `None` for DEFAULT.
        charset: Option<String>,
        /// COLLATE.
        collation: Option<String>,
    },
    /// SET CHARACTER SET; `None` for DEFAULT.
    CharacterSet(Option<String>),
    /// SET [GLOBAL | SESSION] TRANSACTION.
    Transaction {
        /// The scope; the next transaction only when it is not said.
        scope: Option<VariableScope>,
        /// ISOLATION LEVEL.
        isolation: Option<IsolationLevel>,
        /// READ WRITE or READ ONLY.
        access: Option<AccessMode>,
        /// AS OF TIMESTAMP behind READ ONLY.
        as_of: Option<Box<Expr>>,
    },
    /// SET PASSWORD [FOR account] = 'password'.
    Password {
        /// Whose; the current user's when `None`.
        account: Option<AccountName>,
        /// The new password in clear.
        password: String,
    },
    /// RESET PERSIST, which stands alone and without SET.
    ResetPersist {
        /// IF EXISTS.
        if_exists: bool,
        /// The variable; all of them when it is not said.
        name: Option<String>,
    },
    /// `SET ROLE …`, `SET DEFAULT ROLE …`, `SET RESOURCE GROUP …`: its text after SET.
    Other(String),
}

/// The new value of a system variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// A bare word such as `ON`, `ALL`, `utf8mb4` or `binary`: a string, not a column.
    Word(String),
    /// An expression.
    Expr(Expr),
}
