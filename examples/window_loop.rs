//! An echo server in a loop as windows have it (winit's): it waits for its own messages and for a time, cannot watch descriptors, and has a proxy by which
//! others wake it. A `Watcher` watches for it. Frames are drawn when something has changed, sixty times a second at most, and an idle window draws none.
//!
//!     cargo run --example window_loop -- --port 7010

mod common;

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use common::{DRAIN, Result, say};
use tymist::Server;
use tymist::doing::{Echo, Recur, ServerDoer};
use tymist::net::Waker;
use tymist::run::{Driver, Watcher};

/// The time that a frame has.
const FRAME: Duration = Duration::from_nanos(16_666_667);

/// What wakes the loop: winit's user events, and a window's own.
enum Message {
    Network,
    Close,
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = common::Plain::parse("window_loop")?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    // In the place of winit's EventLoopProxy.
    let (proxy, messages) = channel();
    let network = proxy.clone();
    let mut watcher = Watcher::new(move || _ = network.send(Message::Network))?;
    // Whoever closes the window; here the signals do.
    let close = Waker::new(move || proxy.send(Message::Close).map_err(std::io::Error::other));
    let _told = common::stop_on_signal(close)?;
    common::announce(&server, acceptor)?;

    let mut driver = Driver::new(ServerDoer::new(server, Echo::new()));
    let (mut shown, mut frames, mut next) = (None, 0_u64, driver.tyme());
    let (mut ending, mut closing) = (common::Ending::new(DRAIN), false);
    let mut report = options.stats.map(|every| driver.tyme() + every);
    loop {
        // `about_to_wait`: what is to be waited for, and the time of the next frame, if there is one to draw.
        let rest = driver.rest();
        watcher.arm(&rest);
        let now = driver.tyme();
        let changed = shown != Some(driver.server.counters().bytes_in);
        let frame = changed.then(|| next - now);
        let look = closing.then_some(common::LOOK);
        let times = [rest.timeout, frame, report.map(|due| due - now), look];
        // ControlFlow::WaitUntil, or Wait.
        #[expect(clippy::disallowed_methods, reason = "as a window's loop waits for its events")]
        let message = match times.into_iter().flatten().min() {
            Some(time) => messages.recv_timeout(time),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        if driver.turn().map_err(|error| error.to_string())? == Recur::Done {
            return Ok(());
        }
        let now = driver.tyme();
        let server = &mut driver.server;
        closing |= matches!(message, Ok(Message::Close));
        if closing {
            ending.turn(server, now);
        }
        // `RedrawRequested`: this window shows how much came in.
        if shown != Some(server.counters().bytes_in) && now >= next {
            shown = Some(server.counters().bytes_in);
            frames += 1;
            next = now + FRAME;
        }
        if let (Some(due), Some(every)) = (report, options.stats)
            && due <= now
        {
            say(format_args!(
                "{frames} frames, {} connections, {:?}",
                server.len(),
                server.counters()
            ));
            report = Some(now + every);
        }
    }
}
