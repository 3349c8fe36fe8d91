//! An echo server in a loop of one's own around `poll(2)`: the engine names its descriptor and its deadline, and the loop waits for those and for what is its
//! own.
//!
//!     cargo run --example poll_loop -- --port 7009

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{DRAIN, Result, say};
use tymist::Server;
use tymist::doing::{Echo, Recur, ServerDoer};
use tymist::run::{Driver, Rest};

/// Waits until one of the descriptors is readable, or the time has passed. Others that the loop has would be among them.
#[cfg(unix)]
fn wait(rest: &Rest, most: Option<Duration>) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let named = rest.descriptors.iter();
    let mut watched: Vec<PollFd<'_>> = named.map(|it| PollFd::new(it, PollFlags::IN)).collect();
    let time = rest.timeout.into_iter().chain(most).min();
    let time = time.map(Timespec::try_from).transpose()?;
    match poll(&mut watched, time.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn wait(_: &Rest, _: Option<Duration>) -> Result<()> {
    Err("poll(2) is Unix's; see window_loop".into())
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = common::Plain::parse("poll_loop")?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
    let mut ending = common::Ending::new(DRAIN);
    let mut report = options.stats.map(|every| driver.tyme() + every);
    loop {
        // Asked right before the wait, after all that was done with the server.
        let rest = driver.rest();
        let now = driver.tyme();
        let look = stop.load(Ordering::Acquire).then_some(common::LOOK);
        wait(&rest, report.map(|due| due - now).into_iter().chain(look).min())?;
        if driver.turn().map_err(|error| error.to_string())? == Recur::Done {
            return Ok(());
        }
        let now = driver.tyme();
        let server = &mut driver.server;
        if stop.load(Ordering::Acquire) {
            ending.turn(server, now);
        }
        if let (Some(due), Some(every)) = (report, options.stats)
            && due <= now
        {
            say(format_args!("{} connections, {:?}", server.len(), server.counters()));
            report = Some(now + every);
        }
    }
}
