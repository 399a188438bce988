//! COLUMN_STATISTICS: histograms.

use super::{VirtualTable, empty};
use crate::catalog::Catalog;

/// Histograms: none are collected.
pub(super) fn column_statistics(_: &Catalog) -> VirtualTable {
    empty("SCHEMA_NAME,TABLE_NAME,COLUMN_NAME,HISTOGRAM")
}
