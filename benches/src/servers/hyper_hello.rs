//! hyper's HTTP/1 server saying hello, on tokio's runtime and on our tasks. Both have a timer, as hyper's own examples do.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tymist::net::Listen;
use tymist::tasks::Tasks;

use crate::Outcome;
use crate::servers::tymist_echo::config;
use crate::servers::{BACKLOG, announce, listener};

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
}

/// Runs until killed.
pub fn run_on_tokio() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener()?)?;
        announce(listener.local_addr()?.port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if stream.set_nodelay(true).is_ok() {
                    tokio::spawn(async move {
                        let mut http = http1::Builder::new();
                        http.timer(TokioTimer::new());
                        // How it ends is the client's business.
                        let stream = TokioIo::new(stream);
                        let _ = http.serve_connection(stream, service_fn(hello)).await;
                    });
                }
            }
        })
        .await?;
        Err("accept failed".into())
    })
}

/// Runs until killed.
pub fn run_on_tasks() -> Outcome<()> {
    let mut tasks = Tasks::new(config());
    let handle = tasks.handle();
    let mut listen: Listen = "127.0.0.1:0".parse()?;
    listen.backlog = BACKLOG.unsigned_abs();
    let mut listener = handle.listen(listen)?;
    let port = listener.local_addr().port().ok_or("no port")?;
    let timer = handle.hyper_timer();
    tasks.run_until(async move {
        announce(port); // In the first tick all descriptors are open.
        loop {
            let stream = listener.accept().await?;
            let timer = timer.clone();
            drop(handle.spawn(async move {
                let mut http = http1::Builder::new();
                http.timer(timer);
                let _ = http.serve_connection(stream, service_fn(hello)).await;
            }));
        }
    })
}
