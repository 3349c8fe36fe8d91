//! Nothing stays open. Alone in its process, since it counts the descriptors of all of it.
#![cfg(all(feature = "os", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far end is a plain socket")]

mod util;

use std::net::TcpListener;
use std::time::Duration;

use tymist::net::Addr;
use tymist::{Backoff, Clients, Config, Connect};
use util::{ROUNDS, descriptors};

fn turn(clients: &mut Clients) {
    clients.wait(Some(Duration::from_millis(5)));
    clients.service();
    clients.clear_events();
}

#[test]
fn dialled_connections_give_all_their_descriptors_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let (here, closed) = (listener.local_addr().unwrap(), gone.local_addr().unwrap());
    drop(gone);
    let mut clients = Clients::new(Config::new());
    clients.connect(here).unwrap();
    for _ in 0..ROUNDS {
        if clients.connected() == 1 {
            break;
        }
        turn(&mut clients);
    }
    let mut peers = vec![listener.accept().unwrap().0];
    assert_eq!(clients.connected(), 1);
    let idle = descriptors();
    for _ in 0..50 {
        let mut connect = Connect::new(vec![Addr::from(closed), Addr::from(here)]);
        connect.stagger = Duration::ZERO;
        connect.reconnect = Some(Backoff::every(Duration::from_secs(3600)));
        clients.connect(connect).unwrap();
    }
    for _ in 0..ROUNDS {
        if clients.connected() == 51 {
            break;
        }
        turn(&mut clients);
    }
    peers.extend((0..50).map(|_| listener.accept().unwrap().0));
    assert_eq!(
        descriptors(),
        idle + 100,
        "both ends of each, and nothing of the attempts that lost"
    );
    peers.truncate(1);
    for _ in 0..ROUNDS {
        if clients.connected() == 1 {
            break;
        }
        turn(&mut clients);
    }
    assert_eq!((clients.connected(), clients.dialling()), (1, 50));
    assert_eq!(descriptors(), idle, "who waits to come again holds no socket");
    // A name takes a thread and the waker's descriptor, once.
    for _ in 0..10 {
        clients.connect(Connect::to_name("no\0name", 80)).unwrap();
    }
    for _ in 0..ROUNDS {
        if clients.len() == 51 {
            break;
        }
        turn(&mut clients);
    }
    assert_eq!((clients.len(), descriptors()), (51, idle + 1));
    clients.close();
    turn(&mut clients);
    assert_eq!((clients.len(), clients.timers()), (0, 0));
    assert_eq!(descriptors(), idle, "one fewer connection, one waker");
    drop((clients, peers, listener));
    // The thread that has answered last may have its hand on the waker still.
    for _ in 0..ROUNDS {
        if descriptors() == idle - 6 {
            break;
        }
        std::thread::yield_now();
    }
    // The poller, its copy, its timer, the waker, both ends of the first connection, the listener: all but its own end, which is gone already.
    assert_eq!(descriptors(), idle - 6);
}
