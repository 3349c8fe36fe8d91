//! A server on several threads that can be replaced while it is asked: it sends back each line, with the number of its process before it.
//!
//!     cargo run --features uds --example managed -- --port 7000 --threads 2 --takeover managed.sock --stats 5
//!     nc 127.0.0.1 7000
//!
//! Start it again with the same words, or send it SIGHUP: the new process takes over its sockets, and the old one ends when its connections have. Nobody is
//! turned away.
//!
//! Without `--host`, `--port` and `--unix` it serves on the sockets that it is given, by systemd (feature `systemd`) or the process before it:
//!
//!     systemd-socket-activate -l 7000 target/debug/examples/managed

mod common;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use common::{Args, DRAIN, Result, say};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tymist::run::{Inbox, Inherited, Manager, Seat, Stopper};
use tymist::tyme::Tyme;
use tymist::{Config, Event, Server, Service, Session, Wake, call_back};

const USAGE: &str = "usage: managed [--host NAME] [--port N] [--unix PATH|@NAME] [--threads N] [--takeover PATH] [--stats SECS]";

/// Longest line; who sends more is closed.
const LINE: usize = 16 * 1024;

#[derive(Default)]
struct Options {
    /// None: what it is given, or else any port.
    bind: Option<common::Bind>,
    threads: usize,
    takeover: Option<PathBuf>,
    stats: Option<Duration>,
}

fn options() -> Result<Options> {
    let mut options = Options { threads: 1, ..Options::default() };
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.get_or_insert_default().host = args.text()?,
            "port" => options.bind.get_or_insert_default().port = args.port()?,
            "unix" => options.bind.get_or_insert_default().unix = Some(args.path()?),
            "threads" => options.threads = args.number(1..=256)?,
            "takeover" => options.takeover = Some(args.path()?),
            "stats" => options.stats = args.secs_or_none()?,
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

/// Asks an engine how many lines it has answered; the answer comes by this way.
struct HowMany(Sender<(usize, u64)>);

/// The service of one engine.
struct Lines {
    engine: usize,
    before: Bytes,
    answered: u64,
    inbox: Inbox<HowMany>,
    room: common::Room,
    ending: common::Ending,
    /// When it is to look whose answers are out, once it ends.
    look: Option<Tyme>,
}

impl Lines {
    fn new(seat: Seat<HowMany>) -> Self {
        let before = format!("{} ", std::process::id()).into();
        let (room, ending) = (common::Room::default(), common::Ending::new(DRAIN));
        let Seat { engine, inbox, .. } = seat;
        Lines { engine, before, answered: 0, inbox, room, ending, look: None }
    }
}

impl Service for Lines {
    fn received(&mut self, session: &mut Session<'_>) {
        while let Some(end) = session.rx().iter().position(|byte| *byte == b'\n') {
            if session.tx_room() < self.before.len() + end + 1 {
                // What is unread at the cap holds the peer back until `drained` goes on with it.
                return session.want_drained();
            }
            let mut line = session.take_first(end + 1);
            // There is room; an error says that nobody is left to hear.
            let _ = session.tx_bytes(&mut self.before.clone()).and(session.tx_bytes(&mut line));
            self.answered += 1;
        }
        if session.rx().len() >= LINE {
            session.abort_once_sent(); // No end in all that may be unread. The lines before it have their answers.
        }
    }

    fn drained(&mut self, session: &mut Session<'_>) {
        self.received(session);
    }

    fn event(&mut self, server: &mut Server, event: Event) {
        self.room.heed(&event);
        call_back(self, server, &event);
    }

    fn tick(&mut self, server: &mut Server) {
        while let Some(HowMany(answer)) = self.inbox.take() {
            // Who asked may have given up.
            let _ = answer.send((self.engine, self.answered));
        }
        // It is stopped. Where it is replaced its connections have all the time they like.
        if server.draining().is_some_and(|draining| draining.deadline != Tyme::NEVER) {
            let now = server.tyme();
            self.ending.turn(server, now);
            self.look = Some(now + common::LOOK);
        }
    }

    fn wake(&self) -> Wake {
        self.look.map_or(Wake::OnIo, Wake::At)
    }
}

/// What systemd has to do with it, with that feature; nothing, without it or where systemd has not started it.
#[cfg(feature = "systemd")]
mod service {
    use tymist::run::systemd::{Notify, sockets};
    use tymist::run::{Inherited, Manager};

    /// The sockets that it has opened for us. To be called first, before there are threads.
    pub(crate) fn begin<M: Send + 'static>(manager: &mut Manager<M>) -> crate::Result<Inherited> {
        manager.notify(Notify::from_env());
        Ok(sockets()?)
    }

    /// A reload is a replacement: ready is whoever serves in the end.
    pub(crate) fn reloading() {
        let _ = Notify::from_env().reloading();
    }

    pub(crate) fn goes_on() {
        let _ = Notify::from_env().ready();
    }

    pub(crate) fn succeeded() {
        let _ = Notify::from_env().succeeded();
    }
}

#[cfg(not(feature = "systemd"))]
mod service {
    pub(crate) fn begin<M>(
        _: &mut tymist::run::Manager<M>,
    ) -> crate::Result<tymist::run::Inherited> {
        Ok(tymist::run::Inherited::new())
    }

    pub(crate) fn reloading() {}

    pub(crate) fn goes_on() {}

    pub(crate) fn succeeded() {}
}

/// Ends it on SIGINT and SIGTERM; on SIGHUP starts another process in its place, if it is one that can be replaced.
fn heed_signals(stopper: Stopper, replaceable: bool) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    #[expect(clippy::disallowed_methods, reason = "a thread that waits for signals")]
    std::thread::spawn(move || {
        let mut told = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP if replaceable => {
                    service::reloading();
                    if let Err(error) = successor() {
                        say(format_args!("no successor: {error}")); // So this one goes on.
                        service::goes_on();
                    }
                }
                SIGHUP => say("--takeover says where a successor may come"),
                // Another one would begin the time anew.
                _ if std::mem::replace(&mut told, true) => {}
                _ => stopper.stop(Some(DRAIN)),
            }
        }
    });
    Ok(())
}

/// The same program again, with the same words.
fn successor() -> std::io::Result<()> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut child =
        Command::new(std::env::current_exe()?).args(words).stdin(Stdio::null()).spawn()?;
    #[expect(clippy::disallowed_methods, reason = "a thread that waits for it")]
    std::thread::spawn(move || {
        // One that serves outlives this process; one that ends before has failed.
        let ended = child.wait();
        say(format_args!("the successor has ended: {ended:?}"));
        service::goes_on();
    });
    Ok(())
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = options()?;
    let mut config = Config::new();
    config.limits.rx_bytes = LINE;
    config.timeouts.drain = None; // of one that is replaced: a signal says how long
    let mut manager = Manager::with_mail(16, config, |_, seat| Ok(Lines::new(seat)));
    manager.threads(options.threads);
    let mut given = service::begin(&mut manager)?;

    let mut inherited = match &options.takeover {
        Some(path) => Inherited::take_over(path).map_err(|error| format!("--takeover: {error}"))?,
        None => Inherited::new(),
    };
    match &options.bind {
        None if given.is_empty() && inherited.is_empty() => {
            manager.listen(common::Bind::default().spec()?);
        }
        None => {
            manager.inherit_all(&mut given).inherit_all(&mut inherited);
        }
        Some(bind) => {
            manager.listen(bind.spec()?).inherit(&mut given).inherit(&mut inherited);
        }
    }
    for addr in given.addrs() {
        say(format_args!("not served, for that is not where it is to listen: {addr}"));
    }
    drop(given);
    manager.start()?;
    let done = serve(&mut manager, inherited, &options);
    if done.is_err() {
        // Else those who are connected would be waited for, for as long as they like.
        manager.stopper().stop(Some(DRAIN));
    }
    done
}

/// Takes the place of the old process, if there was one, and tells how it goes until the end.
fn serve(
    manager: &mut Manager<HowMany>,
    mut inherited: Inherited,
    options: &Options,
) -> Result<()> {
    // Only now, as there is nothing to stop before: until then a signal ends the process, and changes nothing.
    heed_signals(manager.stopper(), options.takeover.is_some())?;
    // From here on the old process, if there was one, accepts no more.
    let confirmed = inherited.confirm();
    if let Err(error) = &confirmed {
        // It may have died, and these be the only ones that are left: they are served. If it lives, or another succeeds it, that one offers still.
        say(format_args!("--takeover: {error}; goes on without"));
    }
    if let Some(path) = &options.takeover {
        manager.offer(path)?;
    }
    if confirmed.is_err() {
        service::succeeded();
    }
    say(format_args!("process {} begins", std::process::id()));
    common::print(format_args!("listening on {}", manager.addrs()[0]))?;

    while !manager.wait(options.stats)? {
        let (answer, answers) = channel();
        for engine in 0..options.threads {
            // A full box belongs to an engine that is busy with something else.
            let asked =
                manager.mailbox(engine).map(|mailbox| mailbox.send(HowMany(answer.clone())));
            if let Some(Err(error)) = asked {
                say(format_args!("engine {engine}: {error}"));
            }
        }
        drop(answer);
        for (engine, lines) in answers {
            say(format_args!("engine {engine}: {lines} lines"));
        }
        say(format_args!("{} connections, {:?}", manager.len(), manager.counters()));
    }
    let counters = manager.counters();
    say(format_args!(
        "process {} ended: {} accepted, {} cut",
        std::process::id(),
        counters.accepted,
        counters.closed.expired.drain
    ));
    Ok(())
}
