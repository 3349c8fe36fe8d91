//! Ours as async code: a task per connection that passes on the buffers it gets, with every limit, timeout and counter on.

use tymist::net::Listen;
use tymist::tasks::{TaskStream, Tasks};

use crate::Outcome;
use crate::servers::tymist_echo::config;
use crate::servers::{BACKLOG, announce};

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
    loop {
        let mut data = stream.read_bytes().await?;
        if data.is_empty() {
            return Ok(());
        }
        stream.write_bytes(&mut data).await?;
    }
}
