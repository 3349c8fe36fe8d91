//! Socket options, read back from the sockets.

use std::io::ErrorKind;
use std::time::Duration;

use tymist::net::os::OsNet;
use tymist::net::{Bind, Dial, KeepAlive, Net, SocketOptions, Stream};

use super::{LISTENER, accept, connect, loopback, refused, socket};

/// Every option is one that a fresh socket does not have.
fn options() -> SocketOptions {
    let mut options = SocketOptions::new();
    options.keep_alive = Some(KeepAlive {
        idle: Duration::from_secs(77),
        interval: Duration::from_secs(7),
        retries: 3,
    });
    options.user_timeout = Some(Duration::from_millis(12_345));
    options.recv_buffer = Some(400_000);
    options.send_buffer = Some(300_000);
    options.unsent = Some(70_000);
    options
}

#[track_caller]
fn assert_options(stream: &dyn Stream) {
    let socket = socket(stream.as_fd());
    assert!(socket.tcp_nodelay().unwrap(), "no-delay");
    assert!(socket.keepalive().unwrap(), "keep-alive");
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(12_345)));
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 70_000);
    let sizes = stream.buffer_sizes().unwrap();
    assert!(sizes.recv >= 400_000 && sizes.send >= 300_000, "{sizes:?}");
    assert_eq!(socket.recv_buffer_size().unwrap(), sizes.recv);
    assert_eq!(socket.send_buffer_size().unwrap(), sizes.send);
}

#[test]
fn accepted_connections_have_the_options_of_their_listener() {
    let mut net = OsNet::new();
    let mut spec = loopback();
    spec.socket = options();
    let mut listener = net.listen(&spec).unwrap();
    listener.register(LISTENER).unwrap();
    let sizes = listener.buffer_sizes().unwrap();
    assert!(sizes.recv >= 400_000 && sizes.send >= 300_000, "{sizes:?}");
    let _far = connect(listener.local_addr());
    assert_options(&*accept(&mut net, &mut *listener));
}

#[test]
fn dialled_connections_have_the_options_of_their_dial() {
    let mut net = OsNet::new();
    let listener = net.listen(&loopback()).unwrap();
    let mut dial = Dial::new(listener.local_addr().clone());
    dial.socket = options();
    assert_options(&*net.connect(&dial).unwrap());
}

#[test]
fn no_delay_is_on_unless_one_does_not_want_it() {
    let mut net = OsNet::new();
    for wanted in [true, false] {
        let mut spec = loopback();
        if !wanted {
            spec.socket.no_delay = false;
        }
        let mut listener = net.listen(&spec).unwrap();
        listener.register(LISTENER).unwrap();
        let _far = connect(listener.local_addr());
        let near = accept(&mut net, &mut *listener);
        assert_eq!(socket(near.as_fd()).tcp_nodelay().unwrap(), wanted);
        assert!(!socket(near.as_fd()).keepalive().unwrap(), "keep-alive is off by default");
    }
}

/// hio's behaviour 16.
#[test]
fn buffers_are_raised_and_never_lowered() {
    let mut net = OsNet::new();
    let usual = net.listen(&loopback()).unwrap().buffer_sizes().unwrap();
    let mut spec = loopback();
    spec.socket.recv_buffer = Some(1);
    spec.socket.send_buffer = Some(usual.send);
    assert_eq!(net.listen(&spec).unwrap().buffer_sizes().unwrap(), usual);
    spec.socket.recv_buffer = Some(usual.recv + 1);
    spec.socket.send_buffer = Some(usual.send + 1);
    let raised = net.listen(&spec).unwrap().buffer_sizes().unwrap();
    assert!(raised.recv > usual.recv && raised.send > usual.send, "{usual:?} to {raised:?}");
}

#[test]
fn a_bad_option_is_an_error_and_no_panic() {
    let mut net = OsNet::new();
    let mut spec = loopback();
    // Whole seconds only, and none at all is none that the system takes.
    let idle = Duration::from_millis(1);
    spec.socket.keep_alive = Some(KeepAlive { idle, interval: idle, retries: 1 });
    assert_eq!(refused(net.listen(&spec)), ErrorKind::InvalidInput);
}

/// The system takes an `int`: of 4 GiB nothing was left, and what was to be raised became the least there is.
#[test]
fn regression_buffers_of_any_size_are_raised_and_not_cut() {
    let mut net = OsNet::new();
    let usual = net.listen(&loopback()).unwrap().buffer_sizes().unwrap();
    for size in [usize::MAX, usize::MAX - (usize::MAX >> 1), 1 << 31] {
        let mut spec = loopback();
        (spec.socket.recv_buffer, spec.socket.send_buffer) = (Some(size), Some(size));
        let sizes = net.listen(&spec).unwrap().buffer_sizes().unwrap();
        assert!(sizes.recv >= usual.recv && sizes.send >= usual.send, "{size}: {sizes:?}");
        let mut spec = Bind::new(([127, 0, 0, 1], 0));
        let usual = net.bind(&spec).unwrap().buffer_sizes().unwrap();
        (spec.recv_buffer, spec.send_buffer) = (Some(size), Some(size));
        let sizes = net.bind(&spec).unwrap().buffer_sizes().unwrap();
        assert!(sizes.recv >= usual.recv && sizes.send >= usual.send, "{size}: {sizes:?}");
    }
}

/// The system knows whole milliseconds, as many as an `int` holds: one that was shorter gave what it has by itself, a quarter of an hour, and one that was
/// longer was an invalid argument to whoever listens, dials or adopts.
#[test]
fn regression_a_user_timeout_of_any_length_is_the_nearest_that_there_is() {
    let mut net = OsNet::new();
    for (asked, got) in [
        (Duration::from_micros(500), Some(Duration::from_millis(1))),
        (Duration::from_micros(2_500), Some(Duration::from_millis(3))),
        (
            Duration::from_secs(30 * 86_400),
            Some(Duration::from_millis(i32::MAX.unsigned_abs().into())),
        ),
        (Duration::MAX, Some(Duration::from_millis(i32::MAX.unsigned_abs().into()))),
        (Duration::ZERO, None),
    ] {
        let mut spec = loopback();
        spec.socket.user_timeout = Some(asked);
        let listener = net.listen(&spec).unwrap();
        let mut dial = Dial::new(listener.local_addr().clone());
        dial.socket = spec.socket;
        let stream = net.connect(&dial).unwrap();
        assert_eq!(socket(stream.as_fd()).tcp_user_timeout().unwrap(), got, "{asked:?}");
    }
}
