//! A server that is replaced while it is asked a thousand times a second: how many requests are lost.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tymist::run::{Inherited, Manager};
use tymist::{Config, Service, Session};

use crate::load::connect;
use crate::process::Helper;
use crate::report::{Goal, Report};
use crate::servers::announce;
use crate::{Options, Outcome};

/// Requests a second, one connection each.
const RATE: u32 = 1000;
const MESSAGE: &[u8; 16] = b"is anybody there";

/// Answers with the number of its process.
struct Answer;

impl Service for Answer {
    fn received(&mut self, session: &mut Session<'_>) {
        if session.rx().len() >= MESSAGE.len() {
            session.take();
            let _ = session.tx(&std::process::id().to_be_bytes());
        }
    }
}

/// A server that takes over from the one before: `succeed PATH`. Prints its port; then how many it has accepted, once it was succeeded or its standard input
/// ended.
pub fn succeed_main(arguments: &[OsString]) -> Outcome<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let path = Path::new(arguments.first().ok_or("no path")?);
    let mut manager = Manager::new(Config::new(), |_, _| Ok(Answer));
    manager.threads(2).listen(([127, 0, 0, 1], 0));
    let mut inherited = Inherited::take_over(path)?;
    manager.inherit(&mut inherited);
    manager.start()?;
    inherited.confirm()?;
    manager.offer(path)?;
    announce(manager.addrs()[0].port().ok_or("no port")?);
    let stopper = manager.stopper();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stopper.stop(None);
    });
    manager.wait(None)?;
    announce(manager.counters().accepted);
    Ok(())
}

fn ask(index: usize, port: u16) -> Outcome<u32> {
    let mut stream = connect(index, port)?;
    stream.write_all(MESSAGE)?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply)?;
    Ok(u32::from_be_bytes(reply))
}

/// Asks at the rate for so long, whatever becomes of the requests; who answered, and what was lost.
fn ask_on(port: u16, time: Duration) -> (Vec<u32>, Vec<String>, Duration) {
    let (mut answers, mut lost) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    let mut due = Duration::ZERO;
    while due < time {
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        match ask(answers.len() + lost.len(), port) {
            Ok(process) => answers.push(process),
            Err(error) => lost.push(error.to_string()),
        }
        due += Duration::from_secs(1) / RATE;
    }
    (answers, lost, begin.elapsed())
}

pub fn run(options: &Options, report: &mut Report) -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("tymist-versus-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("offer");
    let start = || -> Outcome<(Helper, u16)> {
        let mut helper = Helper::start(&["succeed".into(), path.display().to_string()])?;
        let port = helper.line()?.parse()?;
        Ok((helper, port))
    };
    let (mut server, port) = start()?;
    let time = options.window.max(Duration::from_millis(500)) * (options.rounds as u32 + 1);
    let asking = std::thread::spawn(move || ask_on(port, time));
    let mut accepted = 0;
    for _ in 0..options.rounds {
        std::thread::sleep(options.window);
        let (next, next_port) = start()?;
        if next_port != port {
            return Err("the new server is somewhere else".into());
        }
        let mut old = std::mem::replace(&mut server, next);
        accepted += old.line()?.parse::<u64>()?;
        old.finish()?;
    }
    let (answers, lost, took) = asking.join().map_err(|_| "the asking thread panicked")?;
    server.close();
    accepted += server.line()?.parse::<u64>()?;
    server.finish()?;
    std::fs::remove_dir_all(&folder)?;
    let mut processes = answers.clone();
    processes.sort_unstable();
    processes.dedup();
    if processes.len() <= options.rounds || accepted < answers.len() as u64 {
        return Err(format!("{} servers answered, {accepted} accepted", processes.len()).into());
    }
    if let Some(first) = lost.first() {
        println!("  first of the lost: {first}");
    }
    let case = format!("{} replacements, one connection a request", options.rounds);
    let asked = (answers.len() + lost.len()) as f64;
    report.figure(&case, "requests", asked, "", None);
    report.figure("", "rate", asked / took.as_secs_f64(), "/s", None);
    report.figure("", "lost", lost.len() as f64, "", Some(Goal::AtMost(0.0)));
    Ok(())
}
