//! What the fuzz targets do with their bytes. Shared by `fuzz/`, which searches, and `tests/fuzz_replay.rs`, which replays what was found on stable
//! Rust. Each makes a list of operations out of the bytes and panics where something that must hold does not.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each user has its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_debug_implementations, reason = "tests")]

mod buffers;
mod canary;
#[path = "../util/memory.rs"]
mod memory;
#[path = "../util/model.rs"]
mod model;
mod remoter;
#[path = "../sim_util/mod.rs"]
mod sim_util;
mod wheel;
mod world;

pub use buffers::buffers;
pub use canary::canary;
pub use remoter::remoter;
pub use wheel::wheel;
pub use world::world;

/// What a target does with its bytes.
pub type Body = fn(&[u8]);

/// All targets that must hold, by name.
pub const TARGETS: [(&str, Body); 4] =
    [("buffers", buffers), ("remoter", remoter), ("wheel", wheel), ("world", world)];
