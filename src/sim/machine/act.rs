//! What befalls a world: partitions, clogs, crashes, and the like.

use core::time::Duration;

use super::Core;
use super::tcp::Tcp;
use crate::sim::queue::Event;
use crate::sim::topology::{Cut, HostId, Link};
use crate::sim::trace::What;
use crate::sim::{Act, Step};
use crate::tyme::Tyme;

impl Core {
    /// Plans an act; one whose tyme has passed is done at the next step.
    pub(in crate::sim) fn plan(&mut self, at: Tyme, act: Act) {
        let index = u32::try_from(self.acts.len()).unwrap_or(u32::MAX);
        self.acts.push(Some(act));
        self.queue.push(at.max(self.now), Event::Act(index));
    }

    /// What was planned and has not come to pass, or found nothing to act on.
    pub(in crate::sim) fn unfired_acts(&self) -> Vec<String> {
        let waiting = self.acts.iter().flatten().map(|act| format!("{act:?} never came due"));
        self.unmet.iter().cloned().chain(waiting).collect()
    }

    /// Does it now. What finds nothing to act on is remembered.
    pub(in crate::sim) fn perform(&mut self, act: &Act) -> Step {
        let text = format!("{act:?}");
        self.record(&What::Act { text: text.clone() });
        self.stats.acts += 1;
        let (done, step) = match act {
            Act::Partition(cut) => {
                let some = self.cuts_more(cut);
                self.cuts.push(cut.clone());
                self.recut();
                (some, Step::Act)
            }
            Act::Heal => {
                let some = !self.cuts.is_empty();
                self.cuts.clear();
                self.recut();
                (some, Step::Act)
            }
            Act::Clog { from, to } => (self.clog(*from, *to), Step::Act),
            Act::Unclog { from, to } => (self.unclog(*from, *to), Step::Act),
            Act::Crash(host) => (self.crash(*host), Step::Crashed(*host)),
            Act::Restart(host) => (self.restart(*host), Step::Restarted(*host)),
            Act::Pause(host, time) => (self.pause(*host, *time), Step::Act),
            Act::Resume(host) => (self.resume(*host), Step::Act),
            Act::LoseListener(host, port) => (self.lose_listeners(*host, *port), Step::Act),
            Act::Relink { from, to, link } => (self.relink(*from, *to, link), Step::Act),
        };
        if !done {
            self.unmet.push(format!("{text} found nothing to act on"));
            return Step::Act;
        }
        step
    }

    fn clog(&mut self, from: HostId, to: HostId) -> bool {
        if self.clogs.contains(&(from, to)) {
            return false;
        }
        self.clogs.push((from, to));
        for path in self.ways(from, to) {
            self.paths[path as usize].clogged = true;
        }
        true
    }

    fn unclog(&mut self, from: HostId, to: HostId) -> bool {
        let before = self.clogs.len();
        self.clogs.retain(|&way| way != (from, to));
        for path in self.ways(from, to) {
            self.paths[path as usize].clogged = false;
            // Before whatever else arrives at this tyme, so that order is kept.
            self.paths[path as usize].held_bytes = 0;
            for packet in core::mem::take(&mut self.paths[path as usize].held) {
                self.arrive(packet);
            }
        }
        before != self.clogs.len()
    }

    fn relink(&mut self, from: HostId, to: HostId, link: &Link) -> bool {
        let other = self.link(from, to) != link;
        self.set_link(from, to, link.clone());
        other
    }

    /// Whether there is a way that only this cut severs.
    fn cuts_more(&self, cut: &Cut) -> bool {
        let ids = || (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId);
        let before = |from, to| self.cuts.iter().any(|cut| cut.severs(from, to));
        ids().any(|from| ids().any(|to| cut.severs(from, to) && !before(from, to)))
    }

    fn crash(&mut self, id: HostId) -> bool {
        let host = self.host_mut(id);
        if !host.up {
            return false;
        }
        host.up = false;
        host.epoch = host.epoch.wrapping_add(1);
        host.turn_at = None;
        host.deadline = None;
        host.nets = 0;
        self.forget_sockets(id);
        self.record(&What::Up { host: id, up: false });
        self.miss_answers_of(id);
        true
    }

    /// Whoever waits for an answer of that host asks again after a while; the answer that was due is gone with it.
    fn miss_answers_of(&mut self, id: HostId) {
        let waits = |tcp: &Tcp| {
            let leads_there = tcp.path.is_some_and(|path| self.paths[path as usize].to == id);
            leads_there && tcp.acked < tcp.next
        };
        let all = self.tcps.iter();
        let waiting: Vec<usize> = all.filter(|(_, it)| waits(it)).map(|(index, _)| index).collect();
        waiting.into_iter().for_each(|index| self.arm_retry(index));
    }

    fn restart(&mut self, id: HostId) -> bool {
        let now = self.now;
        let host = self.host_mut(id);
        if host.up {
            return false;
        }
        host.up = true;
        (host.free_at, host.paused_until) = (now, now);
        // Its turn comes once its program has been made.
        self.record(&What::Up { host: id, up: true });
        true
    }

    /// No turn before so much time has passed; the network goes on.
    fn pause(&mut self, id: HostId, time: Duration) -> bool {
        let now = self.now;
        let host = self.host_mut(id);
        host.paused_until = host.paused_until.max(now + time);
        host.up
    }

    /// What it would have done meanwhile, it does now.
    fn resume(&mut self, id: HostId) -> bool {
        let now = self.now;
        let host = self.host_mut(id);
        let until = core::mem::replace(&mut host.paused_until, now);
        if !host.up || until <= now {
            return false;
        }
        // Whenever it was put off to: the pause may have been made longer since.
        if host.turn_at.is_some() {
            self.schedule_turn(id);
        }
        true
    }
}
