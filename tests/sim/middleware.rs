//! The middleware of faults around a network made by hand: whose clock it goes by, how long it waits, what it passes on.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sim_util::*;
use tymist::net::{Addr, Bind, Datagram, Gram, Listen, Listener, Net, Readiness, Token};
use tymist::sim::Op;
use tymist::sim::fault::{ChaosNet, Effect, Faults, Rule};
use tymist::tyme::Tyme;

/// The clock of a network made by hand, what it is to report, and what a test sees of it.
struct Seen {
    tyme: Tyme,
    coming: Vec<Readiness>,
    /// How long each harvest waited.
    waits: Vec<Duration>,
}

/// Nothing else comes in, so a wait takes all its time.
struct ByHand(Arc<Mutex<Seen>>);

impl Net for ByHand {
    fn now(&mut self) -> Tyme {
        self.0.lock().unwrap().tyme
    }

    fn listen(&mut self, _: &Listen) -> io::Result<Box<dyn Listener>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn bind(&mut self, _: &Bind) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(Quiet))
    }

    #[cfg(feature = "os")]
    fn adopt_listener(
        &mut self,
        _: std::net::TcpListener,
        _: &tymist::net::SocketOptions,
    ) -> Result<Box<dyn Listener>, (io::Error, std::net::TcpListener)> {
        Ok(Box::new(Quiet))
    }

    fn harvest(&mut self, wait: Option<Duration>, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut seen = self.0.lock().unwrap();
        let wait = wait.expect("nothing would end it");
        seen.tyme += wait;
        seen.waits.push(wait);
        ready.append(&mut seen.coming);
        Ok(())
    }

    fn left_more(&self) -> bool {
        true
    }
}

/// Takes all, in one go, and gives nothing.
struct Quiet;

impl Datagram for Quiet {
    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8]) -> io::Result<Gram> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, _: &[u8], _: &Addr) -> io::Result<()> {
        Ok(())
    }

    fn send_many(&mut self, grams: &[(&[u8], &Addr)]) -> io::Result<usize> {
        Ok(grams.len())
    }
}

impl Listener for Quiet {
    fn accept(&mut self) -> io::Result<Box<dyn tymist::net::Stream>> {
        Err(ErrorKind::WouldBlock.into())
    }
}

fn by_hand(faults: &Faults) -> (Arc<Mutex<Seen>>, ChaosNet) {
    let seen = Seen { tyme: Tyme::from_secs(5), coming: Vec::new(), waits: Vec::new() };
    let seen = Arc::new(Mutex::new(seen));
    let net = ChaosNet::new(Box::new(ByHand(Arc::clone(&seen))), faults.clone(), "here");
    (seen, net)
}

/// What a rule makes wait is reported by the harvest that waits for it, and no wait is longer than until then.
#[test]
fn a_harvest_waits_until_the_next_report_and_gives_it() {
    let faults = Faults::new(1);
    let (seen, mut net) = by_hand(&faults);
    let mut socket = net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    socket.register(token(3)).unwrap();
    for (effect, time) in
        [(Effect::WouldBlock, Duration::from_micros(100)), (Effect::Stall(millis(30)), millis(30))]
    {
        let mut block = || {
            faults.add(Rule::new("later", effect.clone()).on(&[Op::Receive]).times(1));
            assert_eq!(socket.receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        };
        let mut ready = Vec::new();
        block();
        net.harvest(Some(SECOND), &mut ready).unwrap();
        let report = Readiness { token: token(3), readable: true, writable: false, ending: false };
        assert_eq!(ready, [report], "at once when it is due");
        assert_eq!(seen.lock().unwrap().waits.pop(), Some(time));
        block();
        // The loop was busy elsewhere.
        seen.lock().unwrap().tyme = net.now() + SECOND;
        ready.clear();
        net.harvest(Some(SECOND), &mut ready).unwrap();
        assert_eq!(ready, [report]);
        assert_eq!(seen.lock().unwrap().waits.pop(), Some(Duration::ZERO), "it is there already");
    }
    let mut ready = Vec::new();
    net.harvest(Some(SECOND), &mut ready).unwrap();
    assert_eq!((ready.len(), seen.lock().unwrap().waits.pop()), (0, Some(SECOND)));
}

/// Once rules have ended, and what they began, datagrams go in one go again.
#[test]
fn datagrams_go_together_while_no_rule_could_be_about_one() {
    let faults = Faults::new(1);
    let (seen, mut net) = by_hand(&faults);
    let mut socket = net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
    let to: Addr = "127.0.0.1:9".parse().unwrap();
    let both: [(&[u8], &Addr); 2] = [(b"a", &to), (b"b", &to)];
    let mut send = || socket.send_many(&both).map_err(|error| error.kind());
    assert_eq!(send(), Ok(2));
    faults.add(Rule::new("stall", Effect::Stall(millis(30))).on(&[Op::Send]).times(1));
    assert_eq!(send(), Err(ErrorKind::WouldBlock));
    faults.stop();
    assert_eq!(send(), Err(ErrorKind::WouldBlock), "it lasts its time");
    seen.lock().unwrap().tyme = net.now() + millis(30);
    net.now();
    assert_eq!(send(), Ok(1), "perhaps it still lasts");
    assert_eq!(send(), Ok(2));
}

/// A datagram socket ends as others do, where an error of it is reported so; the next one with its token has not ended.
#[test]
fn a_token_of_a_datagram_socket_can_be_used_again() {
    let faults = Faults::new(1);
    faults.add(Rule::new("later", Effect::WouldBlock).on(&[Op::Receive]));
    let (seen, mut net) = by_hand(&faults);
    let failed = Readiness { token: token(3), readable: true, writable: false, ending: true };
    for first in [true, false] {
        let mut socket = net.bind(&Bind::new(([0, 0, 0, 0], 9))).unwrap();
        socket.register(token(3)).unwrap();
        seen.lock().unwrap().coming.extend(first.then_some(failed));
        let mut ready = Vec::new();
        net.harvest(Some(SECOND), &mut ready).unwrap();
        socket.receive(&mut [0; 8]).unwrap_err();
        net.harvest(Some(SECOND), &mut ready).unwrap();
        assert_eq!(ready.last().map(|again| again.ending), Some(first));
    }
}

#[test]
fn it_tells_what_is_below_and_what_it_goes_by() {
    let faults = Faults::new(1);
    faults.add(Rule::new("never", Effect::Reset));
    let (_, net) = by_hand(&faults);
    assert!(net.left_more(), "as the network below says");
    let text = format!("{net:?}");
    assert!(text.contains("\"here\"") && text.contains("\"never\", 0"), "{text}");
}

/// What was adopted before any other call goes by the clock as it was when the middleware was made.
#[cfg(feature = "os")]
#[test]
fn an_adopted_listener_goes_by_the_clock_at_once() {
    #![expect(clippy::disallowed_methods, reason = "it was made elsewhere")]
    use tymist::sim::Errno;
    let faults = Faults::new(1);
    let (_, mut net) = by_hand(&faults);
    let made = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listener = net.adopt_listener(made, &Default::default()).unwrap();
    let rule = Rule::new("out", Effect::Fail(Errno::Emfile)).on(&[Op::Accept]);
    faults.add(rule.from(Tyme::from_secs(5)));
    let error = listener.accept().err().unwrap();
    assert_eq!(Errno::from_number(error.raw_os_error().unwrap()), Some(Errno::Emfile));
}
