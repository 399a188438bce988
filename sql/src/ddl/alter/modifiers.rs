//! ALGORITHM and LOCK of ALTER TABLE: what MySQL refuses of them, answered as MySQL does.
//!
//! | what is changed | least ALGORITHM |
//! |---|---|
//! | columns added, dropped, moved, renamed; defaults; members at the end; CHECK that goes or is not enforced | INSTANT |
//! | indexes; longer VARCHARs; NOT NULL | INPLACE |
//! | other types, CHECK, CONVERT TO, a new STORED column | COPY |
//!
//! They say what a statement may cost at most: here nothing is copied, and each is done in the one way that there is.
//!
//! Pure. Not here: the words that MySQL does not know (1800, 1801: the parser).

use crate::ast::TableChange;
use crate::{Error, Result};

/// What a change costs in MySQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// The definition alone.
    Instant,
    /// The table is read, or an index is built.
    InPlace,
    /// A copy, because a type changes.
    CopyForType,
    /// A copy.
    Copy,
}

/// The words that a statement has given.
#[derive(Debug, Default)]
pub(super) struct Modifiers {
    algorithm: Option<String>,
    lock: Option<String>,
}

impl Modifiers {
    /// The last of each counts.
    pub(super) fn of(changes: &[TableChange]) -> Modifiers {
        let mut given = Modifiers::default();
        for change in changes {
            let TableChange::Other(text) = change else { continue };
            let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
            let name = words.next().unwrap_or_default().to_ascii_uppercase();
            let value = words.rfind(|word| !word.is_empty()).map(str::to_ascii_uppercase);
            match name.as_str() {
                "ALGORITHM" => given.algorithm = value,
                "LOCK" => given.lock = value,
                _ => {}
            }
        }
        given
    }

    /// Refuses what changes of this cost cannot keep to.
    ///
    /// # Errors
    /// 1221, 1845, 1846.
    pub(super) fn check(&self, cost: Cost) -> Result<()> {
        let algorithm = self.algorithm.as_deref().unwrap_or("DEFAULT");
        let lock = self.lock.as_deref().unwrap_or("DEFAULT");
        match (algorithm, cost) {
            ("INSTANT", _) if lock != "DEFAULT" => {
                return Err(Error::wrong_usage("ALGORITHM=INSTANT", format!("LOCK={lock}")));
            }
            ("INSTANT", Cost::CopyForType) => {
                return Err(Error::alter_not_supported_because(
                    "ALGORITHM=INSTANT",
                    "Need to rebuild the table to change column type",
                    "ALGORITHM=COPY/INPLACE",
                ));
            }
            ("INSTANT", Cost::InPlace | Cost::Copy) => {
                let instead =
                    if cost == Cost::Copy { "ALGORITHM=COPY" } else { "ALGORITHM=COPY/INPLACE" };
                return Err(Error::alter_not_supported("ALGORITHM=INSTANT", instead));
            }
            ("INPLACE", Cost::CopyForType) => {
                return Err(Error::alter_not_supported_because(
                    "ALGORITHM=INPLACE",
                    "Cannot change column type INPLACE",
                    "ALGORITHM=COPY",
                ));
            }
            ("INPLACE", Cost::Copy) => {
                return Err(Error::alter_not_supported("ALGORITHM=INPLACE", "ALGORITHM=COPY"));
            }
            _ => {}
        }
        match (lock, cost) {
            ("NONE", _) if algorithm == "COPY" => Err(Error::alter_not_supported_because(
                "LOCK=NONE",
                "COPY algorithm requires a lock",
                "LOCK=SHARED",
            )),
            ("NONE", Cost::CopyForType) => Err(Error::alter_not_supported_because(
                "LOCK=NONE",
                "Cannot change column type INPLACE",
                "LOCK=SHARED",
            )),
            ("NONE", Cost::Copy) => Err(Error::alter_not_supported("LOCK=NONE", "LOCK=SHARED")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_held_against_what_is_changed() {
        let of = |texts: &[&str]| {
            let texts = texts.iter().map(|text| TableChange::Other(text.to_string()));
            Modifiers::of(&texts.collect::<Vec<_>>())
        };
        for (texts, cost, code) in [
            (&["ALGORITHM=INSTANT"][..], Cost::Instant, None),
            (&["algorithm = instant"][..], Cost::InPlace, Some(1845)),
            (&["ALGORITHM=INSTANT"][..], Cost::CopyForType, Some(1846)),
            (&["ALGORITHM=INPLACE", "LOCK NONE"][..], Cost::InPlace, None),
            (&["ALGORITHM=INPLACE"][..], Cost::Copy, Some(1845)),
            (&["ALGORITHM=INSTANT", "LOCK=NONE"][..], Cost::Instant, Some(1221)),
            (&["ALGORITHM=COPY", "LOCK=NONE"][..], Cost::Instant, Some(1846)),
            (&["ALGORITHM=COPY", "LOCK=SHARED"][..], Cost::Copy, None),
        ] {
            let answer = of(texts).check(cost).err().map(|error| error.code);
            assert_eq!(answer, code, "{texts:?} {cost:?}");
        }
    }
}
