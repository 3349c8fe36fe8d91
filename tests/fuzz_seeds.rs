//! Replays what the fuzz targets begin with, and what they once found, on the stable compiler.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each uses its part of the wire")]

use std::fs;
use std::path::Path;

#[path = "fuzz_bodies/tls_handshake.rs"]
mod tls_handshake;
#[path = "tls_support/wire.rs"]
mod wire;

#[track_caller]
fn replay(target: &str, at_least: usize, body: fn(&[u8])) {
    replay_all(&format!("seeds/{target}"), at_least, body);
}

#[track_caller]
fn replay_all(folder: &str, at_least: usize, body: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return; // The package comes without them.
    }
    let folder = fuzz.join(folder);
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort();
    assert!(seeds.len() >= at_least, "only {} seeds in {}", seeds.len(), folder.display());
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        if std::panic::catch_unwind(|| body(&bytes)).is_err() {
            panic!("the seed {}", seed.display());
        }
    }
}

#[test]
fn tls_handshake_seeds_hold() {
    replay("tls_handshake", 12, tls_handshake::fuzz);
}

/// What fuzzing has found new ways with.
#[test]
fn tls_handshake_corpus_holds() {
    replay_all("corpus/tls_handshake", 700, tls_handshake::fuzz);
}

/// Every single-byte edit of the first kilobyte each way, besides the seeds.
#[test]
fn tls_handshake_single_edits_hold() {
    for way in 0..8 {
        for place in (0..1024_u16).step_by(if cfg!(feature = "tls-test-provider") { 1 } else { 16 })
        {
            let [high, low] = place.to_be_bytes();
            tls_handshake::fuzz(&[1, way, high, low, 0x41]);
        }
    }
}
