//! Wall clocks that jump: libfaketime between a node and its C library. The machine's own clock is never
//! touched, and monotonic time stays true.

use super::error::Error;
use super::tool;
use std::path::{Path, PathBuf};

/// Where Debian's package puts the library that is safe with threads.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library.
///
/// # Errors
/// `Unavailable` with the package that holds it.
pub fn library() -> Result<PathBuf, Error> {
    LIBRARIES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
        Error::unavailable(
            "clock jumps",
            "libfaketime is missing; install it: apt-get install faketime",
        )
    })
}

/// Whether a node of this binary runs with the library. An allocator that asks the time while it starts
/// waits for ever (jemalloc does).
///
/// # Errors
/// `Unavailable` with the reason.
pub fn probe(binary: &Path) -> Result<(), Error> {
    let preload = format!("LD_PRELOAD={}", library()?.display());
    let binary = binary.to_string_lossy();
    let arguments = ["5", "env", &preload, "FAKETIME=+10s", &binary, "version"];
    tool::run("timeout", &arguments).map(drop).map_err(|_| {
        Error::unavailable(
            "clock jumps",
            "libfaketime and the allocator of this binary do not agree",
        )
    })
}

/// Environment of a node whose clock follows the file.
pub fn environment(library: &Path, file: &Path) -> Vec<(String, String)> {
    [
        ("LD_PRELOAD", library.to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy().into_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

/// Sets a clock's distance from the true time, in seconds.
///
/// # Errors
/// When the file cannot be written.
pub fn set(file: &Path, seconds: i64) -> Result<(), Error> {
    // Written aside and renamed: the library reads the file at any moment.
    let aside = file.with_extension("part");
    std::fs::write(&aside, format!("{seconds:+}s\n"))
        .and_then(|()| std::fs::rename(&aside, file))
        .map_err(|error| Error::system(format!("clock file {}", file.display()), error))
}
