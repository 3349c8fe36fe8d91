//! An echo server, clients of it and one that reports, as doers of one Doist; for those who come from hio.
//!
//!     cargo run --example doers -- --port 7005                 # in real time, until a signal; talk to it yourself, too
//!     cargo run --example doers -- --seconds 5
//!     cargo run --features sim --example doers -- --simulated --seconds 3600 --seed 7
//!
//! Each client is a doer with an engine of its own here, and has its turn in each cycle: `--clients 10000` works where 50,016 descriptors may be open
//! (`ulimit -n`), and is slow. A program that dials so many has them in one `Clients`, as the example `load`.

#[path = "../common/mod.rs"]
mod common;

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Args, DRAIN, Result, print, say};
use tymist::doing::{DoError, Doer, Doist, Echo, Handle, Recur, ServerDoer};
use tymist::net::os::OsNet;
use tymist::net::{Addr, Descriptor};
use tymist::tyme::{Tyme, Tymist, Tymth};
use tymist::{Client, Config, Connect, Event, Server, Service, Wake};

const USAGE: &str = "usage: doers [--host NAME] [--port N] [--clients N] [--beat SECS] [--seconds SECS] \
                     [--simulated] [--seed N]";

/// What a client takes: its socket, the server's, and three for the engine of its own.
const DESCRIPTORS: usize = 5;

struct Options {
    bind: common::Bind,
    clients: usize,
    beat: Duration,
    limit: Option<Duration>,
    simulated: bool,
    seed: u64,
}

fn options() -> Result<Options> {
    let mut options = Options {
        bind: common::Bind::default(),
        clients: 3,
        beat: Duration::from_millis(500),
        limit: None,
        simulated: false,
        seed: 1,
    };
    let (mut args, mut clients) = (Args::new(USAGE), None);
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "clients" => clients = Some(args.number(0..=10_000)?),
            "beat" => options.beat = args.secs()?,
            "seconds" => options.limit = args.secs_or_none()?,
            "simulated" => options.simulated = true,
            "seed" => options.seed = args.value()?,
            _ => return Err(args.unknown()),
        }
    }
    if let Some(clients) = clients {
        if !options.simulated {
            args.spare_descriptors("--clients", clients, DESCRIPTORS)?;
        }
        options.clients = clients;
    }
    Ok(options)
}

/// What the clients have counted, all together.
#[derive(Default)]
struct Score {
    sent: Cell<u64>,
    answered: Cell<u64>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Says a number on each beat, and expects them back in order: a doer around a client, which is one itself.
struct Talk {
    client: Client,
    beat: Duration,
    next: Tyme,
    /// The last that was said.
    message: u64,
    /// The next that is to come back.
    due: u64,
    score: Rc<Score>,
}

impl Talk {
    fn event(&mut self, event: &Event) {
        match event {
            // What was under way on an earlier connection is lost.
            Event::Connected(_) => self.due = self.message + 1,
            Event::Received(_) => {
                while self.client.rx().len() >= 8 {
                    assert_eq!(
                        self.client.rx()[..8],
                        self.due.to_be_bytes(),
                        "something else came back"
                    );
                    self.client.consume(8);
                    self.due += 1;
                    add(&self.score.answered);
                }
            }
            _ => {}
        }
    }
}

impl Doer for Talk {
    fn enter(&mut self, tymth: &Tymth) -> std::result::Result<(), DoError> {
        self.client.enter(tymth)
    }

    fn recur(&mut self, now: Tyme) -> std::result::Result<Recur, DoError> {
        self.client.service();
        while let Some(event) = self.client.poll_event() {
            self.event(&event);
        }
        if self.client.connected() && now >= self.next {
            self.message += 1;
            self.next = now + self.beat;
            // It is connected: it takes the eight bytes.
            if self.client.tx(&self.message.to_be_bytes()).is_ok() {
                add(&self.score.sent);
            }
        }
        self.client.service_sends(); // else it leaves in the next turn
        Ok(Recur::Again)
    }

    fn exit(&mut self) -> std::result::Result<(), DoError> {
        self.client.exit()
    }

    fn wake(&self) -> Wake {
        let beat = if self.client.connected() { Wake::At(self.next) } else { Wake::OnIo };
        self.client.wake().min(beat)
    }

    fn descriptors(&self, into: &mut Vec<Descriptor>) {
        self.client.descriptors(into);
    }
}

/// Tells once a second how it goes.
struct Reporter {
    score: Rc<Score>,
    since: Tyme,
}

impl Doer for Reporter {
    fn enter(&mut self, tymth: &Tymth) -> std::result::Result<(), DoError> {
        self.since = tymth.tyme();
        Ok(())
    }

    fn recur(&mut self, now: Tyme) -> std::result::Result<Recur, DoError> {
        let Score { sent, answered } = &*self.score;
        say(format_args!(
            "after {:?}: {} sent, {} answered",
            now - self.since,
            sent.get(),
            answered.get()
        ));
        Ok(Recur::Again)
    }

    fn tock(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo // it has a beat
    }
}

/// Echoes until the signal has come, by which the loop was woken; ends the Doist once what has come is echoed.
struct Serve {
    echo: Echo,
    told: Arc<AtomicBool>,
    stop: Handle,
    ending: common::Ending,
    /// When it is to look whose echo is out, once it ends.
    look: Option<Tyme>,
    over: bool,
}

impl Service for Serve {
    fn filters(&self) -> bool {
        false
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        if matches!(event, Event::DrainEnded { .. }) {
            self.over = true;
            self.stop.stop();
        }
        self.echo.event(server, event);
    }

    fn tick(&mut self, server: &mut Server) {
        if self.told.load(Ordering::Acquire) && !self.over {
            self.ending.turn(server, server.tyme());
            self.look = Some(server.tyme() + common::LOOK);
        }
    }

    fn wake(&self) -> Wake {
        self.look.map_or(Wake::OnIo, Wake::At)
    }
}

/// The doers, whatever network they are on: a server that listens already, and clients for it.
fn cast(
    server: Server,
    clients: impl Iterator<Item = Client>,
    beat: Duration,
    score: &Rc<Score>,
) -> (Doist, Arc<AtomicBool>) {
    let mut doist = Doist::new();
    let (told, stop) = (Arc::new(AtomicBool::new(false)), doist.handle());
    let serve = Serve {
        echo: Echo::new(),
        told: Arc::clone(&told),
        stop,
        ending: common::Ending::new(DRAIN),
        look: None,
        over: false,
    };
    doist.add(ServerDoer::new(server, serve));
    // The clients are a group of their own.
    let mut group = Doist::new();
    for client in clients {
        let score = Rc::clone(score);
        group.add(Talk { client, beat, next: Tyme::ZERO, message: 0, due: 1, score });
    }
    if !group.is_empty() {
        doist.add(group);
    }
    (doist, told)
}

fn connect(target: &Addr) -> Connect {
    Connect::new(target.clone()).reconnectable()
}

fn run(options: &Options) -> Result<()> {
    let mut server = Server::with_net(Config::new(), Box::new(OsNet::new()));
    let acceptor = options.bind.listen(&mut server)?;
    let addr = server.local_addr(acceptor).cloned().ok_or("it does not listen")?;
    let target = addr.reachable();
    let clients = (0..options.clients).map(|_| Client::new(Config::new(), connect(&target)));

    let score = Rc::new(Score::default());
    let (mut doist, told) = cast(server, clients, options.beat, &score);
    doist.limit = options.limit;
    common::tell_on_signal(&told, doist.waker()?)?;
    print(format_args!("listening on {addr}"))?;
    doist.add(Reporter { score: Rc::clone(&score), since: Tyme::ZERO });
    let finish = doist.run(&mut Tymist::realtime())?;
    // Whoever has read the line above may read no more.
    say(format_args!("{finish:?}: {} sent, {} answered", score.sent.get(), score.answered.get()));
    Ok(())
}

#[cfg(feature = "sim")]
#[expect(clippy::expect_used, reason = "a fresh host has all its ports")]
fn simulate(options: &Options) -> Result<()> {
    use tymist::doing::Finish;
    use tymist::sim::{Link, World};

    let mut world = World::new(options.seed);
    let host = world.add_host("host");
    let mut link = Link::default();
    link.jitter = Duration::from_millis(20);
    link.loss = 0.01;
    world.set_route(host, host, link);
    let score = Rc::new(Score::default());
    let limit = options.limit.unwrap_or(Duration::from_secs(60));
    let (beat, clients, shared) = (options.beat, options.clients, Rc::clone(&score));
    world.start(host, move |host| {
        let mut server = Server::with_net(Config::new(), host.net());
        let acceptor = server.listen(([0, 0, 0, 0], 0)).expect("a fresh host has all its ports");
        let port = server.acceptor(acceptor).and_then(|one| one.local_addr().port());
        let target = Addr::from((host.addrs()[0], port.unwrap_or_default()));
        let new = |_| Client::with_net(Config::new(), host.net(), connect(&target));
        let (mut doist, _) = cast(server, (0..clients).map(new), beat, &shared);
        doist.limit = Some(limit);
        doist
    });
    world.run_until(Tyme::ZERO + limit + Duration::from_secs(1));
    let finish = world.program::<Doist>(host).and_then(Doist::finish);
    print(format_args!("hash {:#018x}", world.hash()))?;
    print(format_args!(
        "{:?}: {} sent, {} answered",
        finish.unwrap_or(Finish::Stopped),
        score.sent.get(),
        score.answered.get()
    ))
}

#[cfg(not(feature = "sim"))]
fn simulate(_: &Options) -> Result<()> {
    Err("it was built without the feature sim".into())
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = options()?;
    if options.simulated { simulate(&options) } else { run(&options) }
}
