//! The processes of a measurement: a server, and the load on it. Each is this program run again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::servers::Kind;

/// A child of ours that talks by lines; killed when dropped.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Helper {
    /// Starts this program with `arguments`.
    pub fn start(arguments: &[String]) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Helper { child, input, output, name: arguments.join(" ") })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints.
    pub fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("`{}` ended without an answer", self.name).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Says a line to it.
    pub fn tell(&mut self, line: &str) -> Outcome<()> {
        let input = self.input.as_mut().ok_or("no stdin")?;
        writeln!(input, "{line}")?;
        input.flush()?;
        Ok(())
    }

    /// Ends what it reads.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// Lets it end by itself, and minds how.
    pub fn finish(mut self) -> Outcome<()> {
        self.input = None;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", self.name).into()) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server under test.
#[derive(Debug)]
pub struct Server {
    helper: Helper,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    idle_fds: usize,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start(kind: Kind) -> Outcome<Self> {
        Self::launch(&["server".into(), kind.to_string()])
    }

    /// Starts one that can be asked for its [`heap`](Server::heap).
    pub fn start_with_heap(kind: Kind) -> Outcome<Self> {
        Self::launch(&["server".into(), kind.to_string(), "heap".into()])
    }

    fn launch(arguments: &[String]) -> Outcome<Self> {
        let mut helper = Helper::start(arguments)?;
        let port = helper.line()?.parse()?;
        let mut server = Server { helper, port, idle_fds: 0 };
        server.idle_fds = server.fds()?;
        Ok(server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.helper.pid()
    }

    /// Fails if it has ended by itself.
    pub fn lives(&mut self) -> Outcome<()> {
        match self.helper.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("`{}` ended: {status}", self.helper.name).into()),
        }
    }

    /// Descriptors it holds.
    fn fds(&self) -> Outcome<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// Private memory in use by the process, in bytes: the kernel's part of a connection is not in it.
    pub fn memory(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .ok_or("no RssAnon in /proc/PID/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// What its allocator has handed out, in bytes.
    pub fn heap(&mut self) -> Outcome<u64> {
        self.helper.tell("heap")?;
        Ok(self.helper.line()?.parse()?)
    }

    /// Ends it, after seeing that it lives and let go of every connection: one that leaks does less than its peers.
    pub fn stop(self) -> Outcome<()> {
        let begun = Instant::now();
        while self.fds()? > self.idle_fds {
            if begun.elapsed() > Duration::from_secs(10) {
                let left = self.fds()? - self.idle_fds;
                return Err(format!("{left} descriptors left in `{}`", self.helper.name).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Figures by name, as they go over a pipe.
pub type Figures = BTreeMap<String, f64>;

/// One line of `name=value` fields.
pub fn read_figures(line: &str) -> Outcome<Figures> {
    line.split_whitespace()
        .map(|field| {
            let (name, value) = field.split_once('=').ok_or("not a figure")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}
