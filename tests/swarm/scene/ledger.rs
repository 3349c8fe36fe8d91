//! What was sent and what has arrived, kept where both ends can see it: every byte once, in order, and an end only where it was one.

use std::cell::RefCell;
use std::rc::Rc;

/// A direction of a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

#[derive(Default)]
struct Half {
    sent: u64,
    finished: bool,
    got: u64,
}

/// Over what a call goes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    #[default]
    Direct,
    /// Through a forwarder.
    Relayed,
    /// Over Unix sockets.
    Local,
}

#[derive(Default)]
struct Account {
    halves: [Half; 2],
    route: Route,
}

#[derive(Default)]
struct Books {
    calls: Vec<Account>,
    wrong: Option<String>,
}

/// Shared by all programs of a world.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Books>>);

/// Bytes that repeat only after longer than any call, and differ from call to call and way to way.
pub(crate) fn byte(call: u32, way: Way, offset: u64) -> u8 {
    let mix = offset.wrapping_mul(0x9e37_79b9) ^ u64::from(call) << 5 ^ u64::from(way == Way::Up);
    (mix ^ mix >> 13).to_le_bytes()[0]
}

pub(crate) fn pattern(call: u32, way: Way, from: u64, len: u64) -> Vec<u8> {
    (from..from + len).map(|offset| byte(call, way, offset)).collect()
}

impl Ledger {
    /// The number of a new call.
    pub(crate) fn open(&self, route: Route) -> u32 {
        let mut books = self.0.borrow_mut();
        books.calls.push(Account { route, ..Account::default() });
        u32::try_from(books.calls.len() - 1).unwrap()
    }

    /// Something has gone wrong; the first report counts.
    pub(crate) fn wrong(&self, what: impl FnOnce() -> String) {
        self.0.borrow_mut().wrong.get_or_insert_with(what);
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.borrow().wrong.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn sent(&self, call: u32, way: Way, count: usize) {
        self.0.borrow_mut().calls[call as usize].halves[way as usize].sent += count as u64;
    }

    /// Nothing more will be sent.
    pub(crate) fn finish(&self, call: u32, way: Way) {
        self.0.borrow_mut().calls[call as usize].halves[way as usize].finished = true;
    }

    /// Bytes that have arrived, written with the pattern of `as_way`.
    pub(crate) fn got(&self, call: u32, way: Way, as_way: Way, data: &[u8]) {
        let mut books = self.0.borrow_mut();
        let Some(half) = books.calls.get_mut(call as usize).map(|it| &mut it.halves[way as usize])
        else {
            books.wrong.get_or_insert(format!("bytes of call {call}, which there never was"));
            return;
        };
        let start = half.got;
        half.got += data.len() as u64;
        let (got, sent) = (half.got, half.sent);
        if let Some(at) =
            (start..).zip(data).find(|&(at, &it)| it != byte(call, as_way, at)).map(|it| it.0)
        {
            let what = format!("byte {at} of call {call} {way:?} is another than was sent");
            books.wrong.get_or_insert(what);
        } else if got > sent {
            let what = format!("call {call} {way:?}: {got} bytes arrived of {sent} sent");
            books.wrong.get_or_insert(what);
        }
    }

    /// The receiver was told the end, with `unread` bytes still to look at.
    pub(crate) fn end(&self, call: u32, way: Way, unread: usize) {
        let mut books = self.0.borrow_mut();
        let Some(account) = books.calls.get(call as usize) else { return };
        // Whether what is broken off would have been a reset, and no end: there are none between Unix sockets.
        let reset = account.route != Route::Local;
        let half = &account.halves[way as usize];
        let (got, sent, finished) = (half.got + unread as u64, half.sent, half.finished);
        if got > sent || (reset && (got < sent || !finished)) {
            let open = if finished { "" } else { ", which was not ended" };
            let what = format!("call {call} {way:?} ends after {got} of {sent} bytes{open}");
            books.wrong.get_or_insert(what);
        }
    }
}
