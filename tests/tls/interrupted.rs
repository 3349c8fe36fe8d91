//! A signal at the wrong moment: what was taken is taken.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::io::IoSlice;
use std::net::Shutdown;
use std::sync::Arc;

use crate::tls_support::wire::duplex;
use crate::tls_support::{drive, pki};
use tymist::net::Stream;

/// The record was sealed when the system call was interrupted; that was passed on, and so the same bytes were sealed once more.
#[test]
fn an_interrupted_write_is_no_reason_to_write_it_again() {
    let (client, server) = pki::world().ends();
    let (near, far) = duplex();
    let pipe = Arc::clone(&near.tx);
    let mut near = client.connect(Box::new(near), "server.test").unwrap();
    let mut far = server.accept(Box::new(far));
    assert!(drive(&mut near, &mut far).0.unwrap().is_ok());

    pipe.lock().unwrap().interrupt = true;
    assert_eq!(near.write(&[IoSlice::new(b"hello")]).unwrap(), 5);
    assert!(near.held() > 0, "it waits here");
    near.flush().unwrap();
    let mut buf = [0; 64];
    assert_eq!(far.read(&mut buf).unwrap(), 5);

    pipe.lock().unwrap().interrupt = true;
    near.shutdown(Shutdown::Write).unwrap();
    assert!(near.held() > 0, "the end waits here");
    near.flush().unwrap();
    assert_eq!(far.read(&mut buf).unwrap(), 0);
}
