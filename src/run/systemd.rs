//! Life under systemd (or what speaks as it does): the sockets that it has opened, and what it wants to hear. Feature `systemd`, Unix.
//!
//! What the environment says is read; where it says nothing, none of this does anything, so that the same program runs by hand.
//!
//! ```
//! use tymist::run::systemd::{Notify, sockets};
//! use tymist::{Config, Event, Server, Wake};
//!
//! let mut inherited = sockets()?; // before any thread is started
//! let mut server = Server::new(Config::new());
//! inherited.listen(&mut server, "127.0.0.1:0".parse::<tymist::net::Listen>()?)?;
//! let notify = Notify::from_env();
//! let mut watchdog = notify.watchdog();
//! notify.ready()?;
//! let mut service = |_: &mut Server, _: Event| {};
//! for _tick in 0..3 {
//!     let due = watchdog.as_mut().map_or(Wake::OnIo, |it| it.tick(server.tyme()));
//! #   let due = Wake::Now;
//!     server.wait_until(due);
//!     server.serve(&mut service);
//! }
//! notify.stopping()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::time::Duration;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;

use super::Inherited;
use crate::event::Wake;
use crate::tyme::Tyme;

/// The listening sockets that the service manager has opened for this process (`LISTEN_FDS`), TCP and (with the feature `uds`) Unix streams; none where there
/// are none. Their files, if they have some, stay its own.
///
/// To be called once, and before any thread is started: it takes the variables out of the environment, so that children do not take them for theirs.
///
/// # Errors
/// If one of the descriptors is something else.
pub fn sockets() -> io::Result<Inherited> {
    let mut found = listenfd::ListenFd::from_env();
    let mut inherited = Inherited::new();
    for at in 0..found.len() {
        let error = match found.take_tcp_listener(at) {
            Ok(socket) => {
                socket.map_or(Ok(()), |socket| inherited.push(socket))?;
                continue;
            }
            Err(error) => error,
        };
        #[cfg(feature = "uds")]
        if let Ok(Some(socket)) = found.take_unix_listener(at) {
            inherited.push_unix(socket, false)?;
            continue;
        }
        let text = format!("socket {at} of those in LISTEN_FDS is none to listen on: {error}");
        return Err(io::Error::new(error.kind(), text));
    }
    Ok(inherited)
}

/// The way to tell the service manager how things are (`NOTIFY_SOCKET`: a path, or `@` and an abstract name). Each word is one datagram, and never waits; where
/// nobody is to be told, nothing is done.
#[derive(Clone, Debug)]
pub struct Notify {
    watchdog: Option<Duration>,
    /// That of whatever process it is set for.
    any_watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says.
    #[must_use]
    pub fn from_env() -> Self {
        let told = std::env::var("WATCHDOG_USEC").ok().and_then(|told| told.parse().ok());
        Notify {
            watchdog: sd_notify::watchdog_enabled().filter(|it| !it.is_zero()),
            any_watchdog: told.map(Duration::from_micros).filter(|it| !it.is_zero()),
        }
    }

    /// The time that this process is allowed between two signs of life.
    pub(super) fn own_watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The same, be it set for the process that this one succeeds: a child's `WATCHDOG_PID` is its parent's.
    pub(super) fn any_watchdog(&self) -> Option<Duration> {
        self.any_watchdog
    }

    /// `READY=1`: it serves, or serves again after [`reloading`](Notify::reloading).
    ///
    /// # Errors
    /// What the system says; so with the others. `WouldBlock`: the service manager does not read, and no more fits. Say it again later, if it matters.
    pub fn ready(&self) -> io::Result<()> {
        tell(&[NotifyState::Ready])
    }

    /// `RELOADING=1`, with the time: it reads its settings anew. [`ready`](Notify::ready) ends that.
    ///
    /// # Errors
    /// As [`ready`](Notify::ready).
    pub fn reloading(&self) -> io::Result<()> {
        tell(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
    }

    /// `STOPPING=1`: it begins to end.
    ///
    /// # Errors
    /// As [`ready`](Notify::ready).
    pub fn stopping(&self) -> io::Result<()> {
        tell(&[NotifyState::Stopping])
    }

    /// `MAINPID=` this process and `READY=1`: it has taken over from the process that was started (which needs `NotifyAccess=all`). A
    /// [`Manager`](super::Manager) says so by itself once that is confirmed.
    ///
    /// # Errors
    /// As [`ready`](Notify::ready).
    pub fn succeeded(&self) -> io::Result<()> {
        tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready])
    }

    /// `STATUS=`: one line for people.
    ///
    /// # Errors
    /// As [`ready`](Notify::ready).
    pub fn status(&self, line: &str) -> io::Result<()> {
        tell(&[NotifyState::Status(line.lines().next().unwrap_or(""))])
    }

    /// The watchdog to be fed, if the service manager wants that (`WATCHDOG_USEC`).
    #[must_use]
    pub fn watchdog(&self) -> Option<Watchdog> {
        self.watchdog.map(|allowed| Watchdog { pulse: Pulse::of(allowed, 1) })
    }
}

/// At once or not at all: whoever says something has others to serve.
fn tell(words: &[NotifyState<'_>]) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let text: String = words.iter().map(|word| format!("{word}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &addr(&name)?).map(drop)
}

fn addr(name: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Some(name) = name.as_encoded_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(name)
}

/// Feeds the service manager's watchdog from the tick: who ticks no more is restarted.
#[derive(Debug)]
pub struct Watchdog {
    pulse: Arc<Pulse>,
}

impl Watchdog {
    /// To be called once a tick; `now` is of a clock that follows real time, such as `server.tyme()`. Says `WATCHDOG=1` four times in the time that is allowed,
    /// and returns when it wants the next tick.
    pub fn tick(&mut self, now: Tyme) -> Wake {
        self.pulse.beat(0, now)
    }
}

/// One watchdog of several engines: it is fed when each of them has ticked again, so that all must.
#[derive(Debug)]
pub(super) struct Pulse {
    every: Duration,
    beats: Mutex<Vec<Beat>>,
}

#[derive(Copy, Clone, Debug, Default)]
struct Beat {
    /// By its own clock.
    next: Tyme,
    beaten: bool,
    /// It has ended as it should, and is not waited for.
    done: bool,
}

impl Pulse {
    pub(super) fn of(allowed: Duration, engines: usize) -> Arc<Self> {
        // Each engine once in a quarter, so that all have within a half.
        let every = allowed / 4;
        Arc::new(Pulse { every, beats: Mutex::new(vec![Beat::default(); engines]) })
    }

    /// This engine goes on; returns when it is to say so again.
    pub(super) fn beat(&self, engine: usize, now: Tyme) -> Wake {
        let (next, all) = {
            let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(beat) = beats.get_mut(engine) else { return Wake::OnIo };
            if now >= beat.next {
                beat.next = now + self.every;
                beat.beaten = true;
            }
            (beat.next, all_go_on(&mut beats))
        };
        if all {
            // If it does not arrive, the next may; in the end the service manager acts on it, as it should.
            let _ = tell(&[NotifyState::Watchdog]);
        }
        Wake::At(next)
    }

    /// This engine has ended in order.
    pub(super) fn done(&self, engine: usize) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beat) = beats.get_mut(engine) {
            beat.done = true;
        }
    }
}

/// Whether each has said so since that was last the case.
fn all_go_on(beats: &mut [Beat]) -> bool {
    let all = beats.iter().all(|beat| beat.beaten || beat.done);
    if all {
        beats.iter_mut().for_each(|beat| beat.beaten = false);
    }
    all
}
