//! `precinct`: see `precinct help`.

use std::process::ExitCode;

/// RocksDB uses the same allocator (`docs/decisions/0004-allocator.md`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    server::cli::run()
}
