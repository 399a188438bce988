//! Damage to files of nodes that are down: flipped bits, and the helix, where every part of the data is bad
//! on exactly one node.

use super::error::Error;
use base::Rng;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Size of a part of the helix.
const HELIX_CHUNK_BYTES: u64 = 4 << 20;
/// Bytes that are overwritten in each part.
const HELIX_DAMAGE_BYTES: usize = 512;
/// Bytes before the first record of a log segment (`docs/formats.md`).
const SEGMENT_HEADER_BYTES: u64 = 64;
/// Bytes read at once while looking for the end of a segment's records.
const READ_BYTES: usize = 1 << 20;
/// SST files that one fault damages in a node.
const SST_FILES_MAX: usize = 4;

/// Flips one bit in some SST files of a node; says where.
///
/// # Errors
/// When there is no SST file or one cannot be written.
pub fn flip_in_sst(data: &Path, rng: &mut Rng) -> Result<Vec<String>, Error> {
    let mut files = sst_files(data)?;
    let mut told = Vec::new();
    while told.len() < SST_FILES_MAX && !files.is_empty() {
        let path = files.swap_remove(rng.below(files.len() as u64) as usize);
        let bytes = length(&path)?;
        let at = rng.below(bytes.max(1));
        told.push(flip(&path, at, rng.below(8) as u8, data)?);
    }
    if told.is_empty() {
        let why = "no SST file yet: write more, or stop the node in order first";
        return Err(Error::Refused(format!("{}: {why}", data.display())));
    }
    Ok(told)
}

/// Flips one bit in the older half of the Raft log's records, far below the watermark; says where.
///
/// # Errors
/// When the log holds no records or cannot be written.
pub fn flip_in_log(data: &Path, rng: &mut Rng) -> Result<Vec<String>, Error> {
    let mut segments = files(&data.join("log"), "seg")?;
    segments.sort();
    let mut parts = Vec::new();
    for path in segments {
        let used = used_bytes(&path).map_err(|error| system(&path, error))?;
        if used > SEGMENT_HEADER_BYTES {
            parts.push((path, used - SEGMENT_HEADER_BYTES));
        }
    }
    let total: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    if total < 2 {
        return Err(Error::Refused(format!("{}: the log holds no records", data.display())));
    }
    let mut at = rng.below(total / 2);
    for (path, bytes) in parts {
        if at < bytes {
            let bit = rng.below(8) as u8;
            return Ok(vec![flip(&path, SEGMENT_HEADER_BYTES + at, bit, data)?]);
        }
        at -= bytes;
    }
    Err(Error::Refused("the log became shorter".into()))
}

/// A damaged place in a file, with what it takes to undo the damage.
#[derive(Clone, PartialEq, Eq)]
pub struct Patch {
    path: PathBuf,
    at: u64,
    good: Vec<u8>,
    bad: Vec<u8>,
}

impl std::fmt::Debug for Patch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: {} bytes", self.path.display(), self.at, self.bad.len())
    }
}

impl Patch {
    /// Puts the good bytes back, if the file is still there with the bad ones; false when it is not, because the
    /// node has replaced or set aside what was damaged.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn undo(&self) -> Result<bool, Error> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(system(&self.path, error)),
        };
        let mut found = vec![0; self.bad.len()];
        match file.read_exact_at(&mut found, self.at) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(system(&self.path, error));
            }
            Ok(()) if found == self.bad => {}
            _ => return Ok(false),
        }
        let written = file.write_all_at(&self.good, self.at).and_then(|()| file.sync_all());
        written.map(|()| true).map_err(|error| system(&self.path, error))
    }
}

/// Damages every 4 MiB of every shard's SST files on exactly one node. `nodes` are data folders; says how
/// many parts were damaged on each, and how to undo it.
///
/// # Errors
/// When there is no SST file or one cannot be written.
pub fn helix(nodes: &[PathBuf], rng: &mut Rng) -> Result<(Vec<String>, Vec<Patch>), Error> {
    let mut damaged = vec![0_u64; nodes.len()];
    let mut patches = Vec::new();
    for (place, data) in nodes.iter().enumerate() {
        // Per shard, the parts of its files in order; equal numbers are damaged on equal nodes.
        let mut parts: BTreeMap<String, u64> = BTreeMap::new();
        for path in sst_files(data)? {
            let part = parts.entry(shard_of(&path)).or_default();
            let bytes = length(&path)?;
            let file = OpenOptions::new().read(true).write(true).open(&path);
            let file = file.map_err(|error| system(&path, error))?;
            for chunk in 0..bytes.div_ceil(HELIX_CHUNK_BYTES) {
                let begin = chunk * HELIX_CHUNK_BYTES;
                let room = (bytes - begin).min(HELIX_CHUNK_BYTES);
                if (*part as usize + shard_number(&path)) % nodes.len() == place {
                    let noise: Vec<u8> =
                        (0..HELIX_DAMAGE_BYTES).map(|_| rng.next_u64() as u8).collect();
                    let take = (room as usize).min(noise.len());
                    let at = begin + rng.below(room - take as u64 + 1);
                    let mut good = vec![0; take];
                    file.read_exact_at(&mut good, at)
                        .and_then(|()| file.write_all_at(&noise[..take], at))
                        .map_err(|error| system(&path, error))?;
                    let bad = noise[..take].to_vec();
                    patches.push(Patch { path: path.clone(), at, good, bad });
                    damaged[place] += 1;
                }
                *part += 1;
            }
        }
    }
    if damaged.iter().all(|count| *count == 0) {
        return Err(Error::Refused("no SST file on any node: nothing to damage".into()));
    }
    let told = damaged.iter().enumerate();
    let told = told.map(|(place, count)| {
        format!("node {}: {count} parts of at most 4 MiB damaged", place + 1)
    });
    Ok((told.collect(), patches))
}

/// All SST files of a node, in a fixed order.
///
/// # Errors
/// When a folder cannot be read.
pub fn sst_files(data: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for replica in folders(&data.join("replicas"))? {
        found.extend(files(&replica.join("db"), "sst")?);
    }
    found.sort();
    Ok(found)
}

fn flip(path: &Path, at: u64, bit: u8, data: &Path) -> Result<String, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|error| system(path, error))?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(|error| system(path, error))?;
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at)
        .and_then(|()| file.sync_all())
        .map_err(|error| system(path, error))?;
    let name = path.strip_prefix(data).unwrap_or(path).display();
    Ok(format!("bit {bit} of byte {at} in {name} flipped"))
}

/// Bytes of a segment up to its last byte that is not zero.
fn used_bytes(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut block = vec![0; READ_BYTES];
    while end > 0 {
        let begin = end.saturating_sub(READ_BYTES as u64);
        let part = &mut block[..(end - begin) as usize];
        file.read_exact_at(part, begin)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// `replicas/<shard>-<replica>/db/…` → the shard.
fn shard_of(path: &Path) -> String {
    let replica = path.parent().and_then(Path::parent).and_then(Path::file_name);
    let name = replica.unwrap_or_default().to_string_lossy();
    name.split('-').next().unwrap_or_default().to_string()
}

fn shard_number(path: &Path) -> usize {
    shard_of(path).parse().unwrap_or_default()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, Error> {
    entries(path).map(|entries| entries.into_iter().filter(|path| path.is_dir()).collect())
}

fn files(path: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let wanted = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    entries(path).map(|entries| entries.into_iter().filter(wanted).collect())
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(system(path, error)),
    }
}

fn length(path: &Path) -> Result<u64, Error> {
    std::fs::metadata(path).map(|data| data.len()).map_err(|error| system(path, error))
}

fn system(path: &Path, error: io::Error) -> Error {
    Error::system(format!("damaging {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(scratch: &Path, name: &str) -> PathBuf {
        let data = scratch.join(name);
        let db = data.join("replicas/5-17/db");
        std::fs::create_dir_all(&db).unwrap();
        std::fs::create_dir_all(data.join("log")).unwrap();
        std::fs::write(db.join("000009.sst"), vec![7; 9 << 20]).unwrap();
        let mut segment = vec![0; 3 << 20];
        segment[..5000].fill(1);
        std::fs::write(data.join("log/0000000000000001.seg"), segment).unwrap();
        data
    }

    fn damaged_chunks(data: &Path) -> Vec<usize> {
        let bytes = std::fs::read(data.join("replicas/5-17/db/000009.sst")).unwrap();
        let chunks = bytes.chunks(HELIX_CHUNK_BYTES as usize).enumerate();
        chunks.filter(|(_, part)| part.iter().any(|byte| *byte != 7)).map(|(at, _)| at).collect()
    }

    #[test]
    fn the_helix_damages_each_part_on_exactly_one_node() {
        let scratch = tempfile::tempdir().unwrap();
        let nodes: Vec<_> = ["a", "b", "c"].iter().map(|name| node(scratch.path(), name)).collect();
        let (_, patches) = helix(&nodes, &mut Rng::seeded(1)).unwrap();
        let mut all: Vec<usize> = nodes.iter().flat_map(|data| damaged_chunks(data)).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        assert!(nodes.iter().all(|data| damaged_chunks(data).len() == 1));
        // A file that the node has replaced since is not touched.
        let replaced = nodes[0].join("replicas/5-17/db/000009.sst");
        std::fs::write(&replaced, vec![9; 9 << 20]).unwrap();
        std::fs::remove_file(nodes[1].join("replicas/5-17/db/000009.sst")).unwrap();
        let undone: Vec<bool> = patches.iter().map(|patch| patch.undo().unwrap()).collect();
        assert_eq!(undone, [false, false, true]);
        assert_eq!(damaged_chunks(&nodes[2]), [0_usize; 0]);
        assert!(std::fs::read(&replaced).unwrap().iter().all(|byte| *byte == 9));
    }

    #[test]
    fn a_flip_changes_one_bit_in_the_older_half_of_the_log() {
        let scratch = tempfile::tempdir().unwrap();
        let data = node(scratch.path(), "a");
        flip_in_log(&data, &mut Rng::seeded(3)).unwrap();
        let bytes = std::fs::read(data.join("log/0000000000000001.seg")).unwrap();
        let changed: Vec<usize> =
            (0..5000).filter(|at| bytes[*at].count_ones() != 1 || bytes[*at] != 1).collect();
        assert_eq!(changed.len(), 1);
        assert!((64..2600).contains(&changed[0]), "{changed:?}");
        assert_eq!(flip_in_sst(&data, &mut Rng::seeded(3)).unwrap().len(), 1);
    }

    #[test]
    fn without_files_nothing_is_claimed_to_be_damaged() {
        let scratch = tempfile::tempdir().unwrap();
        let mut rng = Rng::seeded(1);
        assert!(flip_in_sst(scratch.path(), &mut rng).is_err());
        assert!(flip_in_log(scratch.path(), &mut rng).is_err());
        assert!(helix(&[scratch.path().to_path_buf()], &mut rng).is_err());
    }
}
