//! hyper, unmodified, in a simulated world under faults: the same hash for the same options in every process.
//!
//!     cargo run --release --features hyper,sim --example hyper_in_sim -- --seed 7 --faults heavy
//!
//! A server speaks HTTP/1 on one port and HTTP/2 on another; clients post bodies, check what comes back, and dial again when they lose their connection.

#[path = "common/cli.rs"]
mod cli;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cli::{Args, Result, print};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use tymist::Config;
use tymist::net::Addr;
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, HostId, Link, Rng, World, WorldSpec};
use tymist::tasks::{Handle, TaskStream, Tasks};
use tymist::tyme::Tyme;

const USAGE: &str = "usage: hyper_in_sim [--seed N] [--faults none|light|heavy] [--minutes N]";
/// Clients of each version.
const CLIENTS: usize = 4;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn port(self) -> u16 {
        if self == Version::One { 80 } else { 8080 }
    }
}

/// What the clients of a version have seen.
#[derive(Default)]
struct Tally {
    ok: u64,
    failed: u64,
    wrong: u64,
}

type Count = Rc<RefCell<Tally>>;

// The server.

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(body.iter().rev().copied().collect())))
}

async fn serve(handle: Handle, version: Version) {
    let Ok(mut listener) = handle.listen(([0, 0, 0, 0], version.port())) else { return };
    while let Ok(stream) = listener.accept().await {
        drop(handle.spawn(serve_one(handle.clone(), version, stream)));
    }
}

/// `Date` would be the real one, so it is left out; all else goes by tyme already.
async fn serve_one(handle: Handle, version: Version, stream: TaskStream) -> hyper::Result<()> {
    match version {
        Version::One => {
            let mut http = server::conn::http1::Builder::new();
            http.auto_date_header(false).timer(handle.hyper_timer());
            http.serve_connection(stream, service_fn(answer)).await
        }
        Version::Two => {
            let mut http = server::conn::http2::Builder::new(handle.clone());
            http.auto_date_header(false).timer(handle.hyper_timer());
            http.keep_alive_interval(PATIENCE);
            http.serve_connection(stream, service_fn(answer)).await
        }
    }
}

// The clients.

enum Sender {
    One(client::conn::http1::SendRequest<Full<Bytes>>),
    Two(client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn dial(handle: &Handle, version: Version, target: &Addr) -> Option<Sender> {
        let stream = handle.connect(target).await.ok()?;
        match version {
            Version::One => {
                let (sender, connection) = client::conn::http1::handshake(stream).await.ok()?;
                drop(handle.spawn(connection));
                Some(Sender::One(sender))
            }
            Version::Two => {
                let mut http = client::conn::http2::Builder::new(handle.clone());
                http.timer(handle.hyper_timer()).keep_alive_interval(PATIENCE);
                // It remembers streams that it reset for a second of real time: not here.
                http.max_concurrent_reset_streams(0);
                let (sender, connection) = http.handshake(stream).await.ok()?;
                drop(handle.spawn(connection));
                Some(Sender::Two(sender))
            }
        }
    }

    async fn post(&mut self, body: Bytes) -> Option<Bytes> {
        let request = Request::post("/").header("host", "server").body(Full::new(body)).ok()?;
        let response = match self {
            Sender::One(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await.ok()?
            }
            Sender::Two(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await.ok()?
            }
        };
        Some(response.into_body().collect().await.ok()?.to_bytes())
    }
}

async fn ask(handle: Handle, version: Version, target: Addr, mut rng: Rng, count: Count) {
    loop {
        handle.sleep(Duration::from_millis(rng.below(1000))).await;
        let dial = Sender::dial(&handle, version, &target);
        let Ok(Some(mut sender)) = handle.timeout(PATIENCE, dial).await else { continue };
        for _ in 0..rng.between(1, 50) {
            let mut body = vec![0; usize::try_from(rng.below(20_000)).unwrap_or(0)];
            rng.fill(&mut body);
            let wanted: Bytes = body.iter().rev().copied().collect();
            let answer = handle.timeout(PATIENCE, sender.post(body.into())).await;
            match answer.ok().flatten() {
                Some(answer) if answer == wanted => count.borrow_mut().ok += 1,
                Some(_) => count.borrow_mut().wrong += 1,
                None => {
                    count.borrow_mut().failed += 1;
                    break;
                }
            }
            handle.sleep(Duration::from_millis(rng.below(100))).await;
        }
    }
}

// The world.

struct Options {
    seed: u64,
    /// Of each call that some fault befalls it, roughly.
    faults: f64,
    minutes: u64,
}

fn options() -> Result<Options> {
    let mut options = Options { seed: 1, faults: 0.01, minutes: 10 };
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "seed" => options.seed = args.value()?,
            "minutes" => options.minutes = args.number(0..=100_000)?,
            "faults" => {
                options.faults = match &*args.text()? {
                    "none" => 0.0,
                    "light" => 0.01,
                    "heavy" => 0.1,
                    other => return Err(args.refuse_value(other, "none, light or heavy")),
                };
            }
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

fn weather(world: &mut World, options: &Options, hosts: &[HostId]) {
    let chance = options.faults;
    if chance == 0.0 {
        return;
    }
    let rules = [
        Rule::new("short reads and writes", Effect::Short(50)).chance(chance),
        Rule::new("would block", Effect::WouldBlock).chance(chance),
        Rule::new("resets", Effect::Reset).chance(chance / 100.0),
    ];
    for rule in rules {
        world.rule(rule.optional());
    }
    let mut dice = world.rng("incidents");
    for minute in 0..options.minutes {
        let from = Tyme::from_secs(60 * minute + dice.below(40));
        let until = from + Duration::from_secs(dice.between(3, 15));
        world.plan(from, Act::Partition(Cut::draw(&mut dice, hosts)));
        world.plan(until, Act::Heal);
        if minute % 3 == 1 {
            world.plan(until, Act::Crash(hosts[0]));
            world.plan(until + Duration::from_secs(2), Act::Restart(hosts[0]));
        }
    }
}

fn main() -> ExitCode {
    cli::run(program)
}

fn program() -> Result<()> {
    let options = options()?;
    let mut spec = WorldSpec::new(options.seed);
    spec.link = Link::new(Duration::from_millis(10));
    if options.faults > 0.0 {
        spec.link.jitter = Duration::from_millis(5);
        spec.link.loss = options.faults / 5.0;
    }
    let mut world = World::with(spec);
    let mut hosts = vec![world.add("server", |host| {
        let tasks = Tasks::on_host(host, Config::new());
        for version in [Version::One, Version::Two] {
            drop(tasks.handle().spawn(serve(tasks.handle(), version)));
        }
        tasks
    })];
    let ip = world.resolve("server")[0];
    let counts = [Version::One, Version::Two].map(|version| (version, Count::default()));
    for (version, count) in &counts {
        for number in 0..CLIENTS {
            let name = format!("client {version:?} {number}");
            let (version, rng, count) = (*version, world.rng(&name), Rc::clone(count));
            hosts.push(world.add(name.as_str(), move |host| {
                let tasks = Tasks::on_host(host, Config::new());
                let target = Addr::from((ip, version.port()));
                let asks = ask(tasks.handle(), version, target, rng.clone(), Rc::clone(&count));
                drop(tasks.handle().spawn(asks));
                tasks
            }));
        }
    }
    weather(&mut world, &options, &hosts);
    let told = cli::told_to_end()?;
    let mut minute = 0;
    while !told.load(Ordering::Relaxed) {
        minute = options.minutes.min(minute + 1);
        world.run_until(Tyme::from_secs(60 * minute));
        if minute == options.minutes {
            break;
        }
    }
    if minute < options.minutes {
        cli::say(format_args!("ended by a signal after {minute} minutes"));
    } else {
        world.all_fired()?;
    }

    let mut wrong = 0;
    for (name, (_, count)) in ["HTTP/1", "HTTP/2"].iter().zip(&counts) {
        let tally = count.borrow();
        print(format_args!(
            "{name}: {} ok, {} failed, {} wrong",
            tally.ok, tally.failed, tally.wrong
        ))?;
        wrong += tally.wrong;
    }
    print(format_args!("packets: {}, faults: {}", world.stats().packets, world.stats().faults))?;
    print(format_args!("hash: {:016x}", world.hash()))?;
    if wrong > 0 { Err(format!("{wrong} answers were wrong").into()) } else { Ok(()) }
}
