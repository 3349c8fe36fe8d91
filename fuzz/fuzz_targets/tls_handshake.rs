//! Bytes of a handshake, and edits of one; see the body.
#![no_main]
#![allow(dead_code, reason = "the wire has more to it than is used here")]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz_bodies/tls_handshake.rs"]
mod body;
#[path = "../../tests/tls_support/wire.rs"]
mod wire;

/// What rustls panics over, by an assertion of its debug builds (an alert behind its close_notify), the layer catches and makes an end of it. libFuzzer
/// would end the run before that; what is ours still does.
fn let_rustls_be_caught() {
    let end_the_run = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|at| at.file().contains("/rustls-")) {
            end_the_run(panic);
        }
    }));
}

fuzz_target!(|data: &[u8]| {
    static ONCE: Once = Once::new();
    ONCE.call_once(let_rustls_be_caught);
    body::fuzz(data);
});
