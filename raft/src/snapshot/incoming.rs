//! The receiving side of a transfer: which piece may come next, and what is wrong with any other.
//!
//! ```text
//! head ─> matches what is here? ──yes──> have (file, offset) ─┐
//!             └─no─> begin anew ───────> have (0, 0) ─────────┤
//!                            chunk … chunk, file end ─> next file … ─> complete
//! ```
//!
//! Nothing of this does I/O: it decides, the caller writes. Bytes count only when they are written, so a
//! transfer that breaks at any message goes on at exactly the byte after the last one written.

use base::limits;
use proto::raft as wire;
use std::collections::BTreeSet;
use std::time::Duration;

/// A file that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedFile {
    /// Its name inside the checkpoint's folder; never a path.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// What a head announces, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The sender's replica.
    pub from: u64,
    /// The sender's name of the checkpoint.
    pub checkpoint: u64,
    /// Term and index of the last entry in it.
    pub last_log_id: (u64, u64),
    /// Its files in the order in which they come.
    pub files: Vec<AnnouncedFile>,
}

impl Manifest {
    /// Checks a head.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    pub fn check(head: &wire::SnapshotHead) -> Result<Manifest, String> {
        let last_log_id = head.last_log_id.as_ref();
        let last_log_id = last_log_id.ok_or("a Raft snapshot without a log id")?;
        if head.files.is_empty() {
            return Err("a Raft snapshot without files".to_string());
        }
        if head.files.len() > limits::SNAPSHOT_FILES_MAX {
            let (count, max) = (head.files.len(), limits::SNAPSHOT_FILES_MAX);
            return Err(format!("a Raft snapshot of {count} files is above the limit of {max}"));
        }
        let mut names = BTreeSet::new();
        let mut total = 0u64;
        for file in &head.files {
            check_name(&file.name)?;
            if !names.insert(file.name.as_str()) {
                return Err(format!("the file {} is announced twice", file.name));
            }
            let sum = total.checked_add(file.bytes);
            total = sum.ok_or("the sizes of a Raft snapshot's files make no sense")?;
        }
        let files = head.files.iter();
        Ok(Manifest {
            from: head.from,
            checkpoint: head.checkpoint,
            last_log_id: (last_log_id.term, last_log_id.index),
            files: files
                .map(|file| AnnouncedFile { name: file.name.clone(), bytes: file.bytes })
                .collect(),
        })
    }
}

/// Whether a name from a peer is a plain file name: it must not leave the folder.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(format!("{name:?} is not the name of a checkpoint's file"));
    }
    Ok(())
}

/// How far a transfer has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What was announced.
    manifest: Manifest,
    /// Position of the file that is being received.
    file: usize,
    /// Bytes of it that are written.
    offset: u64,
    /// Checksum of these bytes.
    crc: crc32fast::Hasher,
    /// When the last piece came, monotonic.
    pub touched_at: Duration,
}

impl Progress {
    /// Nothing has come yet.
    pub fn new(manifest: Manifest, now: Duration) -> Progress {
        let crc = crc32fast::Hasher::new();
        Progress { manifest, file: 0, offset: 0, crc, touched_at: now }
    }

    /// Whether a new attempt may go on where this one ended.
    pub fn continues(&self, manifest: &Manifest) -> bool {
        self.manifest == *manifest
    }

    /// Where to go on.
    pub fn have(&self) -> wire::SnapshotHave {
        wire::SnapshotHave { file: self.file as u32, offset: self.offset }
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        let complete = self.manifest.files.iter().take(self.file);
        complete.map(|file| file.bytes).sum::<u64>() + self.offset
    }

    /// Checks a piece. Returns the name of its file; the caller writes it and calls `wrote`.
    ///
    /// # Errors
    /// A sentence: why the piece is refused.
    pub fn admit(&self, chunk: &wire::SnapshotChunk) -> Result<&str, String> {
        let file = self.current(chunk.file, "a piece")?;
        let (name, length) = (&file.name, chunk.data.len() as u64);
        if chunk.offset != self.offset {
            let (came, have) = (chunk.offset, self.offset);
            return Err(format!("a piece of {name} for byte {came} came when {have} were there"));
        }
        if chunk.data.is_empty() || length > limits::SNAPSHOT_CHUNK_BYTES as u64 {
            return Err(format!("a piece of {name} with {length} bytes"));
        }
        if length > file.bytes - self.offset {
            let bytes = file.bytes;
            return Err(format!("{name} is longer than the {bytes} bytes that were announced"));
        }
        if crc32fast::hash(&chunk.data) != chunk.crc {
            return Err(format!("a damaged piece of {name} at byte {}", chunk.offset));
        }
        Ok(name)
    }

    /// Counts a piece that was admitted and written.
    pub fn wrote(&mut self, data: &[u8], now: Duration) {
        self.crc.update(data);
        self.offset += data.len() as u64;
        self.touched_at = now;
    }

    /// Ends the current file. Returns its name when it has no bytes and must still be created.
    ///
    /// # Errors
    /// A sentence: why the file is not complete. A damaged file begins anew.
    pub fn end_file(&mut self, end: &wire::SnapshotFileEnd) -> Result<Option<String>, String> {
        let file = self.current(end.file, "the end")?.clone();
        if self.offset != file.bytes {
            let (have, bytes) = (self.offset, file.bytes);
            return Err(format!("{have} of {bytes} bytes of {} came", file.name));
        }
        let crc = std::mem::take(&mut self.crc).finalize();
        self.offset = 0;
        if crc != end.crc {
            return Err(format!("{} came damaged: its checksum does not match", file.name));
        }
        self.file += 1;
        Ok((file.bytes == 0).then_some(file.name))
    }

    /// Whether every file is there.
    ///
    /// # Errors
    /// A sentence: how much is missing.
    pub fn complete(&self) -> Result<(), String> {
        let (have, all) = (self.file, self.manifest.files.len());
        match have == all {
            true => Ok(()),
            false => Err(format!("{have} of {all} files of the Raft snapshot came")),
        }
    }

    /// The file being received, if a part is about it.
    fn current(&self, position: u32, what: &str) -> Result<&AnnouncedFile, String> {
        if position as usize >= self.manifest.files.len() {
            return Err(format!("{what} of a file that was not announced"));
        }
        match self.manifest.files.get(self.file) {
            Some(file) if position as usize == self.file => Ok(file),
            Some(file) => Err(format!("{what} of another file while {} is coming", file.name)),
            None => Err(format!("{what} of a file that is complete")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn head(files: &[(&str, u64)]) -> wire::SnapshotHead {
        let file = |(name, bytes): &(&str, u64)| wire::SnapshotFile {
            name: name.to_string(),
            bytes: *bytes,
        };
        wire::SnapshotHead {
            last_log_id: Some(wire::LogId { term: 2, index: 9 }),
            files: files.iter().map(file).collect(),
            checkpoint: 77,
            ..wire::SnapshotHead::default()
        }
    }

    fn chunk(file: u32, offset: u64, data: &'static [u8]) -> wire::SnapshotChunk {
        let crc = crc32fast::hash(data);
        wire::SnapshotChunk { file, offset, crc, data: Bytes::from_static(data) }
    }

    fn end(file: u32, data: &[u8]) -> wire::SnapshotFileEnd {
        wire::SnapshotFileEnd { file, crc: crc32fast::hash(data) }
    }

    fn progress(files: &[(&str, u64)]) -> Progress {
        Progress::new(Manifest::check(&head(files)).unwrap(), Duration::ZERO)
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let long = "a".repeat(256);
        for name in
            ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", ".hidden", "a\0b", "é", &long]
        {
            let error = Manifest::check(&head(&[(name, 1)])).unwrap_err();
            assert!(error.contains("is not the name of a checkpoint's file"), "{error}");
        }
        assert!(Manifest::check(&head(&[("000012.sst", 1), ("MANIFEST-000004", 0)])).is_ok());
    }

    #[test]
    fn heads_that_make_no_sense_are_refused() {
        let without = wire::SnapshotHead { last_log_id: None, ..head(&[("a", 1)]) };
        for (head, wanted) in [
            (without, "without a log id"),
            (head(&[]), "without files"),
            (head(&[("a", 1), ("a", 2)]), "a is announced twice"),
            (head(&[("a", u64::MAX), ("b", 1)]), "make no sense"),
        ] {
            let error = Manifest::check(&head).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused_and_change_nothing() {
        let mut progress = progress(&[("a", 3), ("b", 0)]);
        let damaged = wire::SnapshotChunk { crc: 1, ..chunk(0, 0, b"abc") };
        for (chunk, wanted) in [
            (chunk(2, 0, b"x"), "was not announced"),
            (chunk(1, 0, b"x"), "another file while a is coming"),
            (chunk(0, 1, b"x"), "for byte 1 came when 0 were there"),
            (chunk(0, 0, b""), "with 0 bytes"),
            (chunk(0, 0, b"abcd"), "longer than the 3 bytes"),
            (damaged, "a damaged piece of a at byte 0"),
        ] {
            let error = progress.admit(&chunk).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
        let error = progress.end_file(&end(0, b"")).unwrap_err();
        assert_eq!(error, "0 of 3 bytes of a came");
        assert_eq!(progress.have(), wire::SnapshotHave { file: 0, offset: 0 });
        assert_eq!(progress.complete().unwrap_err(), "0 of 2 files of the Raft snapshot came");
    }

    #[test]
    fn files_come_piece_by_piece_and_a_damaged_one_begins_anew() {
        let mut progress = progress(&[("a", 3), ("b", 0)]);
        let now = Duration::from_secs(1);
        let feed = |progress: &mut Progress| {
            assert_eq!(progress.admit(&chunk(0, 0, b"ab")).unwrap(), "a");
            progress.wrote(b"ab", now);
            assert_eq!(progress.have(), wire::SnapshotHave { file: 0, offset: 2 });
            progress.admit(&chunk(0, 2, b"c")).unwrap();
            progress.wrote(b"c", now);
            assert_eq!(progress.bytes(), 3);
        };
        feed(&mut progress);
        assert!(progress.end_file(&end(0, b"abd")).unwrap_err().contains("came damaged"));
        assert_eq!(progress.have(), wire::SnapshotHave { file: 0, offset: 0 });
        feed(&mut progress);
        assert_eq!(progress.end_file(&end(0, b"abc")).unwrap(), None);
        assert_eq!(progress.end_file(&end(1, b"")).unwrap(), Some("b".to_string()));
        progress.complete().unwrap();
        assert!(progress.admit(&chunk(1, 0, b"x")).unwrap_err().contains("that is complete"));
    }

    #[test]
    fn only_the_same_checkpoint_goes_on() {
        let progress = progress(&[("a", 3)]);
        assert!(progress.continues(&Manifest::check(&head(&[("a", 3)])).unwrap()));
        let other = wire::SnapshotHead { checkpoint: 78, ..head(&[("a", 3)]) };
        assert!(!progress.continues(&Manifest::check(&other).unwrap()));
        assert!(!progress.continues(&Manifest::check(&head(&[("a", 4)])).unwrap()));
    }
}
