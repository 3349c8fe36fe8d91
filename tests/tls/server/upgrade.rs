//! Live connections that go over to TLS: nothing lost, nothing replayed, nothing smuggled.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::Duration;

use tymist::net::tls::{
    ClientTls, ClientTlsConfig, HandshakeFailure as Failure, ServerTls, TlsTime, Unread,
};
use tymist::net::{SocketOptions, Stream};
use tymist::tyme::Tyme;
use tymist::wire::WireLog;
use tymist::{
    CloseReason, Deadline, Event, Id, Remoter, Service, Session, TxError, UpgradeRefused, Wake,
};

use super::peer::{End, Peer};
use super::rig::TlsRig;
use crate::tls_support::EPOCH;
use crate::util::{connect, pattern, receive_while, send};

const GO: &[u8] = b"220 go ahead\r\n";

/// A plain connection.
#[track_caller]
fn plain(rig: &mut TlsRig) -> (TcpStream, Id) {
    let addr = std::mem::replace(&mut rig.rig.addr, rig.plain);
    let client = rig.rig.client();
    rig.rig.addr = addr;
    client
}

/// One that has asked for TLS and got the word.
#[track_caller]
fn asked(rig: &mut TlsRig) -> (TcpStream, Id) {
    let (mut client, id) = plain(rig);
    send(&mut client, b"STARTTLS\r\n");
    rig.until_unread(id, 10);
    let tls = rig.tls.clone();
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.take(), &b"STARTTLS\r\n"[..]);
    remoter.tx(GO).unwrap();
    remoter.upgrade_tls(&tls, Unread::MustBeEmpty).unwrap();
    (client, id)
}

/// The client's TLS over a plain connection that has the word, live at both ends.
#[track_caller]
fn secured(rig: &mut TlsRig, client: TcpStream, id: Id) -> Peer {
    let mut peer = Peer::over(client, &rig.client, "server.test");
    rig.drive(&mut peer, |rig, peer| rig.log.contains(&Event::Upgraded(id)) && peer.is_live());
    peer
}

#[test]
fn who_can_go_over_is_not_slept_over() {
    let mut rig = TlsRig::new();
    let (_client, id) = asked(&mut rig);
    rig.server.service_sends();
    assert_eq!(rig.server.remoter(id).unwrap().tx_len(), 0, "the word is out");
    assert_eq!(rig.server.wake(), Wake::Now);
    rig.server.service();
    assert_eq!(rig.server.cxes(), 1);
}

/// Where it was to go over and is closed instead, it is closed.
#[test]
fn who_is_closed_before_it_goes_over_is_not_upgrading() {
    for abort in [true, false] {
        let mut rig = TlsRig::new();
        let (_client, id) = asked(&mut rig);
        let remoter = rig.server.remoter_mut(id).unwrap();
        assert!(remoter.is_upgrading());
        if abort {
            remoter.abort();
        } else {
            remoter.close();
        }
        assert!(!remoter.is_upgrading());
        assert_eq!(remoter.tx(b"more"), Err(TxError::Closed));
    }
}

/// Where its handshake had begun, it was said to be upgrading to its end.
#[test]
fn regression_who_is_closed_while_it_goes_over_is_not_upgrading() {
    for abort in [true, false] {
        let mut rig = TlsRig::new();
        let tls = rig.tls.clone();
        let (_client, id) = asked(&mut rig);
        rig.until_server(|server| server.cxes() == 1);
        let remoter = rig.server.remoter_mut(id).unwrap();
        if abort {
            remoter.abort();
        } else {
            remoter.close();
        }
        assert!(!remoter.is_upgrading());
        assert_eq!(remoter.tx(b"more"), Err(TxError::Closed));
        assert_eq!(remoter.upgrade_tls(&tls, Unread::IsTls), Err(UpgradeRefused::Closing));
    }
}

#[test]
fn a_live_connection_goes_over_and_keeps_its_id_and_what_is_its_own() {
    let mut rig = TlsRig::new();
    let tls = rig.tls.clone();
    rig.tick_after(Duration::from_secs(5));
    let (mut client, id) = asked(&mut rig);
    rig.server.remoter_mut(id).unwrap().set_data("mine");
    let opened_at = rig.server.remoter(id).unwrap().opened_at();
    let word = receive_while(&mut client, GO.len(), || {
        rig.tick();
    });
    assert_eq!(word, GO, "queued in plain, it leaves in plain");
    rig.tick();
    rig.tick_after(Duration::from_secs(1));
    // On its way it is in cxes, and not among the live ones; its id still finds it.
    assert_eq!((rig.server.len(), rig.server.cxes()), (0, 1));
    assert!(rig.server.ixes().is_empty());
    assert_eq!(rig.server.at(&client.local_addr().unwrap().into()), None);
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert!(remoter.is_upgrading() && remoter.tls().is_none());
    assert!(!remoter.may_send() && !remoter.may_receive());
    assert_eq!(remoter.tx(b"in plain or not?"), Err(TxError::Upgrading));
    assert_eq!(remoter.upgrade_tls(&tls, Unread::IsTls), Err(UpgradeRefused::AlreadyTls));
    let mut peer = secured(&mut rig, client, id);
    assert_eq!((rig.server.len(), rig.server.cxes()), (1, 0));
    rig.echoes(&mut peer, id, b"protected");
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.data(), Some(&"mine"));
    assert_eq!(remoter.opened_at(), opened_at, "it is as old as it was");
    assert_eq!(remoter.tls().unwrap().server_name(), Some("server.test"));
    assert_eq!(remoter.upgrade_tls(&tls, Unread::IsTls), Err(UpgradeRefused::AlreadyTls));
    let counters = rig.server.counters();
    assert_eq!((counters.opened, counters.upgraded), (1, 1));
    let upgraded = rig.log.iter().filter(|event| **event == Event::Upgraded(id)).count();
    assert_eq!(upgraded, 1);
    peer.finish();
    assert_eq!(rig.closed(&mut peer, id), CloseReason::Eof);
}

#[test]
fn plaintext_behind_the_word_is_refused_while_it_can_be_seen() {
    let mut rig = TlsRig::new();
    let (mut client, id) = plain(&mut rig);
    send(&mut client, b"STARTTLS\r\nDELETE everything\r\n");
    rig.until_unread(id, 29);
    let tls = rig.tls.clone();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.consume(10);
    assert_eq!(remoter.upgrade_tls(&tls, Unread::MustBeEmpty), Err(UpgradeRefused::Unread(19)));
    assert_eq!(remoter.rx(), b"DELETE everything\r\n", "it is as it was");
    assert!(!remoter.is_upgrading());
    remoter.tx(b"500 no\r\n").unwrap();
    let answer = receive_while(&mut client, 8, || {
        rig.tick();
    });
    assert_eq!(answer, b"500 no\r\n");
}

#[test]
fn plaintext_that_comes_later_is_never_read_as_if_it_had_been_protected() {
    for late in [false, true] {
        let mut rig = TlsRig::new();
        let (mut client, id) = asked(&mut rig);
        if late {
            rig.tick();
            rig.tick();
        }
        send(&mut client, b"QUIT and more\r\n");
        let mut peer_end = Vec::new();
        let reason = {
            let mut answer = client.try_clone().unwrap();
            answer.set_nonblocking(true).unwrap();
            let mut reason = None;
            for _ in 0..1000 {
                rig.tick();
                let mut buf = [0; 64];
                if let Ok(count) = io::Read::read(&mut answer, &mut buf) {
                    peer_end.extend_from_slice(&buf[..count]);
                }
                if peer_end.len() >= GO.len() + 7 {
                    let _ = client.shutdown(std::net::Shutdown::Both);
                }
                reason = rig.log.iter().find_map(|event| match event {
                    Event::Closed(closed, reason) if *closed == id => Some(*reason),
                    _ => None,
                });
                if reason.is_some() {
                    break;
                }
            }
            reason
        };
        assert_eq!(reason, Some(CloseReason::Handshake(Failure::NotTls)));
        let received = rig.log.iter().filter(|event| **event == Event::Received(id)).count();
        assert_eq!(received, 1, "only the command itself");
        assert_eq!(&peer_end[..GO.len()], GO);
        assert_eq!(&peer_end[GO.len()..], [21, 3, 3, 0, 2, 2, 50], "the alert arrives");
    }
}

#[test]
fn plaintext_put_back_during_the_upgrade_ends_it() {
    let mut rig = TlsRig::new();
    let (client, id) = asked(&mut rig);
    rig.server.remoter_mut(id).unwrap().unread(bytes::Bytes::from_static(b"DELETE"));
    let reason = rig.until_closed(id);
    assert_eq!(reason, CloseReason::Handshake(Failure::Plaintext));
    assert!(rig.server.remoter(id).unwrap().rx().is_empty());
    drop(client);
}

/// As behind a PROXY header: what was read ahead is the ClientHello, and every byte of it counts once.
#[test]
fn what_was_read_ahead_can_be_the_beginning_of_tls() {
    let mut rig = TlsRig::new();
    for cut in [0, 1, 100, usize::MAX] {
        let (mut client, id) = plain(&mut rig);
        let header = b"PROXY UNKNOWN\r\n";
        let mut peer = Peer::over(client.try_clone().unwrap(), &rig.client, "server.test");
        let mut hello = Vec::new();
        peer.tls.write_tls(&mut hello).unwrap();
        let (ahead, later) = hello.split_at(cut.min(hello.len()));
        client.set_nonblocking(false).unwrap();
        send(&mut client, &[header, ahead].concat());
        rig.until_unread(id, header.len() + ahead.len());
        let tls = rig.tls.clone();
        let remoter = rig.server.remoter_mut(id).unwrap();
        remoter.consume(header.len());
        remoter.upgrade_tls(&tls, Unread::IsTls).unwrap();
        assert!(remoter.rx().is_empty(), "it is no plaintext any more");
        send(&mut client, later);
        client.set_nonblocking(true).unwrap();
        rig.drive(&mut peer, |rig, peer| rig.log.contains(&Event::Upgraded(id)) && peer.is_live());
        rig.echoes(&mut peer, id, b"hello");
        assert_eq!(rig.server.remoter(id).unwrap().rx(), b"");
    }
    assert_eq!(rig.server.buffered(), 0);
}

#[test]
fn whatever_is_queued_goes_out_in_plain_first() {
    let mut rig = TlsRig::with(|config| config.limits.tx_bytes = 32 << 20, |_, tls| tls);
    let (mut client, id) = plain(&mut rig);
    let data = pattern(16 << 20);
    let tls = rig.tls.clone();
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.tx(&data).unwrap(), data.len());
    remoter.upgrade_tls(&tls, Unread::MustBeEmpty).unwrap();
    for _ in 0..20 {
        rig.tick();
    }
    assert_eq!(rig.server.len(), 1, "it is more than fits: the rest is still going");
    assert!(rig.server.remoter(id).unwrap().tx_len() > 0);
    let got = receive_while(&mut client, data.len(), || {
        rig.tick();
    });
    assert!(got == data);
    let mut peer = secured(&mut rig, client, id);
    rig.echoes(&mut peer, id, b"and then protected");
}

/// Neither plaintext any more nor TLS yet, they were lost.
#[test]
fn regression_who_is_taken_out_on_its_way_takes_along_what_was_read_ahead() {
    let mut rig = TlsRig::new();
    let (mut client, id) = plain(&mut rig);
    send(&mut client, b"a ClientHello");
    rig.until_unread(id, 13);
    let tls = rig.tls.clone();
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.tx(GO).unwrap();
    remoter.upgrade_tls(&tls, Unread::IsTls).unwrap();
    let taken = rig.server.detach(id).unwrap();
    assert_eq!((&taken.unread[..], &taken.unsent[..]), (&b"a ClientHello"[..], GO));
    assert_eq!(rig.until_closed(id), CloseReason::Detached);
    assert_eq!(rig.server.buffered(), 0);
}

/// On the way there is no room, whatever has left: it was told there, and not again.
#[test]
fn regression_room_is_told_to_who_has_gone_over_and_not_on_the_way() {
    for full in [false, true] {
        let mut rig = TlsRig::with(|config| config.limits.buffered = 1000, |_, tls| tls);
        let (client, id) = plain(&mut rig);
        let (_other, other) = plain(&mut rig);
        let tls = rig.tls.clone();
        if full {
            let hold = bytes::Bytes::from(pattern(1000));
            rig.server.remoter_mut(other).unwrap().unread(hold);
        }
        rig.server.remoter_mut(id).unwrap().want_drained();
        if full {
            rig.tick(); // From now on it is owed, and waits for room.
        }
        rig.server.remoter_mut(id).unwrap().upgrade_tls(&tls, Unread::MustBeEmpty).unwrap();
        rig.until_server(|server| server.cxes() == 1);
        rig.server.remoter_mut(other).unwrap().take();
        rig.tick();
        rig.tick();
        assert!(!rig.log.contains(&Event::Drained(id)), "{full}: {:?}", rig.log);
        client.set_nonblocking(true).unwrap();
        let mut peer = secured(&mut rig, client, id);
        rig.drive(&mut peer, |rig, _| rig.log.contains(&Event::Drained(id)));
        rig.tick();
        let mut told = rig.log.iter().filter(|event| event.id() == Some(id));
        assert!(told.any(|event| *event == Event::Upgraded(id)));
        assert_eq!(told.collect::<Vec<_>>(), [&Event::Drained(id)]);
    }
}

/// While what is queued still leaves in plain, nothing is read: what comes is either TLS or the end.
#[test]
fn nothing_is_read_between_the_word_and_the_handshake() {
    let mut rig = TlsRig::with(|config| config.limits.tx_bytes = 32 << 20, |_, tls| tls);
    let (mut client, id) = plain(&mut rig);
    let data = pattern(16 << 20);
    let tls = rig.tls.clone();
    let remoter = rig.server.remoter_mut(id).unwrap();
    assert_eq!(remoter.tx(&data).unwrap(), data.len());
    remoter.upgrade_tls(&tls, Unread::MustBeEmpty).unwrap();
    send(&mut client, b"RCPT TO:<all>\r\n");
    for _ in 0..20 {
        rig.tick();
        let remoter = rig.server.remoter(id).unwrap();
        assert!(remoter.tx_len() > 0, "it is more than fits");
        assert!(remoter.rx().is_empty());
    }
    let got = receive_while(&mut client, data.len(), || {
        rig.tick();
    });
    assert!(got == data);
    let alert = receive_while(&mut client, 7, || {
        rig.tick();
    });
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50]);
    drop(client);
    assert_eq!(rig.until_closed(id), CloseReason::Handshake(Failure::NotTls));
    assert!(!rig.log.contains(&Event::Received(id)));
}

/// Both ends of one connection in one engine, each in its role.
#[test]
fn the_client_end_goes_over_as_well() {
    let mut rig = TlsRig::new();
    let (client, there) = plain(&mut rig);
    let here = rig.server.adopt_stream(client, &SocketOptions::new()).unwrap();
    let mut config = ClientTlsConfig::with_roots(rig.authority.root());
    config.common.time = Some(TlsTime::simulated(rig.tymist.tymth(), Duration::from_secs(EPOCH)));
    let tls = ClientTls::new(&config).unwrap();
    rig.server.tx(here, b"STARTTLS\r\n").unwrap();
    rig.until_unread(there, 10);
    let secure = rig.tls.clone();
    let remoter = rig.server.remoter_mut(there).unwrap();
    remoter.consume(10);
    remoter.tx(GO).unwrap();
    remoter.upgrade_tls(&secure, Unread::MustBeEmpty).unwrap();
    rig.until_unread(here, GO.len());
    let remoter = rig.server.remoter_mut(here).unwrap();
    remoter.consume(GO.len());
    let refused = remoter.upgrade_tls_client(&tls, "not a name", Unread::MustBeEmpty);
    assert_eq!(refused, Err(UpgradeRefused::BadName));
    remoter.upgrade_tls_client(&tls, "server.test", Unread::MustBeEmpty).unwrap();
    rig.until_server(|server| server.len() == 2 && server.counters().upgraded == 2);
    rig.server.tx(here, b"over the wall").unwrap();
    rig.until_unread(there, 13);
    rig.server.tx(there, b"and back").unwrap();
    rig.until_unread(here, 8);
    let told = rig.server.remoter(here).unwrap().tls().unwrap();
    assert!(told.peer_identity().unwrap().dns_names.contains(&"server.test".to_owned()));
    assert_eq!(rig.server.remoter_mut(there).unwrap().take(), &b"over the wall"[..]);
    rig.server.remoter_mut(here).unwrap().close();
    assert_eq!(rig.until_closed(there), CloseReason::Eof);
    rig.until_server(|server| server.is_empty());
    assert!(rig.log.contains(&Event::Closed(here, CloseReason::Local)));
}

#[test]
fn an_upgrade_has_the_handshakes_deadline_and_loses_the_idle_one_meanwhile() {
    let mut rig = TlsRig::with(
        |config| {
            config.timeouts.idle = Some(Duration::from_secs(4));
            config.timeouts.lifetime = Some(Duration::from_secs(3600));
        },
        |_, tls| tls,
    );
    let (client, id) = asked(&mut rig);
    rig.until_server(|server| server.cxes() == 1);
    assert!(rig.tick_at(Tyme::from_nanos(10_000_000_000 - 1)).is_empty());
    let events = rig.tick_at(Tyme::from_nanos(10_000_000_000));
    let reason = CloseReason::Expired(Deadline::Handshake);
    assert_eq!(events, [Event::Expired(id, Deadline::Handshake), Event::Closed(id, reason)]);
    drop(client);
    // One that succeeds has them again, its life counted from its start.
    let (mut client, id) = asked(&mut rig);
    receive_while(&mut client, GO.len(), || {
        rig.tick();
    });
    rig.tick_after(Duration::from_secs(3));
    let mut peer = secured(&mut rig, client, id);
    let now = rig.server.tyme().as_nanos();
    assert!(rig.tick_at(Tyme::from_nanos(now + 4_000_000_000 - 1)).is_empty());
    peer.say(b"x");
    rig.drive(&mut peer, |rig, _| rig.server.remoter(id).unwrap().rx().len() == 1);
    while rig.server.tyme().as_nanos() < now + 3_596_000_000_000 {
        rig.tick_after(Duration::from_secs(1));
        rig.server.tx(id, b".").unwrap();
        peer.hear();
    }
    let last = rig.log.iter().rev().find_map(|event| match event {
        Event::Closed(closed, reason) if *closed == id => Some(*reason),
        _ => None,
    });
    assert_eq!(last, None, "an hour from when it came in is not over");
    for _ in 0..2 {
        rig.tick_after(Duration::from_secs(1));
        rig.server.tx(id, b".").ok();
    }
    assert!(rig.log.contains(&Event::Closed(id, CloseReason::Expired(Deadline::Lifetime))));
}

#[test]
fn what_is_ending_or_has_no_voice_cannot_go_over() {
    let mut rig = TlsRig::with(|config| config.half_open = true, |_, tls| tls);
    let tls = rig.tls.clone();
    let refused = Err(UpgradeRefused::Closing);
    let (client, id) = plain(&mut rig);
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.shutdown_send();
    assert_eq!(remoter.upgrade_tls(&tls, Unread::IsTls), refused);
    drop(client);
    let (client, id) = plain(&mut rig);
    crate::util::end(&client);
    rig.until(|event| *event == Event::Eof(id));
    assert_eq!(rig.server.remoter_mut(id).unwrap().upgrade_tls(&tls, Unread::IsTls), refused);
    let (_client, id) = plain(&mut rig);
    let remoter = rig.server.remoter_mut(id).unwrap();
    remoter.close();
    assert_eq!(remoter.upgrade_tls(&tls, Unread::IsTls), refused);
}

#[test]
fn a_connection_can_be_closed_and_aborted_on_its_way() {
    for begun in [false, true] {
        for abort in [false, true] {
            let mut rig = TlsRig::new();
            let (mut client, id) = asked(&mut rig);
            if begun {
                rig.until_server(|server| server.cxes() == 1);
            }
            let remoter = rig.server.remoter_mut(id).unwrap();
            if abort {
                remoter.abort();
            } else {
                remoter.close();
            }
            let reason = if abort { CloseReason::Aborted } else { CloseReason::Local };
            for _ in 0..5 {
                rig.tick();
            }
            if !abort {
                // It is told to end, and does.
                let got = rig.read_to_end(&mut client).unwrap();
                assert_eq!(&got[..GO.len()], GO);
                let _ = client.write_all(b"never mind");
                client.shutdown(std::net::Shutdown::Both).unwrap();
                rig.until(|event| matches!(event, Event::Closed(..)));
            }
            assert!(rig.log.contains(&Event::Closed(id, reason)), "{begun} {abort}: {:?}", rig.log);
            rig.tick();
            let server = &rig.server;
            assert_eq!((server.len(), server.cxes(), server.timers()), (0, 0, 0));
        }
    }
}

/// One that is asked over to TLS, of which the log has what the user sees on either side of that; `wrap` is done to it on the way.
fn logged_across(wrap: impl FnOnce(&mut Remoter)) -> (TlsRig, Peer, Id, WireLog) {
    let mut rig = TlsRig::new();
    let log = WireLog::memory(1 << 20);
    rig.server.set_wire_log(Some(log.clone()));
    let (mut client, id) = asked(&mut rig);
    wrap(rig.server.remoter_mut(id).unwrap());
    receive_while(&mut client, GO.len(), || {
        rig.tick();
    });
    let mut peer = secured(&mut rig, client, id);
    rig.echoes(&mut peer, id, b"secret");
    let moved: Vec<_> = log.records().iter().map(|record| record.data.to_vec()).collect();
    let expected: [&[u8]; 4] = [b"STARTTLS\r\n", GO, b"secret", b"secret"];
    assert_eq!(moved, expected);
    (rig, peer, id, log)
}

#[test]
fn the_wire_log_stays_on_the_users_side() {
    let (mut rig, mut peer, ..) = logged_across(|_| {});
    peer.finish();
    rig.drive(&mut peer, |_, peer| peer.end == Some(End::Clean));
}

/// A layer that changes nothing.
struct Around(Box<dyn Stream>);

impl Stream for Around {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.0)
    }

    fn below_mut(&mut self) -> Option<&mut dyn Stream> {
        Some(&mut *self.0)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(bufs)
    }
}

/// What was put around the connection since hid its log, which had ciphertext from then on.
#[test]
fn regression_the_wire_log_stays_on_the_users_side_beneath_another_layer() {
    let around = |stream| Box::new(Around(stream)) as Box<dyn Stream>;
    let (mut rig, mut peer, id, log) = logged_across(|remoter| remoter.wrap(around));
    let own = WireLog::memory(1 << 20);
    rig.server.remoter_mut(id).unwrap().wrap(around);
    rig.server.remoter_mut(id).unwrap().set_wire_log(Some(own.clone()));
    rig.echoes(&mut peer, id, b"again");
    assert_eq!((log.records().len(), own.records().len()), (4, 2));
}

/// Lets each connection go over as soon as it is opened.
struct Secured(ServerTls, Unread);

impl Service for Secured {
    fn opened(&mut self, session: &mut Session<'_>) {
        session.upgrade_tls(&self.0, self.1).unwrap();
    }

    fn filters(&self) -> bool {
        false
    }
}

/// What has come with a connection is shown to a service once it was opened. That was put back as plaintext, also where it was the peer's TLS, and could be
/// read as if it had come protected.
#[test]
fn regression_what_came_with_a_connection_is_no_plaintext_once_it_goes_over() {
    for unread in [Unread::IsTls, Unread::MustBeEmpty] {
        let mut rig = TlsRig::new();
        let mut client = connect(rig.plain);
        let mut peer = Peer::over(client.try_clone().unwrap(), &rig.client, "server.test");
        let mut hello = Vec::new();
        peer.tls.write_tls(&mut hello).unwrap();
        client.set_nonblocking(false).unwrap();
        send(&mut client, &hello);
        client.set_nonblocking(true).unwrap();
        // It is told of together with its bytes.
        while rig.server.counters().bytes_in == 0 {
            rig.server.wait(Some(Duration::from_millis(5)));
            rig.server.service();
        }
        let mut service = Secured(rig.tls.clone(), unread);
        rig.server.serve(&mut service);
        let id = rig.server.at(&client.local_addr().unwrap().into());
        if unread == Unread::IsTls {
            let id = id.unwrap();
            assert!(rig.server.remoter(id).unwrap().rx().is_empty());
            rig.drive(&mut peer, |rig, peer| {
                rig.log.contains(&Event::Upgraded(id)) && peer.is_live()
            });
            rig.echoes(&mut peer, id, b"hello");
        } else {
            let event = rig.until(|event| matches!(event, Event::Closed(..)));
            let Event::Closed(id, reason) = event else { unreachable!() };
            assert_eq!(reason, CloseReason::Handshake(Failure::Plaintext));
            assert!(rig.server.remoter(id).unwrap().rx().is_empty());
        }
    }
}
