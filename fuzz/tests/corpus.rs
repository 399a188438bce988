//! Every target over every kept input and every statement of the golden scripts.

use std::path::{Path, PathBuf};

/// Folders of golden scripts, whose commands are statements.
const SCRIPTS: &str = "../sql/src/testscripts";

/// The files under a folder, at any depth, in their order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn kept_inputs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let inputs = files(&root.join(name));
        assert!(!inputs.is_empty(), "no input is kept for {name}");
        for path in inputs {
            target(&std::fs::read(&path).expect("a kept input"));
        }
    }
}

#[test]
fn statements_of_scripts() {
    let mut statements = 0;
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPTS)) {
        let script = std::fs::read_to_string(&path).expect("a script");
        for line in script.lines() {
            let Some((_, statement)) = line.split_once("> ") else { continue };
            statements += 1;
            for flags in [0, 0b1_1111] {
                let input = [&[flags], statement.as_bytes()].concat();
                for (_, target) in fuzz::TARGETS {
                    target(&input);
                }
            }
        }
    }
    assert!(statements > 3_000, "only {statements} statements were found");
}
