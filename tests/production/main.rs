//! Life in production: a program that is replaced while it is asked, and one that systemd starts.
//!
//! The programs are this one, run again with the name of a test that does nothing unless it is told to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::print_stdout, reason = "what a child says")]
#![allow(clippy::disallowed_methods, reason = "the far ends are plain sockets and threads")]

mod handover;
mod haproxy;
mod replaced;
#[cfg(feature = "systemd")]
mod systemd;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tymist::run::{BoxError, Manager, Seat};
use tymist::{Config, Server, Service, Session};

const LONG: Duration = Duration::from_secs(60);

/// Bytes of a request; a reply has the number of the process before them.
const REQUEST: usize = 8;

/// Answers requests.
struct Answers;

impl Service for Answers {
    fn received(&mut self, session: &mut Session<'_>) {
        while session.rx().len() >= REQUEST && session.tx_room() >= REQUEST + 4 {
            let request = session.take_first(REQUEST);
            session.tx(&std::process::id().to_be_bytes()).unwrap();
            session.tx(&request).unwrap();
        }
    }
}

fn answers(engines: usize) -> Manager {
    let mut manager =
        Manager::new(Config::new(), |_: &mut Server, _: Seat| Ok::<_, BoxError>(Answers));
    manager.threads(engines);
    manager
}

/// Asks once; which process has answered.
fn ask(stream: &mut (impl Read + Write), number: u64) -> std::io::Result<u32> {
    stream.write_all(&number.to_be_bytes())?;
    let mut reply = [0; REQUEST + 4];
    stream.read_exact(&mut reply)?;
    let (process, request) = reply.split_at(4);
    assert_eq!(request, number.to_be_bytes(), "another one's answer");
    Ok(u32::from_be_bytes(process.try_into().unwrap()))
}

fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(LONG))?;
    Ok(stream)
}

/// A path of the test's own, removed with what is in it.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// This program as a child, which is the test of this name.
fn child(test: &str, told: &[(&str, OsString)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command.envs(told.iter().map(|(name, value)| (*name, value)));
    command
}

/// A child that says lines, and ends when its standard input does.
struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Program {
    fn start(mut command: Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Program { child, said }
    }

    /// The rest of the next line that begins with these words.
    #[track_caller]
    fn says(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "ended before it said {words:?}");
            // The test harness writes before it without an end of line.
            if let Some((_, rest)) = line.trim_end().split_once(words) {
                return rest.to_owned();
            }
        }
    }

    /// Ends by itself, as it should.
    #[track_caller]
    fn ends(mut self) {
        std::io::copy(&mut self.said, &mut std::io::sink()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Ended already, if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
