//! Sleeping until any of several descriptors has something, a waker calls, or a time has passed.

use core::time::Duration;
#[cfg(unix)]
use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::net::{Descriptor, Waker};

/// What the waker's own events are called.
const WAKE: mio::Token = mio::Token(usize::MAX);

/// One poller, on which the descriptors of others are watched.
///
/// Each is registered anew (or changed, which costs one system call) before each sleep: that reports what is already true, so nothing can be lost between
/// sleeps although reports are edges, and a descriptor whose owner took only a part of what there was is reported again. Handles are held while
/// registered, so a number cannot have come to name something else meanwhile.
pub(crate) struct Sleeper {
    poll: mio::Poll,
    events: mio::Events,
    waker: Option<Arc<mio::Waker>>,
    /// By their numbers.
    #[cfg(unix)]
    watched: BTreeMap<RawFd, Descriptor>,
}

impl Sleeper {
    /// Takes one descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        let (poll, events) = (mio::Poll::new()?, mio::Events::with_capacity(64));
        Ok(Sleeper {
            poll,
            events,
            waker: None,
            #[cfg(unix)]
            watched: BTreeMap::new(),
        })
    }

    /// A handle that ends the sleep under way, or else the next one.
    pub(crate) fn waker(&mut self) -> io::Result<Waker> {
        let waker = match &self.waker {
            Some(waker) => Arc::clone(waker),
            None => Arc::new(mio::Waker::new(self.poll.registry(), WAKE)?),
        };
        self.waker = Some(Arc::clone(&waker));
        Ok(Waker::new(move || waker.wake()))
    }

    /// Whether anybody could end a sleep that has no end of its own.
    pub(crate) fn has_waker(&self) -> bool {
        self.waker.is_some()
    }

    /// Sleeps until one of `descriptors` has something, the waker calls, a signal comes, or `limit` has passed (`None`: no limit). Whether it was a descriptor.
    pub(crate) fn sleep(
        &mut self,
        descriptors: &[Descriptor],
        limit: Option<Duration>,
    ) -> io::Result<bool> {
        self.watch(descriptors)?;
        match self.poll.poll(&mut self.events, limit) {
            Ok(()) => Ok(self.events.iter().any(|event| event.token() != WAKE)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[cfg(unix)]
    fn watch(&mut self, descriptors: &[Descriptor]) -> io::Result<()> {
        use std::os::fd::AsRawFd;

        use mio::unix::SourceFd;

        let numbered = descriptors.iter().map(|descriptor| (descriptor.as_raw_fd(), descriptor));
        let wanted: BTreeMap<RawFd, &Descriptor> = numbered.collect();
        let registry = self.poll.registry();
        self.watched.retain(|number, old| {
            let stays = wanted.get(number).is_some_and(|new| new.same(old));
            if !stays {
                // It was registered, and is open while it is held: there is no error that would mean anything.
                let _ = registry.deregister(&mut SourceFd(number));
            }
            stays
        });
        for (number, descriptor) in wanted {
            let (source, token) = (&mut SourceFd(&number), mio::Token(0));
            match self.watched.entry(number) {
                Entry::Occupied(_) => {
                    registry.reregister(source, token, mio::Interest::READABLE)?;
                }
                Entry::Vacant(place) => {
                    registry.register(source, token, mio::Interest::READABLE)?;
                    place.insert(descriptor.clone());
                }
            }
        }
        Ok(())
    }

    /// There are none.
    #[cfg(not(unix))]
    fn watch(&mut self, _: &[Descriptor]) -> io::Result<()> {
        Ok(())
    }
}
