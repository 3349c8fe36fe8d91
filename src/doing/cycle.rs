//! What a Doist does inside: entering, cycles, ending.

use core::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::deed::Deed;
use super::doist::{Doist, Entry};
use super::handle::Request;
use super::load::{Panic, drop_panic, keep_first};
use super::{Doer, DoerId, End, Failed, Finish, OnError};
use crate::tyme::{Tyme, Tymth};

impl Doist {
    pub(super) fn entry(&self, id: DoerId) -> Option<&Entry> {
        match self.place(id) {
            Some(at) => self.deeds.get(at),
            None => self.ended.iter().find(|entry| entry.id == id),
        }
    }

    /// Where it is among those under way.
    pub(super) fn place(&self, id: DoerId) -> Option<usize> {
        self.deeds.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    pub(super) fn take_in(&mut self, id: DoerId, doer: Box<dyn Doer>) {
        // At its place: ids are given when they are asked for.
        let at = self.deeds.partition_point(|entry| entry.id < id);
        self.deeds.insert(at, Entry { id, deed: Deed::new(doer) });
        if let Some((tymth, _)) = &self.entered {
            let tymth = tymth.clone();
            self.guarded(|doist| doist.enter_one(id, &tymth));
        }
    }

    pub(super) fn enter_one(&mut self, id: DoerId, tymth: &Tymth) {
        let Some(at) = self.place(id) else { return };
        self.current = Some(id);
        self.deeds[at].deed.enter(tymth);
        self.current = None;
        self.retire_if_over(id);
    }

    pub(super) fn end_one(&mut self, id: DoerId) {
        let Some(at) = self.place(id) else { return };
        if self.deeds[at].deed.life.is_going() {
            self.guarded(|doist| {
                doist.current = Some(id);
                doist.deeds[at].deed.end(End::Forced);
                doist.current = None;
                doist.retire_if_over(id);
            });
        }
    }

    /// Moves one that has ended to those that have.
    pub(super) fn retire_if_over(&mut self, id: DoerId) {
        if let Some(at) = self.place(id)
            && !self.deeds[at].deed.life.is_going()
        {
            let entry = self.deeds.remove(at);
            self.retire(entry);
        }
    }

    pub(super) fn retire(&mut self, entry: Entry) {
        let id = entry.id;
        self.ended.push_back(entry);
        let Some(end) = self.ended.back().and_then(|entry| entry.deed.life.ended()) else { return };
        if let End::Failed(error) = end {
            match &mut self.failed {
                Some(failed) => failed.count += 1,
                None => self.failed = Some(Failed { first: id, why: error.to_string(), count: 1 }),
            }
            if self.on_error == OnError::EndAll {
                self.desk.borrow_mut().stop.get_or_insert(Finish::Stopped);
            }
        }
        if let Some(report) = &mut self.report {
            report(id, end);
        }
        while self.ended.len() > self.keep {
            self.ended.pop_front();
        }
    }

    /// Does what was asked for. What is asked for meanwhile is for the next time, so this ends.
    pub(super) fn serve_desk(&mut self) {
        if !self.desk.borrow().is_pending() {
            return;
        }
        let requests = mem::take(&mut self.desk.borrow_mut().requests);
        for request in requests {
            match request {
                Request::Add(id, doer) => self.take_in(id, doer),
                Request::Remove(id) => self.end_one(id),
            }
        }
    }

    /// Gives each its turn; why all is over now, if it is.
    pub(super) fn cycle(&mut self, now: Tyme) -> Option<Finish> {
        let over = self.entered.as_ref().zip(self.limit).map(|((_, at), limit)| *at + limit);
        if over.is_some_and(|over| over <= now) {
            return Some(Finish::Limit);
        }
        self.serve_desk();
        let newer = self.desk.borrow().next;
        let mut at = 0;
        while let Some(entry) = self.deeds.get_mut(at).filter(|entry| entry.id.0 <= newer) {
            if let Some(finish) = self.desk.borrow().stop {
                return Some(finish);
            }
            let id = entry.id;
            self.current = Some(id);
            entry.deed.turn(now);
            self.current = None;
            self.retire_if_over(id);
            self.serve_desk();
            at = self.deeds.partition_point(|entry| entry.id <= id);
        }
        let idle = self.deeds.is_empty() && !self.always && self.desk.borrow().requests.is_empty();
        self.desk.borrow().stop.or(idle.then_some(Finish::Done))
    }

    /// Leaves all, the last first, whatever any of them does. The first panic there was.
    pub(super) fn end_all(&mut self) -> Option<Panic> {
        let panicked = self.current.take();
        self.desk.borrow_mut().ending = true;
        let mut first = None;
        while let Some(mut entry) = self.deeds.pop() {
            let end = if panicked == Some(entry.id) { End::Panicked } else { End::Forced };
            let left = catch_unwind(AssertUnwindSafe(|| entry.deed.end(end)));
            let told = catch_unwind(AssertUnwindSafe(|| self.retire(entry)));
            keep_first(&mut first, left.err());
            keep_first(&mut first, told.err());
        }
        self.entered = None;
        let unserved = mem::take(&mut self.desk.borrow_mut().requests);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(unserved)));
        keep_first(&mut first, dropped.err());
        let mut desk = self.desk.borrow_mut();
        (desk.stop, desk.ending) = (None, false);
        first
    }

    pub(super) fn end_as(&mut self, finish: Finish) {
        self.finish = Some(finish);
        if let Some(panic) = self.end_all() {
            resume_unwind(panic);
        }
    }

    /// Runs what may panic: all doers are left before that goes on.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        match catch_unwind(AssertUnwindSafe(|| act(&mut *self))) {
            Ok(value) => value,
            Err(panic) => {
                if self.entered.is_some() {
                    self.finish = Some(Finish::Stopped);
                    // It is the first one that counts.
                    if let Some(second) = self.end_all() {
                        drop_panic(second);
                    }
                }
                resume_unwind(panic)
            }
        }
    }

    pub(super) fn verdict(&self) -> Result<(), Failed> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(super) fn begin(&mut self, tymth: &Tymth) {
        if self.entered.is_some() {
            return;
        }
        self.deeds.extend(self.ended.drain(..));
        self.deeds.sort_by_key(|entry| entry.id);
        self.finish = None;
        self.failed = None;
        self.entered = Some((tymth.clone(), tymth.tyme()));
        let ids: Vec<DoerId> = self.ids().collect();
        self.guarded(|doist| ids.into_iter().for_each(|id| doist.enter_one(id, tymth)));
    }

    /// A cycle; whether all is over.
    pub(super) fn go_on(&mut self, now: Tyme) -> bool {
        if self.entered.is_some()
            && let Some(finish) = self.guarded(|doist| doist.cycle(now))
        {
            self.end_as(finish);
        }
        self.entered.is_none()
    }
}
