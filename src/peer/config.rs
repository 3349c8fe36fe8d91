//! What a datagram endpoint is allowed to take.

use core::time::Duration;

use crate::config::Config;

/// All settings of an [`Endpoint`](super::Endpoint): public fields, changed one by one from [`GramConfig::new`].
///
/// ```
/// use tymist::{GramConfig, GramsFull};
///
/// let mut config = GramConfig::new();
/// config.max_gram = 1200;
/// config.rx_full = GramsFull::DropOldest; // old positions of players are worth nothing
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GramConfig {
    /// Bytes of the largest datagram. Default 65,535, more than UDP can carry. A longer one that comes in is cut and
    /// [flagged](super::RxGram::truncated), a longer one to send is an error. An endpoint reads through a buffer of this size, which all of a server
    /// share: 64 KiB for UDP, whatever is said here, and 64 KiB to 4 MiB for Unix sockets. Eight of 64 KiB where many UDP datagrams come in at once, as far as
    /// they fill them.
    pub max_gram: usize,
    /// Datagrams that wait to be taken. Default 1024; costs about 100 bytes each beside their own.
    pub rx_grams: usize,
    /// Their bytes. Default 1 MiB, allocated only as far as used. One datagram always fits.
    pub rx_bytes: usize,
    /// What happens where one more comes in. Default [`DropNewest`](GramsFull::DropNewest).
    pub rx_full: GramsFull,
    /// Datagrams that wait to be sent. Default 1024; costs about 100 bytes each beside their own. Beyond it: `tx` is an error.
    pub tx_grams: usize,
    /// Their bytes. Default 1 MiB. Beyond it: `tx` is an error; one datagram always fits.
    pub tx_bytes: usize,
    /// Datagrams received, and datagrams sent, per tick. Default 256, under 1 ms. Beyond it: the next tick. A report of an error counts as one.
    pub tick_grams: usize,
    /// Datagrams received in a tick of a [`Peer`](super::Peer) that its `wait` has begun, where that is less. Default 8: they are answered while they are in
    /// the processor's cache, and soon. Beyond it: the next `wait` does not sleep. (Endpoints of a server:
    /// [`Limits::burst_grams`](crate::Limits::burst_grams).)
    pub burst_grams: usize,
    /// Bytes received, and bytes sent, per tick. Default 1 MiB. Beyond it: the next tick; one datagram always goes.
    pub tick_bytes: usize,
    /// Events that wait to be taken. Default 256, 48 bytes each. Beyond it: what is to tell is only counted, but for one each of `Received`, `Drained`,
    /// `Paused` and `Lost`, which are always told.
    pub events: usize,
    /// How long a datagram waits to be sent while the network takes none; with Unix sockets: while its receiver takes none. Default 1 s. Then: dropped, and
    /// told as [`Unsent`](super::GramEvent::Unsent). `None` and zero: for ever.
    pub stall: Option<Duration>,
    /// How long receiving rests where only errors come. Default 100 ms; zero counts as 1 ms.
    pub pause: Duration,
    /// How long the `wait` of a [`Peer`](super::Peer) looks before it sleeps; see [`Config::spin`](crate::Config::spin), which is that of a server's endpoints.
    /// Default 100 µs.
    pub spin: Duration,
    /// Sizes the kernel's buffers: raised to so many of [`max_gram`](GramConfig::max_gram), both ways (hio's `bc`), unless [`Bind`](crate::net::Bind) asks
    /// for more. Default 0: as the system has them.
    pub buffer_grams: usize,
}

impl GramConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        GramConfig {
            max_gram: 65_535,
            rx_grams: 1024,
            rx_bytes: 1 << 20,
            rx_full: GramsFull::DropNewest,
            tx_grams: 1024,
            tx_bytes: 1 << 20,
            tick_grams: 256,
            burst_grams: 8,
            tick_bytes: 1 << 20,
            events: 256,
            stall: Some(Duration::from_secs(1)),
            pause: Duration::from_millis(100),
            spin: Config::SPIN,
            buffer_grams: 0,
        }
    }
}

impl Default for GramConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// At the cap of datagrams that wait to be taken. Either is counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum GramsFull {
    /// Drop what comes in, as the kernel does when its own buffer is full. The default.
    DropNewest,
    /// Drop what has waited longest.
    DropOldest,
}
