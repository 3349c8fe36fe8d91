//! That the servers do the same: figures of one that does less would be no measure.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use crate::load::connect;
use crate::pattern::Pattern;
use crate::process::Server;
use crate::{Options, Outcome};

/// More than any pair of socket buffers takes.
const FLOOD: usize = 64 << 20;

/// Fails if one of the servers is not an honest echo.
pub fn run(options: &Options) -> Outcome<()> {
    let pattern = Pattern::new();
    for &kind in &options.servers {
        let server = Server::start(kind)?;
        half_close(server.port, &pattern)?;
        let before = server.memory()?;
        let taken = deaf_peer(&server, &pattern)?;
        let grown = server.memory()?.saturating_sub(before);
        server.stop()?;
        println!(
            "  {kind}: echoes, closes after its peer, and holds back: {taken} KiB were taken from one that does not read, \
             {} KiB of it into its own memory",
            grown / 1024
        );
        // Of what it took most is in the kernel; its own share must be bounded.
        if grown > 8 << 20 {
            return Err(format!("{kind} reads without bound while its output is blocked").into());
        }
    }
    closes(options)
}

/// All that came before the end comes back, then the end.
fn half_close(port: u16, pattern: &Pattern) -> Outcome<()> {
    let mut stream = connect(0, port)?;
    for len in [1, 63, 4096, 65_535, 65_536, 65_537, 100_001] {
        let sent = pattern.at(1, 0, len);
        let mut back = vec![0; len];
        stream.write_all(sent)?;
        stream.read_exact(&mut back)?;
        if back != sent {
            return Err(format!("{len} bytes came back wrong").into());
        }
    }
    let last = pattern.at(2, 0, 200_000);
    stream.write_all(last)?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    if back == last { Ok(()) } else { Err("the last bytes before the end got lost".into()) }
}

/// Sends without reading until no more is taken, then reads it all; returns how many KiB were taken.
fn deaf_peer(server: &Server, pattern: &Pattern) -> Outcome<usize> {
    let mut stream = connect(0, server.port)?;
    stream.set_write_timeout(Some(Duration::from_millis(500)))?;
    let mut sent = 0;
    loop {
        match stream.write(pattern.at(3, sent as u64, 65_536)) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
        if sent > FLOOD {
            return Err("one that does not read can send without end".into());
        }
    }
    stream.shutdown(Shutdown::Write)?;
    let mut back = vec![0; 65_536];
    let mut received = 0;
    loop {
        let count = stream.read(&mut back)?;
        if count == 0 {
            break;
        }
        if back[..count] != *pattern.at(3, received as u64, count) {
            return Err("wrong bytes after a blockage".into());
        }
        received += count;
    }
    if received == sent { Ok(sent / 1024) } else { Err("bytes got lost in a blockage".into()) }
}

/// A hundred that end one way and another; [`Server::stop`] sees that nothing is left of them.
fn closes(options: &Options) -> Outcome<()> {
    for &kind in &options.servers {
        let server = Server::start(kind)?;
        for index in 0..100 {
            let mut stream = connect(index, server.port)?;
            stream.write_all(b"anybody there?")?;
            if index % 3 > 0 {
                // Unread bytes at the close make it a reset.
                stream.read_exact(&mut [0; 14][..index % 3 * 7])?;
            }
        }
        server.stop()?;
    }
    Ok(())
}
