//! When a host gets a turn.

use core::time::Duration;

use super::Core;
use super::host::Host;
use crate::Wake;
use crate::sim::queue::Event;
use crate::sim::topology::HostId;
use crate::sim::trace::What;
use crate::tyme::Tyme;

impl Host {
    /// Before that it gets none.
    fn next_turn(&self) -> Tyme {
        self.free_at.max(self.paused_until)
    }
}

impl Core {
    pub(super) fn begin_turn(&mut self, id: HostId, stamp: u32) -> bool {
        let now = self.now;
        let host = self.host_mut(id);
        // Moved since, or the host has gone down.
        if host.turn_stamp != stamp || host.turn_at.is_none() {
            return false;
        }
        host.turn_at = None;
        if host.next_turn() > now {
            // It was paused since.
            self.schedule_turn(id);
            return false;
        }
        host.free_at = now + host.spec.turn.max(Duration::from_nanos(1));
        self.stats.turns += 1;
        if self.recorder.on() {
            self.record(&What::Turn { host: id });
        }
        true
    }

    /// Gives the host a turn now, or as soon as it is free.
    pub(in crate::sim) fn schedule_turn(&mut self, id: HostId) {
        let now = self.now;
        let host = &mut self.hosts[id.index()];
        let at = now.max(host.next_turn());
        if !host.up || host.turn_at.is_some_and(|turn| turn <= at) {
            return;
        }
        host.turn_stamp = host.turn_stamp.wrapping_add(1);
        host.turn_at = Some(at);
        self.queue.push(at, Event::Turn(id.0, host.turn_stamp));
    }

    /// Gives the host an extra turn at `at`, by the world's clock.
    pub(in crate::sim) fn nudge(&mut self, id: HostId, at: Tyme) {
        let epoch = self.host(id).epoch;
        self.queue.push(at.max(self.now), Event::Nudge(id.0, epoch));
    }

    pub(in crate::sim) fn set_wake(&mut self, id: HostId, wake: Wake) {
        let now = self.now;
        let host = self.host_mut(id);
        match wake {
            Wake::Now => self.schedule_turn(id),
            Wake::OnIo => host.deadline = None,
            Wake::At(tyme) => {
                let due = host.tymth.due(tyme);
                if due <= now {
                    host.deadline = None;
                    return self.schedule_turn(id);
                }
                host.deadline = (due != Tyme::NEVER).then_some(due);
                self.set_alarm(id, due);
            }
        }
    }

    /// Sees to an alarm by `at`. One that is under way and comes sooner will do: it moves on by itself. So those under way stand in order, and a deadline
    /// that jumps to and fro leaves no more of them behind than it has ever drawn nearer.
    fn set_alarm(&mut self, id: HostId, at: Tyme) {
        let host = &mut self.hosts[id.index()];
        if at == Tyme::NEVER || host.alarms.last().is_some_and(|&next| next <= at) {
            return;
        }
        host.alarms.push(at);
        self.queue.push(at, Event::Alarm(id.0));
    }

    pub(super) fn alarm(&mut self, id: HostId) {
        let now = self.now;
        let host = self.host_mut(id);
        host.alarms.pop();
        match host.deadline {
            Some(due) if due <= now => {
                host.deadline = None;
                self.schedule_turn(id);
            }
            Some(due) => self.set_alarm(id, due),
            None => {}
        }
    }
}
