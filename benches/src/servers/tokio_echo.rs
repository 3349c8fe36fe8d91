//! Tokio as people write it: the current-thread runtime, a task per connection, a buffer per task.
//!
//! The buffer has the 64 KiB that the others read at once; with less tokio is no worse on small messages, and much worse on bulk.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::servers::{SCRATCH, announce, listener};

/// Runs until killed.
pub fn run() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Tasks are spawned rather than awaited in `block_on`'s own task, so that all run alike.
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener()?)?;
        announce(listener.local_addr()?.port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        })
        .await?;
        Err("accept failed".into())
    })
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; SCRATCH];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
