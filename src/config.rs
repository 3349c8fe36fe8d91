//! What an engine is allowed to take and how long things may last.
//!
//! Every limit has a finite default. Each field says what it costs and what happens when it is hit.

use core::time::Duration;

/// All settings of a `Server`, a `Client` or `Clients`: public fields, changed one by one from [`Config::new`].
///
/// ```
/// use std::time::Duration;
/// use tymist::Config;
///
/// let mut config = Config::new();
/// config.limits.remoters = 1000;
/// config.timeouts.idle = Some(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// How much of everything.
    pub limits: Limits,
    /// How long.
    pub timeouts: Timeouts,
    /// Whether traffic in either direction starts the idle timeout anew. Default on. Off, it runs from the start
    /// of the connection, whatever happens on it.
    pub refreshable: bool,
    /// Whether each step of a handshake that the peer lets us take starts the handshake timeout anew. Default off: the whole of it has that long, however
    /// busy the peer is. On, a slow peer may take as long as it likes within the byte limits of the handshake.
    pub refresh_handshake: bool,
    /// Whether a connection whose peer has ended its half stays until you close it. Default off: it is closed with
    /// [`CloseReason::Eof`](crate::CloseReason::Eof) once you have seen the `Eof` event and taken what it sent, and what you
    /// queued until then has gone out.
    pub half_open: bool,
    /// What happens where [`Limits::rx_bytes`] are unread and more arrives.
    pub rx_full: RxFull,
    /// What happens where more is queued than [`Limits::tx_bytes`].
    pub tx_full: TxFull,
    /// What happens to a connection beyond [`Limits::remoters`].
    pub over_limit: OverLimit,
    /// How long `wait` looks for something to do before it sleeps, at most, where waits are short and looking has lately taken less CPU time than sleeping,
    /// as it may where a peer answers at once: to sleep and be woken costs a core more than it seems. Default 100 µs; zero: it always sleeps.
    ///
    /// An engine measures both, a hundred waits at a time, and tries again ever more rarely where it did not pay; such tries cost some thousandths. Where it
    /// pays, the way to an answer is shorter by what it takes to wake a thread, which on virtual machines is most of it, and the thread is busy as long as
    /// the peer goes on like that. More than 1 ms counts as 1 ms. A signal that comes while it looks does not end the wait: let its handler call a
    /// [`Waker`](crate::net::Waker).
    ///
    /// On Linux, where it asks for the thread's CPU time once in some hundred short waits (`clock_gettime`, a system call there); elsewhere it always sleeps.
    pub spin: Duration,
    /// What the jitter of [`Backoff`](crate::Backoff) is drawn from: the same seed, the same waits. Default `None`: the
    /// network gives one, which on the operating system is a random number, so that no two programs wait alike.
    pub seed: Option<u64>,
}

impl Config {
    /// Where a thread that slept is woken slowly, as on a virtual machine, the first answers to one that looks take most of that.
    pub(crate) const SPIN: Duration = Duration::from_micros(100);

    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Config {
            limits: Limits::new(),
            timeouts: Timeouts::new(),
            refreshable: true,
            refresh_handshake: false,
            half_open: false,
            rx_full: RxFull::Pause,
            tx_full: TxFull::Partial,
            over_limit: OverLimit::Refuse,
            spin: Self::SPIN,
            seed: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// At the cap of unread bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RxFull {
    /// Stop reading until you take some: TCP then slows the peer down. The default. That the peer has ended its half, or is gone, is read behind its bytes, so
    /// it is told once you have taken some, too; [`Timeouts::idle`] ends who is never read again. Who is paused when this is changed, stays so until it is next
    /// had in hand or reported.
    Pause,
    /// Close with [`CloseReason::RxFull`](crate::CloseReason::RxFull) if a tick begins with the cap unread and more is there. Not where a
    /// [`Relay`](crate::Relay) has joined it to another one.
    Close,
}

/// At the cap of queued bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TxFull {
    /// Take what fits and tell how much. The default.
    Partial,
    /// Close with [`CloseReason::TxFull`](crate::CloseReason::TxFull): a peer that reads too slowly loses its place. Not where a
    /// [`Relay`](crate::Relay) has joined it to another one.
    Close,
}

/// At the cap of connections.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// Accept and close at once, with a `Refused` event: the peer knows where it stands. The default.
    Refuse,
    /// Leave it waiting, first in the accept deque, then in the kernel's backlog, until a place is free.
    Wait,
}

/// How much of everything an engine takes. Below 1 they count as 1, so that work always goes on; but 0 `remoters` or `remoters_per_ip` let nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once, handshaking ones and those whose `Closed` you have not taken yet included.
    /// Default 65,536; costs under 600 bytes each while idle. Beyond it: [`Config::over_limit`]. At most 2^24.
    pub remoters: usize,
    /// Connections at once from one IP address (an IPv6 /64 counts as one). Default 65,536, which is no bound of its own: many users may sit behind one
    /// address. Costs 50 bytes an address. Beyond it: refused, with an event.
    pub remoters_per_ip: usize,
    /// Connections accepted per tick, all acceptors together. Default 256, about 1 ms. Beyond it: the next tick.
    pub accepts_per_tick: usize,
    /// Accepted connections that wait in each acceptor's deque. Default 512, 150 bytes each. Beyond it: they
    /// wait in the kernel's backlog.
    pub accept_deque: usize,
    /// Unfinished handshakes at once, those that failed and still send their alert included. Default 16,384; one that stalls before it has said anything
    /// costs 1.3 KiB, one that does its worst with TLS's default limits 22 KiB. Beyond it: connections wait in the accept deque.
    pub handshakes: usize,
    /// Unfinished handshakes at once from one IP address (an IPv6 /64 counts as one). Default 12,288, so that one address alone cannot keep all others out.
    /// Costs 50 bytes an address. Beyond it: refused, with an event.
    pub handshakes_per_ip: usize,
    /// Handshakes advanced per tick, each by one bounded step. Default 64. Beyond it: the next tick.
    pub handshakes_per_tick: usize,
    /// Tries to connect that are begun per tick, and likewise of those under way that are seen to. Default 256, about 5 ms on the operating
    /// system. Beyond it: the next tick. So many names that have waited for their turn are looked up per tick, too.
    pub connects_per_tick: usize,
    /// Names looked up at once, each one once for all who want it. Default 64, 200 bytes each. Beyond it: they wait for their turn, their connect time-out
    /// running. Names that nobody wants any more do not count, answered or not.
    pub lookups: usize,
    /// Unread bytes held for one connection. Default 256 KiB, allocated only as far as used. At it: [`Config::rx_full`].
    pub rx_bytes: usize,
    /// Unsent bytes held for one connection. Default 1 MiB, allocated only as far as used. Beyond it: [`Config::tx_full`].
    pub tx_bytes: usize,
    /// Connections that have their turn to send and receive per tick. Default 1024, about 10 ms where each says little and is answered. Beyond it: the next
    /// tick goes on with whose turn it is. A loop whose frames must never be late bounds with it what many small messages cost, which no limit of bytes does;
    /// at 60 frames a second the default is 61,440 turns.
    pub turns_per_tick: usize,
    /// Bytes read, and bytes written, per connection and tick. Default 128 KiB, one read. Beyond it: the connection goes
    /// to the back of the line, for the next tick. Raise it where ticks are rare and connections few: at 60 a second it is 7.8 MB/s each way. What is dear to
    /// read counts for more than its bytes, here and in `tick_bytes` and `burst_bytes`: each TLS record for 1 KiB more and for its padding; and behind TLS, or
    /// where descriptors may come along, each read after the first one of a turn for 1 KiB at least.
    pub remoter_tick_bytes: usize,
    /// Bytes read per tick, all connections together. Default 4 MiB, about 1 ms. Beyond it: the next tick goes on with
    /// whose turn it is.
    pub tick_bytes: usize,
    /// Bytes written per tick, all connections together, those of the `wait` that has begun it included. Default 4 MiB, about 1 ms. Beyond it: the next
    /// tick goes on with whose turn it is, half of its budget being theirs. [`service_sends`](crate::Server::service_sends) has one of its own; closing an
    /// engine has none, but `remoter_tick_bytes` for each.
    pub tick_bytes_out: usize,
    /// Bytes read per tick that a `wait` has begun, where that is less than `tick_bytes`. Default 256 KiB, so that what was read is still in the processor's
    /// cache when it is answered: with all of `tick_bytes`, sixteen bulk streams ran at two thirds of their rate. Beyond it: the next `wait` does not
    /// sleep, and the next tick goes on with whose turn it is.
    pub burst_bytes: usize,
    /// Datagrams received per tick, all endpoints together. Default 1024, about 2 ms. Beyond it: the next tick goes on with whose
    /// turn it is.
    pub grams_per_tick: usize,
    /// Datagrams received per tick that a `wait` has begun, all endpoints together, where that is less. Default 16. Beyond it: the next `wait` does not
    /// sleep.
    pub burst_grams: usize,
    /// Unread and unsent bytes of all connections together. Default 256 MiB. At it: `tx` takes nothing until some is taken or sent. Nobody is read
    /// from while 7/8 of it are filled, so that unread bytes cannot keep everybody from answering, but who holds none of it: up to 4 KiB at a time, until 15/16
    /// are filled, so that some who take nothing cannot silence the others.
    pub buffered: usize,
    /// Events that wait for `poll_event`. Default 65,536, 56 bytes each. At it: no connection is accepted or admitted. Those that are there go on; of each wait
    /// at most one `Accepted`, `Received`, `Drained`, `Upgraded`, `Eof`, `Expired` and `Closed`, and of one that is dialled `Connected` instead of the first,
    /// `Disconnected` or `Closed` as the last, and before them up to 16 `ConnectFailed` or one `Unresolved`.
    pub events: usize,
    /// Size of the one buffer all reads go through. Default 128 KiB, at most 16 MiB; held once per engine, with up to 2 MiB of used buffers of
    /// busy connections that wait to be used again.
    pub scratch: usize,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Limits {
            remoters: 65_536,
            remoters_per_ip: 65_536,
            accepts_per_tick: 256,
            accept_deque: 512,
            handshakes: 16_384,
            handshakes_per_ip: 12_288,
            handshakes_per_tick: 64,
            connects_per_tick: 256,
            lookups: 64,
            rx_bytes: 256 << 10,
            tx_bytes: 1 << 20,
            turns_per_tick: 1024,
            remoter_tick_bytes: 128 << 10,
            tick_bytes: 4 << 20,
            tick_bytes_out: 4 << 20,
            burst_bytes: 256 << 10,
            grams_per_tick: 1024,
            burst_grams: 16,
            buffered: 256 << 20,
            events: 65_536,
            scratch: 128 << 10,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// How long things may last, in the tyme the engine is wound to. `None` and zero both mean: for ever, unless a field says otherwise.
///
/// A deadline fires in the first tick whose tyme has reached it, to the nanosecond, unless that same tick saw the
/// activity it waits for, or ended (by a budget of [`Limits`]) before its turn to look for it. Each costs 8 bytes a connection, and all of a
/// connection's together one place in the wheel.
///
/// What a deadline closes is not ended as by [`close`](crate::Remoter::close): the peer sees a reset where something queued is cut off (or a relay has
/// joined it), otherwise what the system makes of a close: a plain end, under TLS without close_notify, or a reset where bytes came that nobody has read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the start of a try to connect, the look-up of the name and all addresses included, until the transport is up. Default 10 s, which
    /// is time for three SYNs to be lost. Then: closed, or tried again.
    pub connect: Option<Duration>,
    /// From the beginning of the handshake (before it, the connection may have waited in the accept deque) to its end.
    /// Default 10 s. Then: closed.
    pub handshake: Option<Duration>,
    /// From the start (or the end of the handshake) to the first byte received. Default never. Then: closed. As with `idle`, a byte for which there is no
    /// room in [`Limits::buffered`] does not count: that such connections end is what makes room again.
    pub first_byte: Option<Duration>,
    /// Without a byte in either direction, or if not [refreshable](Config::refreshable) from the start. Default never. Then: closed. Bytes that you leave
    /// unread at a limit's edge are no traffic: silence then is what makes room again.
    pub idle: Option<Duration>,
    /// From the start, whatever happens. Default never. Then: closed, whatever is still queued.
    pub lifetime: Option<Duration>,
    /// With bytes queued and none accepted by the network, which takes more only once some of what it holds has been read at the other end (see
    /// [`SocketOptions::unsent`](crate::net::SocketOptions::unsent)). Default 30 s. Then: closed by reset.
    pub write_stall: Option<Duration>,
    /// After our end was sent in a graceful close, until the peer's end has come; and after the peer's end, until you have taken what it sent and its `Eof`,
    /// which each byte of an answer that goes out puts off. Default 5 s. Then: released. Zero or `None`: a close does not wait for the peer's end, and what a
    /// peer sent before its end waits for you for ever.
    pub linger: Option<Duration>,
    /// How long `drain` lets connections finish. Default 30 s. Then: cut. `None`: for ever, also where a `run::Manager` is dropped, which waits for its
    /// connections.
    pub drain: Option<Duration>,
    /// How long an acceptor rests when descriptors or memory have run out. Default 100 ms; zero counts as 1 ms.
    pub accept_pause: Duration,
    /// The least traffic, both directions together, that a connection must show. Default none.
    pub min_rate: Option<MinRate>,
}

impl Timeouts {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Timeouts {
            connect: Some(Duration::from_secs(10)),
            handshake: Some(Duration::from_secs(10)),
            first_byte: None,
            idle: None,
            lifetime: None,
            write_stall: Some(Duration::from_secs(30)),
            linger: Some(Duration::from_secs(5)),
            drain: Some(Duration::from_secs(30)),
            accept_pause: Duration::from_millis(100),
            min_rate: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::new()
    }
}

/// At least so many bytes in each window, counted from the start of the connection on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes, received and sent together; zero counts as no minimum.
    pub bytes: u64,
    /// Length of a window; zero counts as no minimum.
    pub window: Duration,
}
