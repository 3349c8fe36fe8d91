//! An echo server as an event source of a calloop loop, beside others: one counts seconds, one hears of the signal that ends it.
//!
//!     cargo run --features calloop --example calloop_bridge -- --port 7007

mod common;

use std::process::ExitCode;

use calloop::ping::make_ping;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{Dispatcher, EventLoop};
use common::{DRAIN, Result, say};
use tymist::Server;
use tymist::doing::{DoError, Echo, Recur, ServerDoer};
use tymist::net::Waker;
use tymist::run::Driver;
use tymist::run::calloop::Source;

type Doer = ServerDoer<Echo>;
/// How it ended, once it has.
type Over = Option<std::result::Result<(), DoError>>;

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let options = common::Plain::parse("calloop_bridge")?;
    let mut server = Server::new(options.config);
    let acceptor = options.bind.listen(&mut server)?;
    let mut events: EventLoop<'_, Over> = EventLoop::try_new()?;
    let handle = events.handle();

    // What the thread that waits for signals wakes.
    let (ping, pinged) = make_ping()?;
    let waker = Waker::new(move || {
        ping.ping();
        Ok(())
    });
    let _told = common::stop_on_signal(waker)?;
    common::announce(&server, acceptor)?;

    // A dispatcher, so that others in the loop get at the server, too.
    let source = Source::new(ServerDoer::new(server, Echo::new()));
    let after = |turn, _: &mut Driver<Doer>, over: &mut Over| match turn {
        Ok(Recur::Again) => {}
        Ok(Recur::Done) => *over = Some(Ok(())),
        Err(error) => *over = Some(Err(error)),
    };
    let source = Dispatcher::new(source, after);
    handle.register_dispatcher(source.clone())?;

    let ending = source.clone();
    let timers = handle.clone();
    let mut begun = false;
    let begin = move |(), (): &mut (), _: &mut _| {
        if std::mem::replace(&mut begun, true) {
            return; // Another signal would begin the time anew.
        }
        let ending = ending.clone();
        let mut turns = common::Ending::new(DRAIN);
        let end = move |_, (): &mut (), _: &mut _| {
            let mut source = ending.as_source_mut();
            let now = source.driver().tyme();
            turns.turn(&mut source.driver_mut().server, now);
            TimeoutAction::ToDuration(common::LOOK)
        };
        // An error says that the loop has no descriptor left for what it has one for already.
        let _ = timers.insert_source(Timer::immediate(), end);
    };
    handle.insert_source(pinged, begin).map_err(|refused| refused.error)?;
    if let Some(every) = options.stats {
        let report = move |_, (): &mut (), _: &mut _| {
            let source = source.as_source_ref();
            let server = &source.driver().server;
            say(format_args!("{} connections, {:?}", server.len(), server.counters()));
            TimeoutAction::ToDuration(every)
        };
        let timer = Timer::from_duration(every);
        handle.insert_source(timer, report).map_err(|refused| refused.error)?;
    }

    let mut over = None;
    while over.is_none() {
        events.dispatch(None, &mut over)?;
    }
    match over {
        Some(Err(error)) => Err(error),
        _ => Ok(()),
    }
}
