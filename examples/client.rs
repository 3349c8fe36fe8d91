//! A line client like `nc`: what is typed goes to the peer, what the peer says is printed. At the end of the input (Ctrl-D) its half is ended, and it waits
//! for the peer's.
//!
//!     cargo run --release --example client -- --host localhost --port 7000
//!
//! Where the peer's end comes first, the rest of the input still goes to it, until there is none for 5 s. From a terminal none is expected then, and with
//! `--reconnect` it goes to the next connection: there the peer's end is that of both.
//!
//! Names are looked up off the tick, several addresses are tried side by side, and `--reconnect` comes again when the peer is gone: as long
//! as there is more to send, and however long it takes to reach it once. With `--tls` the
//! server must prove to be NAME, or what `--server-name` says, by a certificate that leads to one of those in `--ca` or is one of them:
//!
//!     cargo run --example client -- --host 192.0.2.1 --port 443 --tls --ca roots.pem --server-name example.org

mod common;

use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use common::{Args, Result, say};
use tymist::net::Waker;
use tymist::tyme::Tymer;
use tymist::{Client, Config, Connect, Event};

const USAGE: &str = "usage: client --port N [--host NAME] [--reconnect] [--connect-timeout SECS] [--idle-timeout SECS] \
                     [--local IP:PORT]";

#[cfg(feature = "tls")]
use common::tls_client;

/// Pieces of input that wait to be sent; whoever types faster waits.
const WAITING: usize = 64;
/// How long after the peer's end more input is waited for: most peers have closed, and a pipe may stay open for ever.
const AFTER_END: Duration = Duration::from_secs(5);
/// Bytes that wait to be printed; what is beyond stays unread, which holds the peer back.
const UNPRINTED: usize = 1 << 20;
/// Bytes printed at once.
const PART: usize = 16 << 10;

struct Options {
    connect: Connect,
    config: Config,
}

/// The usage, with what was compiled in.
fn usage() -> String {
    #[cfg(feature = "tls")]
    return format!("{USAGE}\n       {}", tls_client::USAGE);
    #[cfg(not(feature = "tls"))]
    USAGE.into()
}

fn options() -> Result<Options> {
    let (mut host, mut port) = (String::from("localhost"), None);
    let (mut local, mut reconnect) = (None, false);
    let mut config = Config::new();
    #[cfg(feature = "tls")]
    let mut tls = tls_client::TlsTo::default();
    let mut args = Args::new(usage());
    while let Some(option) = args.next()? {
        match &*option {
            "host" => host = args.text()?,
            "port" => port = Some(args.target_port()?),
            "local" => local = Some(args.value()?),
            "reconnect" => reconnect = true,
            "connect-timeout" => config.timeouts.connect = args.secs_or_none()?,
            "idle-timeout" => config.timeouts.idle = args.secs_or_none()?,
            #[cfg(feature = "tls")]
            option if tls_client::TlsTo::knows(option) => tls.take(option, &mut args)?,
            _ => return Err(args.unknown()),
        }
    }
    let port = port.ok_or_else(|| args.refuse("--port says where to"))?;
    let host = match common::bare(&host) {
        "" => "localhost",
        host => host,
    };
    let mut connect = Connect::to_name(host, port);
    #[cfg(feature = "tls")]
    {
        connect = tls.wrap(connect, host, &args)?;
    }
    connect.local = local;
    if reconnect {
        connect = connect.reconnectable();
    }
    Ok(Options { connect, config })
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<ExitCode> {
    let Options { connect, mut config } = options()?;
    config.half_open = connect.reconnect.is_none();
    if !config.half_open {
        config.timeouts.linger = None; // What came before the peer's end may wait for standard output as long as that takes.
    }
    let mut client = Client::new(config, connect);
    let stop = common::stop_on_signal(client.waker()?)?;
    let mut talk = Talk {
        typed: Some(read_input(client.waker()?)),
        rest: Bytes::new(),
        output: Output::begin(client.waker()?),
        after_end: None,
        reached: false,
        clean: true,
        client,
    };
    talk.client.reopen()?;
    while talk.client.opened() && !stop.load(Ordering::Acquire) {
        talk.turn()?;
    }
    talk.client.close();
    talk.print_rest(&stop)?;
    Ok(if talk.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Talk {
    client: Client,
    /// None: the input is over.
    typed: Option<Receiver<Piece>>,
    /// Of the input, what had no room yet.
    rest: Bytes,
    output: Output,
    /// From the peer's end on, or from the last input since.
    after_end: Option<Tymer>,
    /// The peer was there at some time.
    reached: bool,
    /// Nothing was lost, of what was typed or of what the peer said.
    clean: bool,
}

impl Talk {
    fn turn(&mut self) -> Result<()> {
        self.client.wait(self.after_end.map(|wait| wait.remaining(self.client.tyme())));
        self.client.service();
        let mut over = false;
        while let Some(event) = self.client.poll_event() {
            over |= self.heed(&event);
        }
        self.output.look()?;
        // What is left unread holds the peer back. At the end it is bounded as it is.
        if over || self.output.has_room() {
            self.output.print(self.client.take());
        }
        if over {
            self.client.close();
        } else {
            self.feed();
        }
        Ok(())
    }

    /// Says what has happened; returns whether that was the end.
    fn heed(&mut self, event: &Event) -> bool {
        match event {
            Event::Connected(_) => {
                self.reached = true;
                if let Some(peer) = self.client.peer_addr() {
                    say(format_args!("connected to {peer}"));
                }
                #[cfg(feature = "tls")]
                if let Some(info) = self.client.remoter().and_then(tymist::Remoter::tls) {
                    say(tls_client::describe(info));
                }
            }
            Event::Eof(_) if self.client.config().half_open && std::io::stdin().is_terminal() => {
                if !self.rest.is_empty() {
                    say("the peer has ended before the input");
                    self.clean = false;
                }
                self.end_input(); // Who sits there waits for nothing else.
            }
            Event::Eof(_) if self.client.config().half_open => {
                self.after_end = Some(Tymer::new(self.client.tyme(), AFTER_END));
            }
            Event::ConnectFailed { addr, error, .. } => say(format_args!("{addr}: {error}")),
            Event::Unresolved { host, why, .. } => say(format_args!("{host}: {why}")),
            Event::Disconnected { reason, .. } if self.has_more() => {
                say(format_args!("{reason}; trying again"));
            }
            Event::Disconnected { reason, .. } | Event::Closed(_, reason) => {
                say(reason);
                self.clean &= reason.is_clean();
                return true;
            }
            _ => {}
        }
        false
    }

    /// Whether there is, or may be, more to send. An empty input, too, is sent: its end.
    fn has_more(&self) -> bool {
        let queued = self.client.remoter().map_or(0, tymist::Remoter::tx_len);
        !self.reached || self.typed.is_some() || queued > 0
    }

    /// Whether the peer has ended, all is sent, and nothing more has come for long enough.
    fn is_waited_out(&mut self) -> bool {
        let now = self.client.tyme();
        let queued = self.client.remoter().is_some_and(|remoter| remoter.tx_len() > 0);
        if queued {
            self.after_end.iter_mut().for_each(|wait| wait.refresh(now));
        }
        self.after_end.is_some_and(|wait| wait.expired(now))
    }

    fn end_input(&mut self) {
        if let Some(remoter) = self.client.remoter_mut() {
            remoter.shutdown_send();
        }
        self.typed = None;
    }

    /// Queues what was typed, as much as fits; at the end of the input ends our half.
    fn feed(&mut self) {
        while let Some(input) = &self.typed {
            // An error says that our half is over: nobody is left to tell.
            if !self.rest.is_empty()
                && (self.client.tx_bytes(&mut self.rest).is_err() || !self.rest.is_empty())
            {
                break; // Goes on at `Drained`.
            }
            match input.try_recv() {
                Ok(Ok(data)) => {
                    self.rest = data.into();
                    let now = self.client.tyme();
                    self.after_end.iter_mut().for_each(|wait| wait.refresh(now));
                }
                Ok(Err(error)) => {
                    say(format_args!("standard input: {error}"));
                    self.clean = false;
                }
                Err(TryRecvError::Empty) if self.is_waited_out() => self.end_input(),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.end_input(),
            }
        }
    }

    /// Waits until all is printed; at most until a signal, or until standard output has taken nothing for as long as `--idle-timeout` says.
    fn print_rest(&mut self, stop: &AtomicBool) -> Result<()> {
        let Talk { client, output, .. } = self;
        let mut patience =
            client.config().timeouts.idle.map(|idle| Tymer::new(client.tyme(), idle));
        while output.waiting > 0 && !stop.load(Ordering::Acquire) {
            client.wait(patience.map(|patience| patience.remaining(client.tyme())));
            client.service();
            let before = output.waiting;
            output.look()?;
            match &mut patience {
                Some(patience) if output.waiting < before => patience.refresh(client.tyme()),
                Some(patience) if patience.expired(client.tyme()) => {
                    return Err("standard output: nobody takes what is left".into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Prints on a thread, since that can only block, and wakes the loop for each part that is out.
struct Output {
    pieces: Sender<Bytes>,
    printed: Receiver<std::io::Result<usize>>,
    /// Bytes that are not out yet.
    waiting: usize,
}

impl Output {
    fn begin(waker: Waker) -> Self {
        let (pieces, to_print) = mpsc::channel::<Bytes>();
        let (tell, printed) = mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "a thread that prints and wakes the loop")]
        std::thread::spawn(move || {
            let mut out = std::io::stdout();
            for piece in to_print {
                for part in piece.chunks(PART) {
                    let done = out.write_all(part).and_then(|()| out.flush());
                    let over = done.is_err();
                    // Nobody to tell: the program ends.
                    let told = tell.send(done.map(|()| part.len()));
                    let _ = waker.wake();
                    if over || told.is_err() {
                        return;
                    }
                }
            }
        });
        Output { pieces, printed, waiting: 0 }
    }

    fn has_room(&self) -> bool {
        self.waiting < UNPRINTED
    }

    fn print(&mut self, piece: Bytes) {
        self.waiting += piece.len();
        let _ = self.pieces.send(piece); // An error says that printing has failed, which `look` finds.
    }

    /// Takes note of what was printed.
    fn look(&mut self) -> Result<()> {
        while let Ok(done) = self.printed.try_recv() {
            self.waiting -= done.map_err(|error| format!("standard output: {error}"))?;
        }
        Ok(())
    }
}

/// A piece of the input, or why there is no more.
type Piece = std::io::Result<Vec<u8>>;

/// Reads standard input on a thread, since that can only block, and wakes the loop for each line.
fn read_input(waker: Waker) -> Receiver<Piece> {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread that waits for input and wakes the loop"
    )]
    std::thread::spawn(move || {
        send_lines(&sender, &waker);
        drop(sender);
        // Without a waker the loop would only see the end at its next event.
        let _ = waker.wake();
    });
    receiver
}

fn send_lines(sender: &SyncSender<Piece>, waker: &Waker) {
    let mut input = std::io::stdin().lock();
    loop {
        let piece = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok([]) => return,
            piece => piece.map(<[u8]>::to_vec),
        };
        let count = piece.as_ref().map_or(0, Vec::len);
        let over = piece.is_err();
        if sender.send(piece).is_err() || over {
            return;
        }
        input.consume(count);
        let _ = waker.wake();
    }
}
