//! The queues of a remoter, through the calls that its user has, with pieces of all sizes and a stream that takes and gives what it is told.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use tymist::net::{Addr, BufferSizes, Listen, Listener, Net, Readiness, Stream, Token, Waker};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Config, Event, Server};

const MOST: usize = 200;

#[derive(Arbitrary, Debug)]
enum Op {
    /// Something arrives.
    Arrive(Size),
    Consume(Size),
    Take,
    TakeFirst(Size),
    Unread(Size),
    Tx(Size),
    TxBytes(Size),
    /// The network takes so much.
    Room(Size),
    Tick,
    Sends,
}

/// Sizes about which the queues care.
#[derive(Arbitrary, Debug)]
enum Size {
    Tiny(u8),
    Page(i8),
    Run(i8),
    Any(u16),
}

impl Size {
    fn get(&self) -> usize {
        match *self {
            Size::Tiny(size) => size.into(),
            Size::Page(by) => 1024_usize.saturating_add_signed(by.into()),
            Size::Run(by) => (16 * 1024_usize).saturating_add_signed(by.into()),
            Size::Any(size) => size.into(),
        }
    }
}

/// What the stream, its network and the fuzzer share.
#[derive(Default)]
struct Far {
    inward: VecDeque<u8>,
    outward: Vec<u8>,
    room: usize,
    /// The one connection was handed out.
    accepted: bool,
    listener: Option<Token>,
    stream: Option<Token>,
}

type Shared = Arc<Mutex<Far>>;

struct Piece(Shared, Addr);

impl Net for Piece {
    fn now(&mut self) -> Tyme {
        Tyme::ZERO
    }

    fn listen(&mut self, _: &Listen) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(Piece(Arc::clone(&self.0), self.1.clone())))
    }

    fn harvest(&mut self, _: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let far = self.0.lock().unwrap();
        // Too often is allowed.
        let both = [far.listener.filter(|_| !far.accepted), far.stream];
        ready.extend(both.into_iter().flatten().map(|token| Readiness {
            token,
            readable: true,
            writable: true,
            ending: false,
        }));
        Ok(())
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl Listener for Piece {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.0.lock().unwrap().listener = Some(token);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        if std::mem::replace(&mut self.0.lock().unwrap().accepted, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Piece(Arc::clone(&self.0), self.1.clone())))
    }

    fn local_addr(&self) -> &Addr {
        &self.1
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

impl Stream for Piece {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.0.lock().unwrap().stream = Some(token);
        Ok(())
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let far = &mut *self.0.lock().unwrap();
        let count = far.inward.len().min(buf.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buf.iter_mut().zip(far.inward.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let far = &mut *self.0.lock().unwrap();
        assert!(bufs.iter().any(|buf| !buf.is_empty()), "a write of nothing");
        if far.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let before = far.outward.len();
        for buf in bufs {
            let count = buf.len().min(far.room);
            far.outward.extend_from_slice(&buf[..count]);
            far.room -= count;
        }
        Ok(far.outward.len() - before)
    }

    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn set_abortive(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn local_addr(&self) -> &Addr {
        &self.1
    }

    fn peer_addr(&self) -> &Addr {
        &self.1
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        Ok(BufferSizes::default())
    }
}

/// The bytes `from..from + count` of a long pattern.
fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

/// Lists of operations on one connection's queues against positions in a pattern.
pub fn buffers(bytes: &[u8]) {
    // What is cut short has been run so far.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut config = Config::new();
    config.timeouts.write_stall = None;
    config.limits.tx_bytes = input.int_in_range(1..=200_000)?;
    config.limits.rx_bytes = input.int_in_range(1..=200_000)?;
    let far = Shared::default();
    let net = Piece(Arc::clone(&far), Addr::from(([10, 0, 0, 1], 1)));
    let mut server = Server::with_net(config, Box::new(net));
    server.wind(Tymist::new().tymth());
    server.listen(([10, 0, 0, 1], 1)).unwrap();
    server.service();
    let Some(Event::Accepted(id)) = server.poll_event() else { panic!("no connection") };
    // Positions in the patterns: what arrived, what was taken, what was queued.
    let (mut arrived, mut taken, mut queued) = (0, 0, 0);
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let op = Op::arbitrary(input)?;
        let remoter = server.remoter_mut(id).unwrap();
        let unread = remoter.rx().len();
        match op {
            Op::Arrive(size) => {
                far.lock().unwrap().inward.extend(pattern(arrived, size.get()));
                arrived += size.get();
            }
            Op::Consume(size) => {
                let count = remoter.consume(size.get());
                assert_eq!(count, size.get().min(unread));
                taken += count;
            }
            Op::Take => {
                assert_eq!(remoter.take(), pattern(taken, unread));
                taken += unread;
            }
            Op::TakeFirst(size) => {
                let count = size.get().min(unread);
                assert_eq!(remoter.take_first(size.get()), pattern(taken, count));
                taken += count;
            }
            Op::Unread(size) => {
                let count = size.get().min(taken);
                taken -= count;
                remoter.unread(pattern(taken, count).into());
            }
            Op::Tx(size) => {
                let room = remoter.tx_room();
                let count = remoter.tx(&pattern(queued, size.get())).unwrap();
                assert_eq!(count, room.min(size.get()));
                queued += count;
            }
            Op::TxBytes(size) => {
                let mut data = pattern(queued, size.get()).into();
                let count = remoter.tx_bytes(&mut data).unwrap();
                assert_eq!(data.len(), size.get() - count);
                queued += count;
            }
            Op::Room(size) => far.lock().unwrap().room += size.get(),
            Op::Tick => drop(server.service()),
            Op::Sends => drop(server.service_sends()),
        }
        while let Some(event) = server.poll_event() {
            assert!(matches!(event, Event::Received(_) | Event::Drained(_)), "{event:?}");
        }
        check(&server, id, &far, taken, queued);
    }
    // With room for all, all goes out.
    far.lock().unwrap().room = usize::MAX;
    while server.remoter(id).unwrap().tx_len() > 0 {
        server.service();
        server.clear_events();
    }
    assert_eq!(far.lock().unwrap().outward, pattern(0, queued));
    Ok(())
}

fn check(server: &Server, id: tymist::Id, far: &Shared, taken: usize, queued: usize) {
    let remoter = server.remoter(id).unwrap();
    let rx = remoter.rx();
    assert_eq!(rx, pattern(taken, rx.len()));
    let far = far.lock().unwrap();
    let sent = far.outward.len();
    assert_eq!(remoter.tx_len(), queued - sent);
    assert_eq!(server.buffered(), rx.len() + remoter.tx_len());
    if let Some(last) = sent.checked_sub(1) {
        assert_eq!(far.outward[last..], pattern(last, 1));
    }
}
