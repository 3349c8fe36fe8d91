//! Ends of pairs that go over to TLS while they are joined.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use tymist::net::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig, TlsTime, Unread};
use tymist::{Connect, Event};

use crate::loopback::Forward;
use crate::tls_support::{EPOCH, pki};
use crate::util::{connect, end, send};

/// What has come out at the end by now, and whether it was the last.
fn take(from: &mut TcpStream, all: &mut Vec<u8>) -> bool {
    let mut buf = [0; 64];
    loop {
        match from.read(&mut buf) {
            Ok(0) => return true,
            Ok(count) => all.extend_from_slice(&buf[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Nothing can be queued on the way to TLS: what came for that end, and the end behind it, waited for ever for a word that there is room again.
#[test]
fn regression_what_comes_while_an_end_goes_over_to_tls_goes_over_after_it() {
    for answer in ["", "answer"] {
        let (mut it, mut near) = (Forward::new(|_| {}), Forward::new(|_| {}));
        near.rig.server.wind(it.rig.tymist.tymth());
        near.to = Connect::new(it.rig.addr);
        let time = TlsTime::simulated(it.rig.tymist.tymth(), Duration::from_secs(EPOCH));
        let authority = pki::Authority::new("test authority");
        let config = ServerTlsConfig::new(authority.issue(&pki::server()).identity());
        let server_tls = ServerTls::new(config.with_time(time.clone())).unwrap();
        let config = ClientTlsConfig::with_roots(authority.root()).with_time(time);
        let tls = ClientTls::new(&config).unwrap();

        let mut client = connect(near.rig.addr);
        client.set_nonblocking(true).unwrap();
        let mut far = it.until(|it| {
            near.tick();
            it.target.accept().ok()
        });
        far.0.set_nonblocking(true).unwrap();
        let accepted = it.rig.server.remoters().find(|it| !it.is_dialled()).unwrap().id();
        let remoter = it.rig.server.remoter_mut(accepted).unwrap();
        remoter.upgrade_tls(&server_tls, Unread::MustBeEmpty).unwrap();
        send(&mut far.0, answer.as_bytes());
        end(&far.0);
        it.until(|it| it.rig.log.iter().any(|e| matches!(e, Event::Eof(_))).then_some(()));
        let dialled = near.rig.server.remoters().find(|it| it.is_dialled()).unwrap().id();
        let remoter = near.rig.server.remoter_mut(dialled).unwrap();
        remoter.upgrade_tls_client(&tls, "server.test", Unread::MustBeEmpty).unwrap();
        send(&mut client, b"question");
        end(&client);

        let (mut heard, mut asked, mut over) = (Vec::new(), Vec::new(), [false; 2]);
        it.until(|_| {
            near.tick();
            over[0] |= take(&mut client, &mut heard);
            over[1] |= take(&mut far.0, &mut asked);
            (over == [true; 2]).then_some(())
        });
        assert_eq!((&*asked, &*heard), (&b"question"[..], answer.as_bytes()));
        near.nothing_left();
        it.nothing_left();
    }
}
