//! A TCP forwarder: each connection that comes in is joined to one that is made to the target, with back pressure and half-close both ways.
//!
//!     cargo run --release --example forward -- --listen 127.0.0.1:8000 --to example.org:80
//!
//! With TLS on either side, and PROXY headers (with the feature `proxy-protocol`):
//!
//!     cargo run --example forward -- --port 8443 --tls-listen --cert chain.pem --key key.pem --to 127.0.0.1:8000
//!     cargo run --example forward -- --port 8000 --to example.org:443 --tls-to --ca roots.pem
//!     cargo run --example forward --features proxy-protocol -- --port 8000 --to 127.0.0.1:8001 --proxy-protocol v2

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Args, DRAIN, Result, say};
use tymist::net::Addr;
use tymist::tyme::Tymer;
use tymist::{Config, Connect, Event, Id, Relay, Server, Target};

const USAGE: &str = "usage: forward (--listen ADDR | [--host NAME] [--port N]) --to HOST:PORT [--max N] [--memory BYTES] \
                     [--idle-timeout SECS] \
                     [--connect-timeout SECS] [--stats SECS]";

/// Bytes that may wait at either end, each way: what a pair holds at most is four times this.
const WAITING: usize = 128 << 10;
/// Bytes read in a tick before the next write: few enough to be in the processor's cache by then.
const TICK: usize = 512 << 10;

struct Options {
    bind: common::Bind,
    to: Connect,
    config: Config,
    max: usize,
    /// Bytes that all pairs together may hold; by default as many as `max` pairs can.
    memory: Option<usize>,
    stats: Option<Duration>,
    #[cfg(feature = "proxy-protocol")]
    proxy: Proxy,
    #[cfg(feature = "tls")]
    tls: common::tls::Tls,
}

/// What is told to the target, and what is believed of who comes in.
#[cfg(feature = "proxy-protocol")]
#[derive(Default)]
struct Proxy {
    send: Option<tymist::net::proxy::ProxyVersion>,
    accept: Option<tymist::net::proxy::ProxyProtocol>,
}

#[cfg(feature = "proxy-protocol")]
impl Proxy {
    const USAGE: &str = "[--proxy-protocol v1|v2] [--accept-proxy NETWORKS]";

    fn take(&mut self, option: &str, args: &mut Args) -> Result<()> {
        use tymist::net::proxy::ProxyVersion;
        if option == "accept-proxy" {
            let text = args.text()?;
            if text.trim().is_empty() {
                return Err(args.refuse_value(&text, "no network, so that nobody could come in"));
            }
            let networks = text.parse().map_err(|error| args.refuse_value(&text, error))?;
            self.accept = Some(networks);
            return Ok(());
        }
        let value = args.text()?;
        self.send = Some(match &*value {
            "v1" => ProxyVersion::V1,
            "v2" => ProxyVersion::V2,
            other => return Err(args.refuse_value(other, "v1 or v2")),
        });
        Ok(())
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.limits.rx_bytes = WAITING;
    config.limits.tx_bytes = WAITING;
    config.limits.tick_bytes = TICK;
    config
}

/// The usage, with what was compiled in.
fn usage() -> String {
    let parts = [
        USAGE,
        #[cfg(feature = "proxy-protocol")]
        Proxy::USAGE,
        #[cfg(feature = "tls")]
        "[--tls-listen [--cert FILE --key FILE] [--client-ca FILE]]",
        #[cfg(feature = "tls")]
        "[--tls-to [--ca FILE | --insecure] [--server-name NAME]]",
    ];
    parts.join("\n       ")
}

fn options() -> Result<Options> {
    let mut options = Options {
        bind: common::Bind::default(),
        to: Connect::new(Vec::new()),
        config: config(),
        max: 10_000,
        memory: None,
        stats: None,
        #[cfg(feature = "proxy-protocol")]
        proxy: Proxy::default(),
        #[cfg(feature = "tls")]
        tls: common::tls::Tls::default(),
    };
    let mut to: Option<String> = None;
    #[cfg(feature = "tls")]
    let mut tls_to = common::tls_client::TlsTo::default();
    let mut args = Args::new(usage());
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "listen" => options.bind.set(&mut args)?,
            "to" => to = Some(args.text()?),
            "max" => options.max = args.count()?,
            "memory" => {
                options.memory =
                    Some(args.number(Relay::memory(1, &config().limits)..=usize::MAX)?);
            }
            "idle-timeout" => options.config.timeouts.idle = args.secs_or_none()?,
            "connect-timeout" => options.config.timeouts.connect = args.secs_or_none()?,
            "stats" => options.stats = args.secs_or_none()?,
            #[cfg(feature = "proxy-protocol")]
            "proxy-protocol" | "accept-proxy" => options.proxy.take(&option, &mut args)?,
            #[cfg(feature = "tls")]
            "tls-listen" => options.tls.turn_on(),
            #[cfg(feature = "tls")]
            "tls-to" => tls_to.turn_on(),
            #[cfg(feature = "tls")]
            "cert" | "key" | "client-ca" => options.tls.take(&option, &mut args)?,
            #[cfg(feature = "tls")]
            "ca" | "insecure" | "server-name" => tls_to.take(&option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    let to = to.ok_or_else(|| args.refuse("--to says where to"))?;
    let target = to.parse::<Target>();
    let target = target.map_err(|error| args.refuse(format_args!("--to {to}: {error}")))?;
    options.to = Connect::new(target);
    #[cfg(feature = "tls")]
    {
        let host = to.rsplit_once(':').map_or(&*to, |(host, _)| host);
        options.to = tls_to.wrap(options.to, common::bare(host), &args)?;
        options.tls.check(&args)?;
    }
    Ok(options)
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let mut options = options()?;
    // A connection that is refused has a place until it is told so.
    options.config.limits.remoters = options.max.saturating_mul(2).saturating_add(256);
    // Pairs that stand still take no room from the others: 0.6 MiB for each of `--max`, if all of them do. With less, those that do are in the others' way
    // until they are given up (`Timeouts::write_stall`).
    let most = Relay::memory(options.max, &options.config.limits);
    options.config.limits.buffered = options.memory.map_or(most, |memory| memory.min(most));
    let mut server = Server::new(options.config.clone());
    #[cfg(feature = "tls")]
    let acceptor = options.tls.listen(&options.bind, &mut server)?;
    #[cfg(not(feature = "tls"))]
    let acceptor = options.bind.listen(&mut server)?;
    #[cfg(feature = "proxy-protocol")]
    server.set_proxy_protocol(acceptor, options.proxy.accept.clone());
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut forward =
        Forward { options, relay: Relay::new(), room: common::Room::default(), refused: 0 };
    let mut report = forward.options.stats.map(|every| Tymer::new(server.tyme(), every));
    let mut going = true;
    while going {
        server.wait(report.map(|report| report.remaining(server.tyme())));
        server.service();
        while let Some(event) = server.poll_event() {
            forward.take(&mut server, &event);
            going &= !matches!(event, Event::DrainEnded { .. });
        }
        if stop.load(Ordering::Acquire) && server.draining().is_none() && going {
            server.drain(Some(DRAIN));
        }
        if report.as_mut().is_some_and(|report| report.catch_up(server.tyme()) > 0) {
            forward.report(&server);
        }
    }
    forward.report(&server);
    Ok(())
}

struct Forward {
    options: Options,
    relay: Relay,
    room: common::Room,
    /// Connections beyond the greatest number of pairs.
    refused: u64,
}

impl Forward {
    fn take(&mut self, server: &mut Server, event: &Event) {
        self.room.heed(event);
        if let Event::Accepted(id) = event
            && let Err(why) = self.join(server, *id)
            && let Some(remoter) = server.remoter_mut(*id)
        {
            self.refused += 1;
            say(format_args!("{} is refused: {why}", remoter.peer_addr()));
            remoter.abort();
        }
        match event {
            Event::ConnectFailed { addr, error, .. } => say(format_args!("{addr}: {error}")),
            Event::Unresolved { host, why, .. } => say(format_args!("{host}: {why}")),
            Event::HandshakeFailed { peer, reason, .. } => say(format_args!("{peer}: {reason}")),
            Event::Refused { peer, why, .. } => say(format_args!("{peer} is refused: {why}")),
            Event::Closed(id, reason)
                if !reason.is_clean() && self.relay.partner(*id).is_some() =>
            {
                if let Some(remoter) = server.remoter(*id) {
                    match remoter.peer_addr() {
                        Addr::Unnamed => say(format_args!("{}: {reason}", self.options.to.to)),
                        peer => say(format_args!("{peer}: {reason}")),
                    }
                }
            }
            _ => {}
        }
        self.relay.handle(server, event);
    }

    /// Makes the other half of a pair.
    fn join(&mut self, server: &mut Server, id: Id) -> Result<()> {
        if self.relay.len() >= self.options.max {
            return Err(format!("{} pairs are there already", self.options.max).into());
        }
        #[cfg_attr(not(feature = "proxy-protocol"), allow(unused_mut, reason = "nothing is added"))]
        let mut connect = self.options.to.clone();
        #[cfg(feature = "proxy-protocol")]
        if let (Some(version), Some(remoter)) = (self.options.proxy.send, server.remoter(id)) {
            use tymist::net::proxy::{Proxied, ProxyHeader};
            let told = remoter.proxied().and_then(Proxied::destination);
            let destination = told.unwrap_or_else(|| remoter.local_addr());
            let header = ProxyHeader::new(version, remoter.peer_addr(), destination);
            connect.proxy_header = Some(header);
        }
        self.relay.dial(server, id, connect)?;
        Ok(())
    }

    fn report(&self, server: &Server) {
        let (relay, refused) = (self.relay.counters(), self.refused);
        say(format_args!(
            "{} pairs; {} joined, {} finished, {} broken, {refused} refused; {} bytes; {} buffered",
            self.relay.len(),
            relay.joined,
            relay.finished,
            relay.broken,
            relay.bytes,
            server.buffered()
        ));
    }
}
