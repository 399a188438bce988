//! Damaged files: an error that names the file, never a wrong or missing row.

use base::{KeyRange, Timestamp};
use engine::mvcc::{self, put_version};
use engine::{Engine, Error, Result, RocksEngine, RocksOptions, RocksShared, WriteBatch};
use std::path::{Path, PathBuf};

const ROWS: u32 = 2000;

fn open(dir: &Path) -> Result<RocksEngine> {
    // A fresh cache: blocks that were read before the damage must not answer for the file.
    RocksEngine::open(&RocksShared::new(RocksOptions::default())?, dir)
}

fn key(row: u32) -> Vec<u8> {
    [&row.to_be_bytes()[..], b"key"].concat()
}

/// A folder with one SST of rows; answers the SST.
fn filled(dir: &Path) -> PathBuf {
    let engine = open(dir).unwrap();
    let mut batch = WriteBatch::new();
    for row in 0..ROWS {
        let value = format!("the value of row {row}");
        put_version(&mut batch, &key(row), Timestamp(10), Some(value.as_bytes()));
    }
    engine.write(batch).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut ssts = files.filter(|path| path.extension().is_some_and(|end| end == "sst"));
    let sst = ssts.next().expect("an SST was written");
    assert_eq!(ssts.next(), None, "one SST");
    sst
}

/// Reads every row in every way; `Ok` only when all of them are right.
fn read_all(dir: &Path) -> Result<()> {
    let engine: &dyn Engine = &open(dir)?;
    for row in 0..ROWS {
        let found = mvcc::get(engine, &key(row), Timestamp::MAX)?;
        let value = found.and_then(|found| found.value);
        assert_eq!(value.unwrap(), format!("the value of row {row}"), "a wrong row");
    }
    let mut seen = 0;
    mvcc::scan(engine, &KeyRange::default(), Timestamp::MAX, false, |_, _, value| {
        assert_eq!(value, format!("the value of row {seen}").as_bytes(), "a wrong row");
        seen += 1;
        Ok(true)
    })?;
    assert_eq!(seen, ROWS, "missing rows");
    Ok(())
}

#[test]
fn a_flipped_byte_of_a_row_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let sst = filled(folder.path());
    let mut bytes = std::fs::read(&sst).unwrap();
    bytes[100] ^= 0x40;
    std::fs::write(&sst, &bytes).unwrap();
    match read_all(folder.path()) {
        Err(Error::Corrupt { place, what }) => {
            assert_eq!(Path::new(&place), sst, "{what}");
            assert!(what.contains("checksum mismatch"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_flipped_byte_anywhere_gives_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let sst = filled(folder.path());
    let good = std::fs::read(&sst).unwrap();
    let mut noticed = 0;
    let step = good.len() / 150;
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        std::fs::write(&sst, &bad).unwrap();
        // Some bytes are not needed to read rows (statistics); then the rows must be right.
        noticed += usize::from(read_all(folder.path()).is_err());
    }
    assert!(noticed > 100, "{noticed} of about 150 damages were noticed");
}

#[test]
fn a_cut_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sst = filled(folder.path());
    let good = std::fs::read(&sst).unwrap();
    std::fs::write(&sst, &good[..good.len() / 2]).unwrap();
    let error = read_all(folder.path()).unwrap_err();
    let name = sst.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
}

/// Verifies all of it in small steps. Returns the bytes that were read.
fn verify_all(dir: &Path) -> Result<u64> {
    let engine = open(dir)?;
    let (mut from, mut bytes) = (Vec::new(), 0);
    loop {
        let step = engine.verify(&from, 1000)?;
        assert!(step.bytes < 2000, "steps are small");
        bytes += step.bytes;
        match step.next {
            Some(next) => from = next.to_vec(),
            None => return Ok(bytes),
        }
    }
}

#[test]
fn verifying_reads_everything_and_names_the_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let sst = filled(folder.path());
    let least = ROWS as u64 * "the value of row 0".len() as u64;
    assert!(verify_all(folder.path()).unwrap() > least);
    let bytes = std::fs::read(&sst).unwrap();
    for at in [10, 3000, 9000] {
        let mut bad = bytes.clone();
        bad[at] ^= 0x01;
        std::fs::write(&sst, bad).unwrap();
        let error = verify_all(folder.path()).unwrap_err();
        let name = sst.file_name().unwrap().to_str().unwrap();
        assert!(matches!(&error, Error::Corrupt { place, .. } if place.contains(name)), "{error}");
    }
}
