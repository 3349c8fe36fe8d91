//! Ours as async code: a task per connection, as tokio's server is written, with every limit, timeout and counter on.

use tymist::net::Listen;
use tymist::tasks::{TaskStream, Tasks};

use crate::Outcome;
use crate::servers::tymist_echo::config;
use crate::servers::{BACKLOG, announce};

/// Bytes that a task reads at once. What was received waits in the engine, so a larger buffer would only be more memory.
const BUFFER: usize = 16 * 1024;

/// Runs until killed.
pub fn run() -> Outcome<()> {
    let mut tasks = Tasks::new(config());
    let handle = tasks.handle();
    let mut listen: Listen = "127.0.0.1:0".parse()?;
    listen.backlog = BACKLOG.unsigned_abs();
    let mut listener = handle.listen(listen)?;
    let port = listener.local_addr().port().ok_or("no port")?;
    tasks.run_until(async move {
        announce(port); // In the first tick all descriptors are open.
        loop {
            let stream = listener.accept().await?;
            drop(handle.spawn(echo(stream)));
        }
    })
}

async fn echo(mut stream: TaskStream) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
