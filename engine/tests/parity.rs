//! The same random operations on `RocksEngine` and `SimEngine` must give the same answers.

use base::KeyRange;
use bytes::Bytes;
use engine::{
    Engine, EngineFactory, EngineSnapshot, RocksFactory, RocksOptions, RocksShared, SimDisk,
    SimFactory, WriteBatch,
};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// One step of a run.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Flush,
    Snapshot,
    /// Closes both engines cleanly and opens them again.
    Reopen,
    /// Sends a checkpoint to itself and installs it.
    Install,
    Get(Vec<u8>),
    Seek {
        key: Vec<u8>,
        from: u8,
    },
    Scan(Vec<u8>, Vec<u8>),
}

/// Engine keys of all kinds, few enough to meet again: versions, locks, others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec!["a1", "a2", "b\0", "b\u{1}", "c9"]);
    prop_oneof![
        4 => (name.clone(), 0..5_u8).prop_map(|(name, ts)| version(name.as_bytes(), ts)),
        1 => name.prop_map(|name| [b"l", name.as_bytes()].concat()),
        1 => Just(b"a/applied".to_vec()),
    ]
}

fn version(name: &[u8], ts: u8) -> Vec<u8> {
    [b"d", name, &(!u64::from(ts)).to_be_bytes()].concat()
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..8));
    let name = prop::sample::select(vec!["a1", "a2", "b\0", "b\u{1}", "c9", "d0"]);
    let bound = prop_oneof![3 => key(), 1 => Just(Vec::new()), 1 => Just(b"d".to_vec())];
    prop_oneof![
        8 => prop::collection::vec((key(), value), 1..4).prop_map(Step::Write),
        1 => Just(Step::Flush),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
        1 => Just(Step::Install),
        3 => key().prop_map(Step::Get),
        6 => (name, 0..6_u8).prop_map(|(n, from)| Step::Seek { key: n.as_bytes().to_vec(), from }),
        3 => (bound.clone(), bound).prop_map(|(start, end)| Step::Scan(start, end)),
    ]
}

/// One engine under test.
struct Side {
    factory: Box<dyn EngineFactory>,
    folder: std::path::PathBuf,
    engine: Option<Arc<dyn Engine>>,
    snapshot: Option<Arc<dyn EngineSnapshot>>,
    installs: usize,
}

impl Side {
    fn new(factory: Box<dyn EngineFactory>, folder: &Path) -> Side {
        let engine = Some(factory.open(folder).unwrap());
        Side { factory, folder: folder.to_path_buf(), engine, snapshot: None, installs: 0 }
    }

    /// Does a step; the answer is what must agree.
    fn run(&mut self, step: &Step) -> String {
        let engine = self.engine.clone().expect("open between steps");
        match step {
            Step::Write(changes) => {
                let mut batch = WriteBatch::new();
                for (key, value) in changes.clone() {
                    match value {
                        Some(value) => batch.put(key, value),
                        None => batch.delete(key),
                    }
                }
                engine.write(batch).unwrap();
                String::new()
            }
            Step::Flush => {
                engine.flush().unwrap();
                assert_eq!(engine.unflushed_bytes(), 0);
                let flushed = engine.get_flushed(b"a/applied").unwrap();
                assert_eq!(flushed, engine.get(b"a/applied").unwrap());
                format!("{flushed:?}")
            }
            Step::Snapshot => {
                self.snapshot = Some(engine.snapshot());
                String::new()
            }
            Step::Reopen => {
                drop(engine);
                self.close();
                self.engine = Some(self.factory.open(&self.folder).unwrap());
                self.content()
            }
            Step::Install => {
                self.installs += 1;
                let sending = self.folder.join("sending").join(self.installs.to_string());
                let incoming = self.folder.join("incoming").join(self.installs.to_string());
                engine.checkpoint(&sending).unwrap();
                for file in self.factory.checkpoint_files(&sending).unwrap() {
                    let mut offset = 0;
                    while offset < file.bytes {
                        let data = self.factory.read_file(&sending, &file.name, offset, 700);
                        let data = data.unwrap();
                        self.factory.receive_file(&incoming, &file.name, offset, &data).unwrap();
                        offset += data.len() as u64;
                    }
                }
                self.factory.finish_receive(&incoming).unwrap();
                // Written after the cut, so the install takes it away.
                let mut batch = WriteBatch::new();
                batch.put(&b"zz"[..], &b"later"[..]);
                engine.write(batch).unwrap();
                drop(engine);
                self.close();
                self.factory.install(&self.folder, &incoming).unwrap();
                self.factory.recover(&self.folder).unwrap();
                self.engine = Some(self.factory.open(&self.folder).unwrap());
                self.content()
            }
            Step::Get(key) => {
                let old = self.snapshot.as_ref().map(|snapshot| snapshot.get(key).unwrap());
                format!("{:?} {old:?}", engine.get(key).unwrap())
            }
            Step::Seek { key, from } => {
                let from = version(key, *from);
                let prefix = &from[..from.len() - 8];
                let old = self.snapshot.as_ref().map(|s| s.seek_prefix(prefix, &from).unwrap());
                let found = engine.seek_prefix(prefix, &from).unwrap();
                // A prefix that is no key's seeks in total order.
                let wide = engine.seek_prefix(b"d", &from).unwrap();
                format!("{found:?} {old:?} {wide:?}")
            }
            Step::Scan(start, end) => {
                let range = KeyRange::new(start.clone(), end.clone());
                let mut seen: Vec<(Bytes, Bytes)> = Vec::new();
                let mut back = Vec::new();
                collect(&mut seen, |visit| engine.scan(&range, visit));
                collect(&mut back, |visit| engine.scan_reverse(&range, visit));
                back.reverse();
                assert_eq!(seen, back);
                if let Some(snapshot) = &self.snapshot {
                    collect(&mut seen, |visit| snapshot.scan(&range, visit));
                    collect(&mut seen, |visit| snapshot.scan_reverse(&range, visit));
                }
                format!("{seen:?}")
            }
        }
    }

    fn close(&mut self) {
        self.snapshot = None;
        self.engine = None;
    }

    fn content(&self) -> String {
        let engine = self.engine.as_ref().expect("open between steps");
        let mut seen = Vec::new();
        collect(&mut seen, |visit| engine.scan(&KeyRange::default(), visit));
        format!("{seen:?}")
    }
}

fn collect(
    seen: &mut Vec<(Bytes, Bytes)>,
    scan: impl FnOnce(&mut engine::engine::Visitor<'_>) -> engine::Result<()>,
) {
    scan(&mut |key, value| {
        seen.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        Ok(true)
    })
    .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_engines_answer_alike(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(RocksOptions::default()).unwrap();
        let mut rocks = Side::new(Box::new(RocksFactory::new(shared)), folder.path());
        let mut sim = Side::new(Box::new(SimFactory::new(SimDisk::new())), folder.path());
        for step in &steps {
            prop_assert_eq!(rocks.run(step), sim.run(step), "{:?}", step);
        }
        prop_assert_eq!(rocks.content(), sim.content());
    }
}

#[test]
fn a_reader_inside_a_scan_may_use_the_engine() {
    let sim = SimDisk::new().open(Path::new("db")).unwrap();
    let mut batch = WriteBatch::new();
    (0..300_u32).for_each(|i| batch.put(i.to_be_bytes().to_vec(), vec![1]));
    sim.write(batch).unwrap();
    let mut seen = 0;
    sim.scan(&KeyRange::default(), &mut |key, _| {
        let mut batch = WriteBatch::new();
        batch.delete(key.to_vec());
        sim.write(batch)?;
        seen += 1;
        Ok(true)
    })
    .unwrap();
    assert_eq!(seen, 300, "a scan sees what was there when it began");
    let mut left = 0;
    sim.scan(&KeyRange::default(), &mut |_, _| {
        left += 1;
        Ok(true)
    })
    .unwrap();
    assert_eq!(left, 0);
}
