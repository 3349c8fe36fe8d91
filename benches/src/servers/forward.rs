//! Forwarders under test: ours, and those that people use. All forward each connection to one port of 127.0.0.1.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tymist::net::Listen;
use tymist::{Config, Connect, Event, Relay, Server};

use crate::Outcome;
use crate::machine::{Seat, take_seat};
use crate::servers::{BACKLOG, announce};

/// Which forwarder.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Forwarder {
    /// HAProxy in TCP mode, one thread, its defaults otherwise.
    Haproxy,
    /// socat with its defaults: a process per connection, 8 KiB at a time.
    Socat,
    /// The same with 64 KiB at a time.
    Socat64,
    /// `Server` with a `Relay`, limits as in the example `forward`.
    Tymist,
}

const NAMES: [(Forwarder, &str); 4] = [
    (Forwarder::Haproxy, "haproxy"),
    (Forwarder::Socat, "socat"),
    (Forwarder::Socat64, "socat-64k"),
    (Forwarder::Tymist, "tymist"),
];

impl FromStr for Forwarder {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|pair| pair.1 == name);
        found.map(|pair| pair.0).ok_or_else(|| format!("no forwarder named {name}"))
    }
}

impl fmt::Display for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|pair| pair.0 == *self).map_or("", |pair| pair.1))
    }
}

impl Forwarder {
    /// Whether its program is installed.
    pub fn at_hand(self) -> bool {
        let (program, flag) = match self {
            Forwarder::Haproxy => ("haproxy", "-v"),
            Forwarder::Socat | Forwarder::Socat64 => ("socat", "-V"),
            Forwarder::Tymist => return true,
        };
        Command::new(program).arg(flag).stdout(Stdio::null()).status().is_ok()
    }
}

/// Runs a forwarder until it is killed: `forward KIND TARGET`. Prints its port, at which it listens soon.
pub fn main(arguments: &[OsString]) -> Outcome<()> {
    let [kind, target] = arguments else { return Err("a forwarder and a port are due".into()) };
    let kind: Forwarder = kind.to_str().unwrap_or("").parse()?;
    let target: u16 = target.to_str().unwrap_or("").parse()?;
    take_seat(Seat::Server)?;
    set_pdeathsig(Signal::SIGKILL)?;
    if kind == Forwarder::Tymist {
        return tymist(target);
    }
    // Nobody else is in this network namespace.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    announce(port);
    let mut command = match kind {
        Forwarder::Haproxy => haproxy(port, target)?,
        _ => socat(port, target, kind == Forwarder::Socat64),
    };
    // What they say when their ends are gone is of no use to anybody.
    Err(command.stdout(Stdio::null()).stderr(Stdio::null()).exec().into())
}

/// Where the HAProxy that this process becomes has its configuration.
pub fn haproxy_config(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("versus-haproxy-{pid}.cfg"))
}

fn haproxy(port: u16, target: u16) -> Outcome<Command> {
    let path = haproxy_config(std::process::id());
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
         listen f\n  bind 127.0.0.1:{port}\n  server s 127.0.0.1:{target}\n"
    );
    std::fs::write(&path, text)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-q", "-f"]).arg(path);
    Ok(command)
}

fn socat(port: u16, target: u16, large: bool) -> Command {
    let mut command = Command::new("socat");
    if large {
        command.args(["-b", "65536"]);
    }
    command.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,backlog=1024,nodelay"));
    command.arg(format!("TCP:127.0.0.1:{target},nodelay"));
    command
}

/// As in `examples/forward.rs`.
fn config() -> Config {
    let mut config = Config::new();
    config.limits.rx_bytes = 128 << 10;
    config.limits.tx_bytes = 128 << 10;
    config.limits.tick_bytes = 512 << 10;
    config.timeouts.idle = Some(Duration::from_secs(3600));
    config
}

fn tymist(target: u16) -> Outcome<()> {
    let mut server = Server::new(config());
    let mut listen: Listen = "127.0.0.1:0".parse()?;
    listen.backlog = BACKLOG.unsigned_abs();
    let acceptor = server.listen(listen)?;
    let addr = server.local_addr(acceptor).and_then(|addr| addr.inet()).ok_or("no address")?;
    announce(addr.port());
    let mut relay = Relay::new();
    loop {
        server.wait(None);
        server.service();
        while let Some(event) = server.poll_event() {
            if let Event::Accepted(id) = event {
                let there = server.connect(Connect::new((Ipv4Addr::LOCALHOST, target)))?;
                relay.join(&mut server, id, there)?;
            }
            relay.handle(&mut server, &event);
        }
    }
}
