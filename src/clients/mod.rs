//! The other end: connections that are made from here, many under one tick or one alone.
//!
//! Both are shells around the engine that a server runs on; a connection of theirs is a [`Remoter`] like any other.

mod group;
mod steps;

mod client;

pub use client::Client;
pub use group::Clients;
