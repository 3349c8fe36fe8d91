//! One direction of a socket: what rules have done to it.

use std::io;
use std::sync::Arc;

use super::Hit;
use super::chaos::Link;
use super::rule::Effect;
use crate::net::Token;
use crate::sim::{Errno, Op};
use crate::tyme::Tyme;

/// One direction of a socket, or a listener.
#[derive(Default)]
pub(super) struct Way {
    /// All calls say `WouldBlock` until then, by this rule.
    stall: Option<(Tyme, Arc<str>, Effect)>,
    /// The rule that last made a call wait. Whether that changed anything shows the next call that is let through.
    doubt: Option<usize>,
}

impl Way {
    /// Whether nothing is left of any rule.
    pub(super) fn is_free(&self) -> bool {
        self.stall.is_none() && self.doubt.is_none()
    }

    /// Whether it is stalled now; such a call leaves its record, and counts as no further fault.
    pub(super) fn is_stalled(&mut self, link: &Link, op: Op) -> bool {
        match &self.stall {
            Some((until, rule, effect)) if link.now() < *until => {
                link.repeat(rule, op, effect);
                true
            }
            _ => {
                self.stall = None;
                false
            }
        }
    }

    /// Makes the call wait, as the effect (`WouldBlock` or `Stall`) says.
    pub(super) fn block(
        &mut self,
        link: &Link,
        token: Option<Token>,
        op: Op,
        (index, rule, effect): Hit,
    ) -> io::Error {
        link.observe(&rule, op, &effect);
        self.doubt = Some(index);
        match effect {
            Effect::Stall(time) => {
                let until = link.now() + time;
                link.echo_at(until, token, op);
                self.stall = Some((until, rule, effect));
            }
            _ => link.echo(token, op),
        }
        Errno::Eagain.error()
    }

    /// After a call that was let through: one that blocks all the same shows that waiting made no difference before.
    pub(super) fn settle<T>(&mut self, link: &Link, result: &io::Result<T>) {
        if let Some(index) = self.doubt.take()
            && result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            link.faults.retract(index);
        }
    }
}
