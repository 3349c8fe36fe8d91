//! The handshake as a state machine: read the ClientHello → choose the configuration → handshake → live.
//!
//! Each [`advance`](crate::net::Stream::advance) makes one bounded step: it reads at most 4 KiB, works through them and sends what comes
//! of them. A ClientHello answered is the dearest one: a key exchange and a signature.

use std::io;
use std::sync::Arc;

use super::error::{HandshakeError, HandshakeFailure};
use super::hello::{Choice, Collector, Hello, Verdict, alert};
use super::info::TlsInfo;
use super::records::{CHUNK, is_passing};
use super::server::Active;
use super::session::{Greeting, Refusal};
use super::stream::{Phase, TlsStream};
use crate::net::{Stage, Stream};

/// Held bytes that do not keep us from reading.
const BOTH_SEND: usize = 128;

/// What only a connection needs that is not live yet; dropped as soon as it is.
pub(super) enum Opening {
    /// A server that collects the ClientHello.
    Hello { collector: Collector, active: Arc<Active> },
    /// Either side, in the middle.
    Shaking {
        /// Bytes that the peer may still send before the handshake must be done.
        left: usize,
    },
    /// A client that could not make its first message.
    Unable { error: rustls::Error },
}

impl TlsStream {
    /// The same connection, having taken in the peer's first bytes; an error comes at the first step.
    pub(super) fn with_first(mut self, first: &[u8]) -> Self {
        if let Phase::Opening(opening) = &self.phase
            && let Opening::Shaking { left } = **opening
            && !first.is_empty()
        {
            let _ = self.take_in(first, left);
        }
        self
    }

    pub(super) fn step(&mut self) -> io::Result<Stage> {
        if matches!(self.phase, Phase::Opening(_)) && self.inner.advance()? == Stage::Handshaking {
            return Ok(Stage::Handshaking);
        }
        match &self.phase {
            Phase::Live | Phase::Broken(_) => Ok(Stage::Live),
            Phase::Failed(failure) => Err(HandshakeError::io(*failure, None)),
            Phase::Opening(opening) => match &**opening {
                Opening::Hello { .. } => self.step_hello(),
                Opening::Shaking { left } => self.step_shaking(*left),
                Opening::Unable { error } => {
                    let error = error.clone();
                    let failure = HandshakeFailure::from_rustls(&error);
                    Err(self.fail(failure, Some(Box::new(error))))
                }
            },
        }
    }

    fn step_hello(&mut self) -> io::Result<Stage> {
        let Phase::Opening(opening) = &mut self.phase else { return Ok(Stage::Live) };
        let Opening::Hello { collector, .. } = &mut **opening else {
            return Ok(Stage::Handshaking);
        };
        // Bytes given at the start may hold it all.
        let mut verdict = collector.verdict();
        if verdict == Verdict::More {
            let mut chunk = [0; CHUNK];
            let room = collector.room().min(CHUNK);
            let got = self.inner.read(&mut chunk[..room])?;
            if got == 0 {
                return Err(self.fail(HandshakeFailure::Eof, None));
            }
            collector.push(&chunk[..got]);
            verdict = collector.verdict();
        }
        match verdict {
            Verdict::More => Ok(Stage::Handshaking),
            Verdict::Whole => self.answer(),
            Verdict::Bad(failure, code) => Err(self.fail_with_alert(failure, code)),
        }
    }

    /// The ClientHello is whole: chooses the configuration and answers.
    fn answer(&mut self) -> io::Result<Stage> {
        let phase = core::mem::replace(&mut self.phase, Phase::Failed(HandshakeFailure::Other));
        let Phase::Opening(opening) = phase else { return Ok(Stage::Live) };
        let Opening::Hello { collector, active } = *opening else { return Ok(Stage::Handshaking) };
        let (greeting, taken) = match Greeting::read(collector.bytes()) {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(refusal)),
        };
        let chosen = match self.choose(&greeting, &active) {
            Ok(chosen) => chosen.unwrap_or(active),
            Err((failure, code)) => return Err(self.fail_with_alert(failure, code)),
        };
        let session = match greeting.answer(Arc::clone(&chosen.config)) {
            Ok(session) => session,
            Err(refusal) => return Err(self.refuse(refusal)),
        };
        self.info = Some(TlsInfo::server(session, chosen.verifies_clients));
        self.phase = Phase::Opening(Box::new(Opening::Shaking { left: chosen.handshake_max }));
        self.take_in(&collector.bytes()[taken..], chosen.handshake_max)?;
        if let Some(info) = &mut self.info
            && taken == collector.bytes().len()
        {
            // The room that the ClientHello took in there is not needed again.
            info.session.shrink();
        }
        Ok(self.stage())
    }

    fn choose(
        &self,
        greeting: &Greeting,
        active: &Active,
    ) -> Result<Option<Arc<Active>>, (HandshakeFailure, u8)> {
        let hello = greeting.hello();
        let (local, peer) = (self.inner.local_addr(), self.inner.peer_addr());
        let asked = Hello { hello: &hello, local, peer };
        let choice = active.chooser.as_ref().map_or(Choice::Same, |chooser| chooser.choose(&asked));
        let chosen = match choice {
            Choice::Same => None,
            Choice::Use(tls) => Some(tls.active()),
            Choice::Refuse => return Err((HandshakeFailure::Refused, alert::ACCESS_DENIED)),
        };
        if !chosen.as_deref().unwrap_or(active).names.serves(hello.server_name()) {
            return Err((HandshakeFailure::UnknownName, alert::UNRECOGNIZED_NAME));
        }
        Ok(chosen)
    }

    fn step_shaking(&mut self, left: usize) -> io::Result<Stage> {
        // Our own flight first: a peer that does not read it is not read from either. Unless it is so little that both may be
        // sending at once, as TLS 1.3 clients do with their dummy change_cipher_spec; then each would wait for the other.
        match self.send_out() {
            Ok(()) => self.read_step(left),
            Err(error) if is_passing(&error) => {
                if self.held() > BOTH_SEND {
                    Err(error)
                } else {
                    self.read_step(left)
                }
            }
            // A peer that gave up and closed has said why, and that may still be there to read.
            Err(error) => match self.read_step(left) {
                Err(why) if HandshakeFailure::of(&why).is_some() => Err(why),
                _ => Err(error),
            },
        }
    }

    fn read_step(&mut self, left: usize) -> io::Result<Stage> {
        let mut chunk = [0; CHUNK];
        let got = self.inner.read(&mut chunk[..left.min(CHUNK)])?;
        if got == 0 {
            return Err(self.fail(HandshakeFailure::Eof, None));
        }
        self.take_in(&chunk[..got], left)?;
        Ok(self.stage())
    }

    /// Works through what the peer sent, of which `left` bytes are allowed before the handshake is done.
    fn take_in(&mut self, bytes: &[u8], left: usize) -> io::Result<()> {
        let Some(info) = &mut self.info else { return Ok(()) };
        let mut fed = 0;
        // What was fed with the ClientHello may be inside already, and must be digested although nothing is fed here.
        let mut result = if bytes.is_empty() { info.session.digest() } else { Ok(()) };
        while fed < bytes.len() && result.is_ok() {
            result = info.session.feed(&bytes[fed..]).map(|taken| fed += taken);
        }
        let handshaking = info.session.handshaking();
        if let Err(error) = result {
            let failure = HandshakeFailure::from_rustls(&error);
            return Err(self.fail(failure, Some(Box::new(error))));
        }
        let left = left.saturating_sub(bytes.len());
        if !handshaking {
            self.phase = Phase::Live;
        } else if left == 0 {
            // rustls has no way to send another alert than this one under the keys of the moment.
            info.session.close();
            return Err(self.fail(HandshakeFailure::TooManyBytes, None));
        } else {
            self.phase = Phase::Opening(Box::new(Opening::Shaking { left }));
        }
        self.send_some()
    }

    fn stage(&self) -> Stage {
        if matches!(self.phase, Phase::Live) { Stage::Live } else { Stage::Handshaking }
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Error {
        let failure = HandshakeFailure::from_rustls(&refusal.error);
        if refusal.alert.is_empty() {
            self.held.push(&alert::fatal(alert::INTERNAL_ERROR));
        } else {
            self.held.push(&refusal.alert);
        }
        self.fail(failure, Some(Box::new(refusal.error)))
    }

    fn fail_with_alert(&mut self, failure: HandshakeFailure, code: u8) -> io::Error {
        self.held.push(&alert::fatal(code));
        self.fail(failure, None)
    }

    /// The handshake is over for good; an alert goes out now or is held.
    fn fail(
        &mut self,
        failure: HandshakeFailure,
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> io::Error {
        self.phase = Phase::Failed(failure);
        // The failure at hand says more than one of sending the alert.
        let _ = self.send_out();
        self.info = None;
        HandshakeError::io(failure, cause)
    }
}
