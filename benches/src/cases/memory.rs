//! What a connection that says nothing costs the server's process.

use crate::cases::CROWD;
use crate::load::{Load, Mode};
use crate::process::Server;
use crate::report::{Goal, Report};
use crate::servers::Kind;
use crate::{Options, Outcome};

/// Measures each server once: the figures hardly vary.
pub fn run(options: &Options, report: &mut Report) -> Outcome<()> {
    for &kind in &options.servers {
        let mut server = Server::start_with_heap(kind)?;
        let load = |idle, mode| Load {
            mode,
            idle,
            ..Load::echo(1, 64, 1, std::time::Duration::from_millis(100))
        };
        // What is allocated once, by the first connection, is not the connections' share.
        let mut first = load(0, Mode::Echo).start(server.port, server.pid())?;
        first.line()?;
        first.finish()?;
        let (memory, heap) = (server.memory()?, server.heap()?);
        let mut crowd = load(CROWD, Mode::Hold).start(server.port, server.pid())?;
        crowd.line()?;
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / CROWD as f64;
        let resident = share(server.memory()?, memory);
        let heap = share(server.heap()?, heap);
        crowd.finish()?;
        server.stop()?;
        let goal = (kind == Kind::Tymist).then_some(Goal::AtMost(600.0));
        let case = format!("{CROWD} idle after an exchange, {kind}");
        report.figure(&case, "heap/connection", heap, " B", goal);
        report.figure(&case, "resident/connection", resident, " B", goal);
    }
    Ok(())
}
