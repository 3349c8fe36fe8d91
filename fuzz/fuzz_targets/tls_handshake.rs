//! Bytes of a handshake, and edits of one; see the body.
#![no_main]
#![allow(dead_code, reason = "the wire has more to it than is used here")]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz_bodies/tls_handshake.rs"]
mod body;
#[path = "../../tests/tls_support/wire.rs"]
mod wire;

fuzz_target!(|data: &[u8]| body::fuzz(data));
