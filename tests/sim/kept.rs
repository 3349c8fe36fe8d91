//! A trace file that was kept is read by each later version, and exported byte for byte as it was then: as text, as a timeline, for Wireshark.
//!
//! After a change that is wanted, `TYMIST_KEEP=1 cargo test --all-features --test sim kept` writes the exports anew; look at them before you commit them. The
//! trace itself stays, but where its version changes (`TYMIST_KEEP=all`).

use std::fmt::Write as _;
use std::net::Shutdown;
use std::path::PathBuf;

use crate::sim_util::programs::{Echo, Pinger};
use crate::sim_util::*;
use tymist::net::{Addr, Bind, Dial, GramOption, Interface, KeepAlive, Listen};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Errno, HostSpec, Link, Op, Trace, Tracing, World, WorldSpec};
use tymist::tyme::Tyme;

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "sim", "kept", name].iter().collect()
}

fn keeping() -> Option<String> {
    std::env::var("TYMIST_KEEP").ok()
}

fn kept_trace() -> Trace {
    if keeping().as_deref() == Some("all") {
        let mut file = Vec::new();
        everything().write_to(&mut file).unwrap();
        std::fs::write(path("everything.trace"), file).unwrap();
    }
    Trace::read_from(&std::fs::read(path("everything.trace")).unwrap()[..]).unwrap()
}

/// Compares with what was kept; says where they part.
fn same(name: &str, made: &[u8]) {
    if keeping().is_some() {
        std::fs::write(path(name), made).unwrap();
    }
    let kept = std::fs::read(path(name)).unwrap();
    let part = kept.iter().zip(made).position(|(kept, made)| kept != made);
    let part = part.or_else(|| (kept.len() != made.len()).then(|| kept.len().min(made.len())));
    let around = |bytes: &[u8], at: usize| {
        let piece = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
        String::from_utf8_lossy(piece).into_owned()
    };
    if let Some(at) = part {
        panic!(
            "{name} differs at byte {at}\nkept: {}\nmade: {}",
            around(&kept, at),
            around(made, at)
        );
    }
}

#[test]
fn a_kept_trace_reads_as_it_did() {
    let trace = kept_trace();
    let mut text = String::new();
    writeln!(text, "seed {}, {} records, hash {:016x}", trace.seed(), trace.len(), trace.hash())
        .unwrap();
    trace.records().for_each(|record| writeln!(text, "{record}").unwrap());
    trace.records().for_each(|record| writeln!(text, "{:?}", record.what).unwrap());
    same("everything.txt", text.as_bytes());
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    assert_eq!(file, std::fs::read(path("everything.trace")).unwrap());
}

#[test]
fn a_kept_trace_is_drawn_as_it_was() {
    let trace = kept_trace();
    let page = |from: Tyme, limit: usize| {
        let mut page = Vec::new();
        trace.write_timeline(&mut page, from, limit).unwrap();
        page
    };
    same("everything.html", &page(Tyme::ZERO, usize::MAX));
    // From the middle, and not to the end.
    same("piece.html", &page(Tyme::from_secs(2), 25));
    let mut empty = Vec::new();
    World::new(1).trace().write_timeline(&mut empty, Tyme::ZERO, 10).unwrap();
    same("empty.html", &empty);
}

#[test]
fn a_kept_trace_is_exported_as_it_was() {
    let mut file = Vec::new();
    kept_trace().write_pcapng(&mut file).unwrap();
    same("everything.pcapng", &file);
}

#[test]
fn a_difference_is_told_as_it_was() {
    let trace = kept_trace();
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    let cut = Trace::read_from(&file[..file.len() / 2]);
    let mut text = format!("{:?}\n", cut.map(|_| ()).map_err(|error| error.to_string()));
    for other in [World::new(1).trace(), everything_else()] {
        for (one, two) in [(&trace, &other), (&other, &trace)] {
            writeln!(text, "{}", one.first_difference(two).unwrap()).unwrap();
        }
    }
    assert_eq!(trace.first_difference(&trace), None);
    writeln!(text, "{trace:?}").unwrap();
    same("differences.txt", text.as_bytes());
}

/// Begins as the other does.
fn everything_else() -> Trace {
    let trace = kept_trace();
    let mut file = Vec::new();
    trace.write_to(&mut file).unwrap();
    // Without its last record, whose length stands before it.
    let lengths: Vec<usize> = {
        let (mut at, mut starts) = (16, Vec::new());
        while at < file.len() {
            starts.push(at);
            let mut len = 0;
            let mut shift = 0;
            loop {
                let byte = file[at];
                at += 1;
                len |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            at += len;
        }
        starts
    };
    Trace::read_from(&file[..*lengths.last().unwrap()]).unwrap()
}

/// A run with something of everything that can be written down.
fn everything() -> Trace {
    let mut spec = WorldSpec::new(42);
    spec.tracing = Tracing::Full;
    let mut server = HostSpec::new("server");
    server.gram_buffer = 2000;
    let mut pair = Pair::with(spec, server, HostSpec::new("client"));
    streams(&mut pair);
    datagrams(&mut pair);
    named(&mut pair);
    troubles(&mut pair);
    let echo = pair.world.add("echo", |host| Echo::new(host, 7));
    let pinger = pair.world.add("pinger", |host| Pinger::new(host, "echo", 7, 10 * MS, 3));
    pair.world.rule(Rule::new("slow name", Effect::Stall(millis(30))).on(&[Op::Lookup]).optional());
    pair.run(SECOND);
    pair.world.act(&Act::Pause(echo, SECOND));
    pair.world.act(&Act::Resume(echo));
    pair.world.act(&Act::LoseListener(echo, 7));
    pair.world.act(&Act::Crash(pinger));
    pair.run(millis(50));
    pair.world.act(&Act::Restart(pinger));
    pair.run(millis(50));
    pair.world.trace()
}

fn streams(pair: &mut Pair) {
    let (mut listener, mut dialled, mut accepted) = pair.connection();
    write_all(&mut dialled, b"GET / HTTP/1.0\r\n\r\n");
    pair.run(millis(5));
    drain(&mut accepted).unwrap();
    write_all(&mut accepted, &[b'x'; 500]);
    accepted.shutdown(Shutdown::Write).unwrap();
    pair.run(millis(5));
    drain(&mut dialled).unwrap();
    write_all(&mut dialled, b"bye");
    drop(dialled);
    pair.run(millis(5));
    drop(accepted);
    pair.world.host(pair.server).note("served <one> & \"all\" of 'em");
    let mut refused = pair.dial(81);
    pair.run(millis(5));
    refused.connected().unwrap_err();
    pair.world.act(&Act::Partition(Cut::Isolate(pair.server)));
    let mut late = pair.dial(80);
    pair.run(millis(1500));
    pair.world.act(&Act::Heal);
    pair.run(2 * SECOND);
    assert!(late.connected().unwrap());
    pair.world.rule(Rule::new("cut", Effect::Reset).on(&[Op::Read]).times(1));
    let mut last = listener.accept().unwrap();
    for _ in 0..2 {
        let _ = last.read(&mut [0; 4]);
    }
    let mut v6 = HostSpec::new("third");
    v6.addrs = vec!["fd00::77".parse().unwrap()];
    let third = pair.world.add_host(v6);
    let mut net = pair.world.host(third).net();
    let mut own = net.listen(&"[::1]:443".parse::<Listen>().unwrap()).unwrap();
    let mut call = net.connect(&Dial::new("[::1]:443".parse::<Addr>().unwrap())).unwrap();
    pair.run(millis(5));
    assert!(call.connected().unwrap());
    write_all(&mut call, "grüß dich".as_bytes());
    call.set_abortive().unwrap();
    drop(call);
    pair.run(millis(5));
    let _ = own.accept().unwrap().read(&mut [0; 4]);
}

fn datagrams(pair: &mut Pair) {
    let mut server = pair.server_net.bind(&Bind::new(([0, 0, 0, 0], 53))).unwrap();
    let mut client = pair.client_net.bind(&Bind::new(([0, 0, 0, 0], 0))).unwrap();
    let (to, nobody) = (pair.target(53), pair.target(54));
    let mut link = Link::new(MS);
    (link.duplicate, link.reorder, link.loss) = (0.3, 0.3, 0.3);
    let (from, server_host) = (pair.client, pair.server);
    pair.world.act(&Act::Relink { from, to: server_host, link });
    for text in ["a", "question", "of a name", "", "asked <twice>"] {
        client.send(text.as_bytes(), &to).unwrap();
    }
    client.send(b"anybody?", &nobody).unwrap();
    client.send(b"nobody", &"10.9.9.9:9".parse().unwrap()).unwrap();
    pair.run(millis(50));
    while server.receive(&mut [0; 64]).is_ok() {}
    pair.world.act(&Act::Relink { from, to: server_host, link: Link::new(MS) });
    let group = "239.1.2.3".parse().unwrap();
    client.set_option(GramOption::Join(group, Interface::Any)).unwrap();
    server.set_option(GramOption::Join(group, Interface::Any)).unwrap();
    server.send(b"to all", &Addr::from((group, client.local_addr().port().unwrap()))).unwrap();
    // More than its buffer holds, and some that pile up.
    for _ in 0..3 {
        client.send(&[7; 700], &to).unwrap();
    }
    pair.run(millis(5));
    pair.world.act(&Act::Clog { from, to: server_host });
    client.send(b"held", &to).unwrap();
    pair.run(millis(5));
    pair.world.act(&Act::Unclog { from, to: server_host });
    let mut link = Link::new(MS);
    (link.bandwidth, link.queue) = (Some(1000), 100);
    pair.world.act(&Act::Relink { from, to: server_host, link });
    for _ in 0..3 {
        client.send(&[7; 60], &to).unwrap();
    }
    pair.world.rule(Rule::new("no room", Effect::Fail(Errno::Enobufs)).on(&[Op::Send]).times(1));
    client.send(b"x", &to).unwrap_err();
    pair.run(SECOND);
    pair.world.act(&Act::Relink { from, to: server_host, link: Link::new(MS) });
}

fn named(pair: &mut Pair) {
    let at = |name: &str| Addr::from(std::path::Path::new(name));
    let mut listener = pair.server_net.listen(&Listen::new(at("/run/a"))).unwrap();
    let mut one = pair.server_net.connect(&Dial::new(at("/run/a"))).unwrap();
    let mut other = listener.accept().unwrap();
    write_all(&mut one, b"local");
    expect_read(&mut other, b"local");
    let mut letters = pair.server_net.bind(&Bind::new(at("/run/b"))).unwrap();
    let mut sender = pair.server_net.bind(&Bind::new(Addr::Unnamed)).unwrap();
    sender.send(b"dear sir", &at("/run/b")).unwrap();
    letters.receive(&mut [0; 16]).unwrap();
}

fn troubles(pair: &mut Pair) {
    let mut listener = pair.listen(8080);
    let mut dial = Dial::new(pair.target(8080));
    dial.socket.keep_alive = Some(KeepAlive { idle: 5 * SECOND, interval: SECOND, retries: 2 });
    let mut dialled = pair.client_net.connect(&dial).unwrap();
    pair.run(millis(5));
    let mut accepted = listener.accept().unwrap();
    pair.world.act(&Act::Partition(Cut::OneWay { from: pair.server, to: pair.client }));
    write_all(&mut accepted, b"lost");
    pair.run(10 * SECOND);
    let _ = dialled.read(&mut [0; 4]);
    pair.world.act(&Act::Heal);
    pair.run(SECOND);
    pair.world.act(&Act::Crash(pair.client));
    let _late = pair
        .server_net
        .connect(&Dial::new(Addr::from((pair.world.host(pair.client).addrs()[0], 1))))
        .unwrap();
    pair.run(millis(5));
    pair.world.act(&Act::Restart(pair.client));
}
