//! Wall clocks that jump: a node adds to its wall clock what a file of its lab says. The machine's own clock is
//! never touched, and monotonic time stays true.

use super::error::Error;
use base::limits::CLOCK_OFFSET_CHECK;
use std::path::Path;

/// Environment variable that names a node's file (`docs/reference/configuration.md`).
pub const VARIABLE: &str = "PRECINCT_CLOCK_OFFSET_FILE";

/// Sets a clock's distance from the true time, in seconds.
///
/// # Errors
/// When the file cannot be written.
pub fn set(file: &Path, seconds: i64) -> Result<(), Error> {
    // Written aside and renamed: the node reads the file at any moment.
    let aside = file.with_extension("part");
    std::fs::write(&aside, format!("{seconds:+}\n"))
        .and_then(|()| std::fs::rename(&aside, file))
        .map_err(|error| Error::system(format!("clock file {}", file.display()), error))
}

/// Waits until every node that runs has looked into its file.
pub fn await_look() {
    std::thread::sleep(CLOCK_OFFSET_CHECK * 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_always_holds_one_signed_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node-1.clock");
        for (seconds, text) in [(10, "+10\n"), (-10, "-10\n"), (0, "+0\n")] {
            set(&file, seconds).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        assert!(set(&folder.path().join("gone/node-1.clock"), 1).is_err());
    }
}
