//! The load generator: a process of its own, on a core of its own. Closed loop, and every reply is checked.

mod churn;
mod clients;
mod echo;
mod grams;

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lexopt::prelude::{Long, Value, ValueExt as _};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::machine::{Clocks, Seat, take_seat};
use crate::pattern::Pattern;
use crate::process::{Helper, Server, read_figures};
use crate::rounds::Sample;
use crate::servers::announce;

/// What to do to a server.
#[derive(Copy, Clone, Debug)]
pub struct Load {
    pub mode: Mode,
    /// Connections at once.
    pub connections: usize,
    /// Further connections that exchange one message and are quiet from then on.
    pub idle: usize,
    /// Bytes in a message.
    pub size: usize,
    /// Messages under way on a connection.
    pub depth: usize,
    /// How long to run before the measurement.
    pub warm_up: Duration,
    /// How long to measure.
    pub window: Duration,
}

/// The ways of being a load.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Connections stay and exchange messages.
    Echo,
    /// Each connection exchanges one message and is closed.
    Churn,
    /// Datagrams are sent and come back.
    Grams,
    /// As `Echo`, made by tymist's `Clients`, the idle ones too.
    Clients,
    /// Only the idle ones: tells when they are there, and holds them until its standard input ends.
    Hold,
}

const MODES: [(Mode, &str); 5] = [
    (Mode::Echo, "echo"),
    (Mode::Churn, "churn"),
    (Mode::Grams, "grams"),
    (Mode::Clients, "clients"),
    (Mode::Hold, "hold"),
];

impl Load {
    /// A load of `connections` times `depth` messages of `size` bytes.
    pub fn echo(connections: usize, size: usize, depth: usize, window: Duration) -> Self {
        let warm_up = (window / 5).max(Duration::from_millis(100));
        Load { mode: Mode::Echo, connections, idle: 0, size, depth, warm_up, window }
    }

    /// Starts the process that puts this load on a server.
    pub fn start(&self, port: u16, pid: u32) -> Outcome<Helper> {
        let mode = MODES.iter().find(|pair| pair.0 == self.mode).map_or("", |pair| pair.1);
        let numbers = [
            port.into(),
            pid as usize,
            self.connections,
            self.idle,
            self.size,
            self.depth,
            self.warm_up.as_millis() as usize,
            self.window.as_millis() as usize,
        ];
        let mut arguments = vec!["load".to_owned(), mode.to_owned()];
        arguments.extend(numbers.iter().map(ToString::to_string));
        Helper::start(&arguments)
    }

    /// Puts this load on a fresh server and says what came of it. `unit` is how many units (bytes, say) there are in a message.
    pub fn measure(&self, kind: crate::servers::Kind, unit: f64) -> Outcome<Sample> {
        let mut server = Server::start(kind)?;
        let mut load = self.start(server.port, server.pid())?;
        let line = load.line();
        // Whatever went wrong with the load: a server that is gone is the better answer.
        server.lives()?;
        let line = line?;
        load.finish()?;
        server.stop()?;
        let figures = read_figures(&line)?;
        if std::env::var_os("VERSUS_TRACE").is_some() {
            eprintln!("  {kind}: {line}");
        }
        let figure = |name: &str| figures.get(name).copied().ok_or_else(|| format!("no {name}"));
        let units = figure("messages")? * unit;
        if units <= 0.0 {
            return Err(format!("`{kind}` answered nothing").into());
        }
        Ok(Sample {
            cost: figure("server")? / units,
            own: figure("own")? / units,
            rate: units / figure("wall")? * 1e9,
            quiet: figure("others")? < 0.10 && figure("stolen")? < 0.02 && figure("waited")? < 0.03,
        })
    }
}

/// The load process: `load MODE PORT PID CONNECTIONS IDLE SIZE DEPTH WARM-UP WINDOW`.
pub fn main(arguments: &[OsString]) -> Outcome<()> {
    let mut parser = lexopt::Parser::from_args(arguments.iter().cloned());
    let mut values = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) => values.push(value.string()?),
            Long(_) | lexopt::Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    let [name, numbers @ ..] = values.as_slice() else { return Err("no mode".into()) };
    let mode = MODES.iter().find(|pair| pair.1 == name).ok_or("no such mode")?.0;
    let numbers: Vec<u64> = numbers.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [port, pid, connections, idle, size, depth, warm_up, window] = numbers[..] else {
        return Err("eight numbers are due".into());
    };
    let load = Load {
        mode,
        connections: connections as usize,
        idle: idle as usize,
        size: size as usize,
        depth: depth as usize,
        warm_up: Duration::from_millis(warm_up),
        window: Duration::from_millis(window),
    };
    take_seat(Seat::Load)?;
    set_pdeathsig(Signal::SIGKILL)?;
    let (port, pid) = (port as u16, pid as u32);
    let pattern = Pattern::new();
    let apart = if mode == Mode::Clients { 0 } else { load.idle };
    let held = hold(apart, load.size, port, &pattern)?;
    match mode {
        Mode::Echo => echo::run(&load, port, pid, &pattern)?,
        Mode::Churn => churn::run(&load, port, pid, &pattern)?,
        Mode::Grams => grams::run(&load, port, pid, &pattern)?,
        Mode::Clients => clients::run(&load, port, pid, &pattern)?,
        Mode::Hold => {
            announce("holding");
            std::io::stdin().read_to_end(&mut Vec::new())?;
        }
    }
    drop(held);
    Ok(())
}

/// Opens connections that each exchange one message, one after the other.
fn hold(count: usize, size: usize, port: u16, pattern: &Pattern) -> Outcome<Vec<TcpStream>> {
    let mut reply = vec![0; size];
    let mut held = Vec::with_capacity(count);
    for index in 0..count {
        let mut stream = connect(index, port)?;
        let message = pattern.at(index, 0, size);
        stream.write_all(message)?;
        stream.read_exact(&mut reply)?;
        check(&reply, message)?;
        held.push(stream);
    }
    Ok(held)
}

/// Address that connection `index` comes from: several, so that the ports of one never run out.
fn source(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + (index % 32) as u8), 0))
}

/// A socket bound to the source address of connection `index`, not yet connected.
fn socket(index: usize) -> Outcome<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    // The port is chosen at connect, where it only has to be free towards that one peer.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(&source(index).into())?;
    Ok(socket)
}

/// A blocking connection.
pub fn connect(index: usize, port: u16) -> Outcome<TcpStream> {
    let socket = socket(index)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// Fails on a wrong reply.
fn check(reply: &[u8], expected: &[u8]) -> Outcome<()> {
    if reply == expected { Ok(()) } else { Err("a reply is not what was sent".into()) }
}

/// Warm-up, window, and the clocks at both of its ends.
#[derive(Debug)]
struct Watch {
    server: u32,
    opens: Instant,
    closes: Instant,
    window: Duration,
    start: Option<(Clocks, u64)>,
}

impl Watch {
    fn new(load: &Load, server: u32) -> Self {
        let opens = Instant::now() + load.warm_up;
        Watch { server, opens, closes: opens + load.window, window: load.window, start: None }
    }

    /// Looks at the time, with `messages` exchanged so far; true when the window is over, whose figures are then announced.
    fn over(&mut self, messages: u64) -> Outcome<bool> {
        let now = Instant::now();
        match &self.start {
            None if now >= self.opens => {
                let clocks = Clocks::read(self.server)?;
                self.closes = Instant::now() + self.window;
                self.start = Some((clocks, messages));
            }
            Some((start, before)) if now >= self.closes => {
                let span = Clocks::read(self.server)?.since(start);
                announce(format_args!(
                    "messages={} wall={} server={} own={} others={:.4} stolen={:.4} waited={:.4}",
                    messages - before,
                    span.wall.as_nanos(),
                    span.server.as_nanos(),
                    span.own.as_nanos(),
                    span.others,
                    span.stolen,
                    span.waited
                ));
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// How long a wait may last.
    fn left(&self) -> Duration {
        let end = if self.start.is_none() { self.opens } else { self.closes };
        end.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
    }
}
