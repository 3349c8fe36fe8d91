//! Descriptors really run out. A program of its own, which starts itself again with a low limit.

#![cfg(all(feature = "os", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "how long a wait takes is what is tested")]

mod util;

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use tymist::net::Net;
use tymist::net::os::OsNet;
use tymist::tyme::Tyme;
use tymist::{Config, Event, Server, Wake};
use util::{Rig, connect, receive, send};

const CHILD: &str = "TYMIST_TEST_WITH_FEW_DESCRIPTORS";
const EMFILE: i32 = 24;

#[test]
fn an_acceptor_without_descriptors_rests_while_the_others_are_served() {
    if std::env::var_os(CHILD).is_some() {
        return without_descriptors();
    }
    let name = "an_acceptor_without_descriptors_rests_while_the_others_are_served";
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed") && said.contains("ran out at"), "{said}");
}

#[allow(clippy::print_stdout, reason = "the parent wants to know that it was done")]
fn without_descriptors() {
    let mut rig = Rig::new(Config::new());
    let (mut witness, witness_id) = rig.client();
    let mut fillers: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    println!("ran out at {}", fillers.len());
    assert!(fillers.len() < 64, "the limit was not lowered");

    // One for a client, none for us.
    fillers.pop();
    let mut client = connect(rig.addr);
    let event = rig.until(|event| matches!(event, Event::AcceptPaused { .. }));
    let Event::AcceptPaused { error, until, acceptor } = event else { unreachable!() };
    assert_eq!((error.errno(), acceptor), (Some(EMFILE), rig.acceptor));
    assert_eq!(until, Tyme::ZERO + rig.server.config().timeouts.accept_pause);

    // No spinning, no more events, and the others are served.
    for _ in 0..20 {
        assert_eq!(rig.server.wake(), Wake::At(until));
        assert_eq!(rig.tick_now(), []);
        send(&mut witness, b"ping");
        rig.until_unread(witness_id, 4);
        rig.server.remoter_mut(witness_id).unwrap().take();
        rig.server.tx(witness_id, b"pong").unwrap();
        rig.server.service_sends();
        assert_eq!(receive(&mut witness, 4), b"pong");
    }
    assert_eq!(rig.server.counters().accept_pauses, 1);
    // Nothing can be opened either, and says so.
    let error = rig.server.listen(([127, 0, 0, 1], 0)).unwrap_err();
    assert!(error.to_string().contains("Too many open files"), "{error}");
    assert!(rig.server.opened());

    // A poller that has no timer for far deadlines meets them all the same.
    fillers.truncate(fillers.len() - 2);
    let mut calm = OsNet::new();
    let far = Duration::from_millis(110);
    let before = Instant::now();
    calm.harvest(Some(far), &mut Vec::new()).unwrap();
    let took = before.elapsed();
    assert!(File::open("/dev/null").is_err(), "it has both that were left");
    drop(calm);
    fillers.extend((0..2).map(|_| File::open("/dev/null").unwrap()));
    assert!(took >= far && took < Duration::from_secs(60), "it waited for {took:?}");

    // A wait that cannot have its poller takes a while all the same, so that a loop does not spin; it was over at once.
    let mut unopened = Server::new(Config::new());
    let before = Instant::now();
    for _ in 0..3 {
        unopened.wait(Some(Duration::from_secs(1)));
        unopened.service();
        assert!(matches!(unopened.poll_event(), Some(Event::NetFailed { .. })));
    }
    assert!(before.elapsed() >= Duration::from_millis(30));

    // It tries again, in vain, and again with success: who waited was not forgotten.
    let events = rig.tick_at(until);
    assert!(matches!(events[..], [Event::AcceptPaused { .. }]), "{events:?}");
    drop(fillers);
    rig.tick_after(Duration::from_millis(100));
    rig.until_server(|server| server.len() == 2);
    send(&mut client, b"at last");
    let id = rig.server.at(&client.local_addr().unwrap().into()).unwrap();
    rig.until_unread(id, 7);
}
