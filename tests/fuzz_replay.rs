//! What fuzzing has found and what it covers, on stable Rust: the bodies of the fuzz targets on the committed corpus and on random bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod fuzz_bodies;

use std::path::{Path, PathBuf};

use fuzz_bodies::TARGETS;
use tymist::sim::Rng;

/// The committed inputs of a target; none where the package came without them.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return Vec::new();
    }
    let folder = fuzz.join("corpus").join(target);
    let entries = folder.read_dir().expect("each target has a committed corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no inputs for {target}");
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn replay(target: &str) {
    let (_, body) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    for (path, bytes) in corpus(target) {
        // Which one it was is told by the last line before the panic.
        println!("{}", path.display());
        body(&bytes);
    }
    let mut dice = Rng::stream(1, target);
    for round in 0..100 {
        println!("random bytes {round}");
        let mut bytes = vec![0; dice.index(1000)];
        dice.fill(&mut bytes);
        body(&bytes);
    }
}

#[test]
fn buffers() {
    replay("buffers");
}

#[test]
fn remoter() {
    replay("remoter");
}

#[test]
fn wheel() {
    replay("wheel");
}

#[test]
fn world() {
    replay("world");
}

/// Five in, and the first is gone. `.ci/run` checks that fuzzing finds the like of it.
#[test]
#[should_panic(expected = "the canary has been found")]
fn canary_fails() {
    let (push, last, pop) = ([0, 0, 0, 0, 1], [0, 0, 0, 0, 9], [0, 0, 0, 0x80]);
    fuzz_bodies::canary(&[&push[..], &push, &push, &push, &last, &pop].concat());
}
