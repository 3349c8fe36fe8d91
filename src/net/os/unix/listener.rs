//! A listening Unix socket.

use core::sync::atomic::AtomicUsize;
use std::io;
use std::sync::Arc;

use socket2::{SockRef, Socket, Type};

use super::path::{self, Bound};
use super::stream::UnixStream;
use super::{from_system, socket};
use crate::net::os::options;
use crate::net::{Addr, BufferSizes, Listen, Listener, SocketOptions, Stream, Token};

pub(in crate::net::os) struct UnixListener {
    /// Before the socket, so that it is dropped before it.
    file: Option<Bound>,
    inner: mio::net::UnixListener,
    local: Addr,
    options: SocketOptions,
    /// Whoever opened it had credentials put beside each message.
    credentials: bool,
    registry: Arc<mio::Registry>,
}

impl UnixListener {
    pub(in crate::net::os) fn open(
        spec: &Listen,
        registry: Arc<mio::Registry>,
    ) -> io::Result<Self> {
        let socket = socket(Type::STREAM)?;
        let (recv, send) = (spec.socket.recv_buffer, spec.socket.send_buffer);
        options::raise_buffers(&SockRef::from(&socket), recv, send)?;
        let file = path::bind(&socket, &spec.addr, spec.file)?;
        socket.listen(i32::try_from(spec.backlog).unwrap_or(i32::MAX))?;
        Ok(UnixListener {
            file,
            inner: mio::net::UnixListener::from_std(socket.into()),
            local: spec.addr.clone(),
            options: spec.socket.clone(),
            credentials: false,
            registry,
        })
    }
}

impl UnixListener {
    /// One that another process has opened.
    pub(in crate::net::os) fn adopt(
        listener: std::os::unix::net::UnixListener,
        options: &SocketOptions,
        own_file: bool,
        registry: io::Result<Arc<mio::Registry>>,
    ) -> Result<Self, (io::Error, std::os::unix::net::UnixListener)> {
        let prepare = || {
            let socket = SockRef::from(&listener);
            options::check_listening(&socket)?;
            let local = from_system(&socket.local_addr()?);
            options::raise_buffers(&socket, options.recv_buffer, options.send_buffer)?;
            let credentials = passes_credentials(&listener)?;
            listener.set_nonblocking(true)?;
            Ok((local, credentials, registry?))
        };
        match prepare() {
            Ok((local, credentials, registry)) => Ok(UnixListener {
                file: own_file.then(|| path::found(&local)).flatten(),
                inner: mio::net::UnixListener::from_std(listener),
                local,
                options: options.clone(),
                credentials,
                registry,
            }),
            Err(error) => Err((error, listener)),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn passes_credentials(listener: &std::os::unix::net::UnixListener) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_passcred(listener)?)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn pass_no_credentials(stream: &Socket) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_passcred(stream, false)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn passes_credentials(_: &std::os::unix::net::UnixListener) -> io::Result<bool> {
    Ok(false)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn pass_no_credentials(_: &Socket) -> io::Result<()> {
    Ok(())
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        self.file = None;
        // Fails only where it was never registered.
        let _ = self.registry.deregister(&mut self.inner);
    }
}

impl Listener for UnixListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.inner, mio::Token(token.0), mio::Interest::READABLE)
    }

    fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        // Not mio's own, which panics at a peer whose path fills its address, without the terminating zero.
        let (stream, peer) = SockRef::from(&self.inner).accept()?;
        stream.set_nonblocking(true)?;
        if self.credentials {
            // Nobody here takes them, they have the room of descriptors, and rustix does not know a process of another namespace, which has the number 0.
            pass_no_credentials(&stream)?;
        }
        let stream = mio::net::UnixStream::from_std(stream.into());
        let (recv, send) = (self.options.recv_buffer, self.options.send_buffer);
        // The peer may be gone already; its own first read will say so.
        let _ = options::raise_buffers(&SockRef::from(&stream), recv, send);
        Ok(Box::new(UnixStream::connected(
            stream,
            self.local.clone(),
            from_system(&peer),
            self.options.files,
            Arc::clone(&self.registry),
        )))
    }

    fn local_addr(&self) -> &Addr {
        &self.local
    }

    fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        options::buffer_sizes(&SockRef::from(&self.inner))
    }

    fn leave_file(&mut self) {
        if let Some(file) = self.file.take() {
            file.leave();
        }
    }

    fn own_file(&mut self, holds: Arc<AtomicUsize>) {
        self.leave_file(); // Or it would be removed here.
        if let Some(file) = path::found(&self.local) {
            self.file = Some(file.unless(holds));
        }
    }

    fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.inner))
    }
}
