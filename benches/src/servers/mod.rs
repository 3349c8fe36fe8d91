//! The servers under test. All do the same: echo, on 127.0.0.1, without delay, closing when the peer has.

mod hyper_hello;
pub mod forward;
pub mod mio_echo;
mod tasks_echo;
mod tokio_echo;
pub mod tymist_echo;
mod udp_echo;

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::machine::{Seat, take_seat};

/// Connections that may wait to be accepted.
pub const BACKLOG: i32 = 8192;

/// Bytes read at once, by all of them.
pub const SCRATCH: usize = 128 * 1024;

/// Which server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The hand-written one that the others are measured against.
    Mio,
    /// The same again under another name: its ratio tells the noise.
    MioAgain,
    /// One whose waits have an end, as those of a server with deadlines do: its ratio tells what that costs.
    MioTimed,
    /// Current-thread tokio, a task per connection.
    Tokio,
    /// Ours, with every limit, timeout and counter on.
    Tymist,
    /// Ours, sleeping in each wait without a look before: its ratio to the one above tells what looking is worth.
    TymistAsleep,
    /// Ours with a task per connection, as async code.
    Tasks,
    /// hyper on current-thread tokio.
    HyperTokio,
    /// hyper on our tasks.
    HyperTasks,
    /// The same service under a `Manager`, on one thread or two.
    Threads(usize),
    /// Datagrams: a plain loop over mio.
    MioUdp,
    /// Datagrams: ours.
    TymistUdp,
}

const NAMES: [(Kind, &str); 13] = [
    (Kind::Mio, "mio"),
    (Kind::MioAgain, "mio-again"),
    (Kind::MioTimed, "mio-timed"),
    (Kind::Tokio, "tokio"),
    (Kind::Tymist, "tymist"),
    (Kind::TymistAsleep, "tymist-asleep"),
    (Kind::Tasks, "tasks"),
    (Kind::HyperTokio, "hyper-tokio"),
    (Kind::HyperTasks, "hyper-tasks"),
    (Kind::Threads(1), "threads-1"),
    (Kind::Threads(2), "threads-2"),
    (Kind::MioUdp, "mio-udp"),
    (Kind::TymistUdp, "tymist-udp"),
];

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|pair| pair.1 == name);
        found.map(|pair| pair.0).ok_or_else(|| format!("no server named {name}"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|pair| pair.0 == *self).map_or("", |pair| pair.1))
    }
}

/// Runs a server until it is killed: `server KIND [heap]`. Prints its port; with `heap`, then answers each line on standard input
/// with the bytes that its allocator has handed out.
pub fn main(arguments: &[OsString]) -> Outcome<()> {
    let kind: Kind = arguments.first().and_then(|name| name.to_str()).unwrap_or("").parse()?;
    // Several threads of one process share its core, as the load has the other: what a message costs is what is compared.
    take_seat(Seat::Server)?;
    set_pdeathsig(Signal::SIGKILL)?;
    if arguments.len() > 1 {
        // Not while time is measured: with a second thread every allocation and every look at a descriptor costs more.
        std::thread::spawn(|| {
            for _ in std::io::stdin().lock().lines() {
                announce(heap());
            }
        });
    }
    match kind {
        Kind::Mio | Kind::MioAgain => mio_echo::run(None),
        Kind::MioTimed => mio_echo::run(Some(Duration::from_secs(3600))),
        Kind::Tokio => tokio_echo::run(),
        Kind::Tymist => tymist_echo::run(tymist_echo::config()),
        Kind::TymistAsleep => tymist_echo::run(tymist_echo::asleep()),
        Kind::Tasks => tasks_echo::run(),
        Kind::HyperTokio => hyper_hello::run_on_tokio(),
        Kind::HyperTasks => hyper_hello::run_on_tasks(),
        Kind::Threads(engines) => tymist_echo::run_threads(engines),
        Kind::MioUdp => udp_echo::mio(),
        Kind::TymistUdp => udp_echo::tymist(),
    }
}

/// Prints a line that the program that started us waits for.
pub fn announce(what: impl fmt::Display) {
    let mut output = std::io::stdout().lock();
    // Nobody there to read it means nobody to tell.
    let _ = writeln!(output, "{what}").and_then(|()| output.flush());
}

/// A nonblocking listener with the backlog that all servers get.
pub fn listener() -> Outcome<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Bytes in use in the heap, the allocator's own headers included.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heap() -> usize {
    #[expect(unsafe_code, reason = "no safe binding; it only reads the allocator's own counters")]
    // SAFETY: takes no arguments and locks the arenas it reads.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Bytes in use in the heap: unknown here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn heap() -> usize {
    0
}
