//! Defects put back on purpose, to prove that the simulation of transactions finds them.
//!
//! A defect point is one `if` with the defect's name. In the product every point is `if false`: the
//! function is constant and nothing of it is in the binary. The same sources compiled as the package
//! `txn-with-defects` (`defects/txn/`) switch on the one that `PRECINCT_DEFECT` names; only tests of
//! `chaos` link that package. The list of defects is in `chaos/tests/transactions`; those that a few
//! messages in the wrong order show are also, or only, in `chaos/tests/interleavings`.

/// Whether this defect is switched on: never, in the product.
#[cfg(not(precinct_defects))]
pub(crate) const fn active(_name: &str) -> bool {
    false
}

/// Whether `PRECINCT_DEFECT` names this defect.
#[cfg(precinct_defects)]
pub(crate) fn active(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("PRECINCT_DEFECT").ok());
    chosen.as_deref() == Some(name)
}
