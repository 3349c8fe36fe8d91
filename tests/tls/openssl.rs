//! Against OpenSSL and curl, on real sockets of the loopback interface. Needs both to be installed.
#![cfg(all(feature = "tls", feature = "os", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::tls_support::pki::{self, Authority};
use rcgen::KeyPair;
use tymist::net::os::OsNet;
use tymist::net::tls::HandshakeFailure as Failure;
use tymist::net::tls::{
    ClientAuth, ClientTls, ClientTlsConfig, Identity, Problem, ServerTls, ServerTlsConfig,
    TlsError, TlsFailure, TlsStream, TlsTime, TlsTruncated, TlsVersion,
};
use tymist::net::{Dial, Listener, Net, Stage, Stream, Token};
use tymist::tyme::Tyme;

/// Longer than any of these takes; ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Dir(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.path().join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// A process that does not outlive its test.
struct Process(Option<Child>);

impl Process {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process(Some(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn say(&mut self, text: &str) {
        self.child().stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits for its end; what it has printed on both.
    fn finish(mut self) -> (Output, String) {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output, String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn openssl(args: &[&str]) -> String {
    let process = Process::start("openssl", args);
    let (output, text) = process.finish();
    assert!(output.status.success(), "openssl {args:?}: {text}");
    text
}

struct World {
    dir: Dir,
    authority: Authority,
    server: ServerTlsConfig,
}

fn until() -> u64 {
    TlsTime::system().now().unwrap() + 10 * pki::DAY
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("test authority");
        let ask = pki::Ask { not_after: until(), ..pki::server() };
        let server = ServerTlsConfig::new(authority.issue(&ask).identity());
        let dir = Dir::new();
        dir.write("ca.pem", &authority.cert.pem());
        World { dir, authority, server }
    }

    fn files(&self, ask: &pki::Ask) -> (String, String) {
        // OpenSSL 3.0 does not read Ed25519 keys of the newer PKCS #8, which is what rcgen writes.
        let issued = self.authority.issue_for(ask, KeyPair::generate().unwrap());
        (self.dir.write("client.pem", &issued.cert), self.dir.write("client.key", &issued.key))
    }
}

/// A server of one connection at a time.
struct Server {
    net: OsNet,
    listener: Box<dyn Listener>,
    tls: ServerTls,
    port: u16,
    deadline: Tyme,
}

impl Server {
    fn new(config: ServerTlsConfig) -> Self {
        let mut net = OsNet::new();
        let mut listener = net.listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
        listener.register(Token(0)).unwrap();
        let port = listener.local_addr().port().unwrap();
        let deadline = net.now() + PATIENCE;
        let tls = ServerTls::new(config).unwrap();
        Server { net, listener, tls, port, deadline }
    }

    fn at(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn s_client(&self, world: &World, args: &[&str]) -> Process {
        let (at, ca) = (self.at(), world.dir.path("ca.pem"));
        let fixed = ["s_client", "-connect", &at, "-CAfile", &ca, "-verify_return_error"];
        Process::start("openssl", &[&fixed[..], args].concat())
    }

    #[track_caller]
    fn wait(&mut self) {
        assert!(self.net.now() < self.deadline, "nothing happens any more");
        self.net.harvest(Some(Duration::from_millis(200)), &mut Vec::new()).unwrap();
    }

    /// The next connection after its handshake; what is held of an alert has gone out.
    fn accept(&mut self) -> io::Result<TlsStream> {
        let mut stream = loop {
            match self.listener.accept() {
                Ok(stream) => break self.tls.accept(stream),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            self.wait();
        };
        stream.register(Token(1)).unwrap();
        loop {
            match stream.advance() {
                Ok(Stage::Live) => return Ok(stream),
                Ok(Stage::Handshaking) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = stream.flush();
                    self.wait();
                }
                Err(error) => {
                    while stream.flush().is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
                        self.wait();
                    }
                    let _ = stream.shutdown(Shutdown::Write);
                    // Closing with bytes unread would reset the connection and lose the alert.
                    return Err(self.drain(&mut stream, error));
                }
            }
        }
    }

    /// Waits for the peer's end below TLS, so that it has seen the alert.
    fn drain(&mut self, stream: &mut TlsStream, error: io::Error) -> io::Error {
        let fd = stream.as_fd().unwrap().try_clone_to_owned().unwrap();
        let mut below = std::net::TcpStream::from(fd);
        let mut buf = [0; 4096];
        loop {
            match io::Read::read(&mut below, &mut buf) {
                Ok(0) => return error,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(_) => return error,
                Ok(_) => {}
            }
        }
    }

    fn read(&mut self, stream: &mut TlsStream) -> io::Result<Vec<u8>> {
        let mut buf = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buf) {
                Ok(count) => return Ok(buf[..count].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = stream.flush();
                    self.wait();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read_line(&mut self, stream: &mut TlsStream) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let part = self.read(stream).unwrap();
            assert!(!part.is_empty(), "an end instead of a line");
            line.extend(part);
        }
        String::from_utf8(line).unwrap()
    }

    fn write(&mut self, stream: &mut TlsStream, mut data: &[u8]) {
        while !data.is_empty() {
            match stream.write(&[IoSlice::new(data)]) {
                Ok(count) => data = &data[count..],
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    self.wait();
                }
            }
        }
        self.flush(stream);
    }

    fn flush(&mut self, stream: &mut TlsStream) {
        while stream.flush().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.wait();
        }
    }

    /// Says goodbye and waits for the peer's.
    fn close(&mut self, stream: &mut TlsStream) -> io::Result<Vec<u8>> {
        stream.shutdown(Shutdown::Write)?;
        self.flush(stream);
        self.read(stream)
    }
}

#[test]
fn s_client_talks_verifies_and_closes_cleanly_in_both_versions() {
    let world = World::new();
    let mut server = Server::new(world.server.clone().with_alpn(["echo"]));
    for (flag, version) in [("-tls1_3", TlsVersion::Tls13), ("-tls1_2", TlsVersion::Tls12)] {
        let args = [flag, "-alpn", "other,echo", "-servername", "server.test"];
        let mut client = server.s_client(&world, &args);
        client.say("hello\n");
        let mut stream = server.accept().unwrap();
        assert_eq!(server.read_line(&mut stream), "hello\n");
        let info = stream.tls().unwrap();
        assert_eq!(info.version(), version);
        assert_eq!(info.alpn(), Some(&b"echo"[..]));
        assert_eq!(info.server_name(), Some("server.test"));
        server.write(&mut stream, b"and goodbye\n");
        assert_eq!(server.close(&mut stream).unwrap(), b"", "its close_notify");
        drop(stream);
        let (output, text) = client.finish();
        assert!(output.status.success(), "{text}");
        for expected in
            ["and goodbye", "ALPN protocol: echo", "Verify return code: 0 (ok)", "closed"]
        {
            assert!(text.contains(expected), "{expected:?} is missing in {text}");
        }
        assert!(!text.contains("unexpected eof"), "{text}");
    }
}

#[test]
fn s_client_moves_a_megabyte_each_way() {
    let world = World::new();
    let mut server = Server::new(world.server.clone());
    let client = server.s_client(&world, &["-quiet", "-ign_eof"]);
    let data: Vec<u8> = (0..1 << 20).map(|n: u32| b'a' + (n % 26).to_le_bytes()[0]).collect();
    let mut process = client;
    let mut input = process.child().stdin.take().unwrap();
    let sent = data.clone();
    let mut stream = server.accept().unwrap();
    // OpenSSL has to be written to and read from at once.
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    let writer = std::thread::spawn(move || input.write_all(&sent).map(|()| input));
    let mut got = Vec::new();
    while got.len() < data.len() {
        let part = server.read(&mut stream).unwrap();
        assert!(!part.is_empty());
        got.extend(part);
    }
    assert!(got == data);
    let input = writer.join().unwrap().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    let reader = std::thread::spawn(move || process.finish());
    server.write(&mut stream, &data);
    server.close(&mut stream).unwrap();
    drop((stream, input));
    let (output, _) = reader.join().unwrap();
    assert!(output.stdout == data);
}

#[test]
fn s_client_with_certificates_good_and_bad() {
    let world = World::new();
    let trust = world.authority.trust().with_lists(world.authority.revoke(&[666]));
    let mut trust = trust;
    trust.allow_expired_lists = true;
    let config = world.server.clone().with_client_auth(ClientAuth::Required(trust));
    let mut server = Server::new(config);
    let good = pki::Ask { not_after: until(), ..pki::client() };
    for flag in ["-tls1_3", "-tls1_2"] {
        let (cert, key) = world.files(&good);
        let mut client = server.s_client(&world, &[flag, "-cert", &cert, "-key", &key]);
        client.say("hello\n");
        let mut stream = server.accept().unwrap();
        server.read_line(&mut stream);
        let identity = stream.tls().unwrap().peer_identity().unwrap();
        assert_eq!(identity.dns_names, ["client.test"]);
        server.close(&mut stream).unwrap();
        drop(stream);
        assert!(client.finish().0.status.success());

        let bad = [
            (
                pki::Ask { serial: 666, ..pki::Ask { not_after: until(), ..pki::client() } },
                Failure::CertRevoked,
                "certificate revoked",
            ),
            (pki::client(), Failure::CertExpired, "certificate expired"),
            (
                pki::Ask { not_after: until(), ..pki::server() },
                Failure::CertWrongPurpose,
                "unsupported certificate",
            ),
        ];
        for (ask, failure, told) in bad {
            let expired = failure == Failure::CertExpired;
            let ask = if expired {
                pki::Ask { not_after: crate::tls_support::EPOCH, ..ask }
            } else {
                ask
            };
            let (cert, key) = world.files(&ask);
            let client = server.s_client(&world, &[flag, "-cert", &cert, "-key", &key]);
            let error = server.accept().unwrap_err();
            assert_eq!(Failure::of(&error), Some(failure), "{flag}: {error}");
            let (_, text) = client.finish();
            assert!(text.contains(told), "{flag}: {told:?} is missing in {text}");
        }
        let client = server.s_client(&world, &[flag]);
        assert_eq!(Failure::of(&server.accept().unwrap_err()), Some(Failure::CertRequired));
        let (_, text) = client.finish();
        assert!(text.contains("alert"), "{text}");
    }
}

#[test]
fn s_client_is_told_that_nothing_is_in_common() {
    let world = World::new();
    let config = world.server.clone().with_versions([TlsVersion::Tls13]).with_alpn(["echo"]);
    let mut server = Server::new(config);
    let cases = [
        (&["-tls1_2"][..], Failure::NoCommonVersion, "protocol version"),
        (&["-alpn", "other"], Failure::NoCommonAlpn, "no application protocol"),
        (&["-groups", "secp521r1"], Failure::NoCommonGroup, "handshake failure"),
    ];
    for (args, failure, told) in cases {
        let client = server.s_client(&world, args);
        let error = server.accept().unwrap_err();
        assert_eq!(Failure::of(&error), Some(failure), "{error}");
        let (_, text) = client.finish();
        assert!(text.contains(told), "{told:?} is missing in {text}");
    }
}

#[test]
fn a_renegotiation_is_refused() {
    let world = World::new();
    let mut server = Server::new(world.server.clone());
    let mut client = server.s_client(&world, &["-tls1_2"]);
    client.say("hello\n");
    let mut stream = server.accept().unwrap();
    assert_eq!(server.read_line(&mut stream), "hello\n");
    client.say("R\n");
    let end = server.read(&mut stream);
    // OpenSSL takes the refusal for a failure, and says so in an alert.
    let error = end.unwrap_err();
    assert!(matches!(TlsError::of(&error), Some(TlsFailure::PeerAlert(_))), "{error}");
    drop(stream);
    let (_, text) = client.finish();
    assert!(text.contains("no renegotiation"), "{text}");
}

#[test]
fn a_killed_s_client_is_a_truncation() {
    let world = World::new();
    let mut server = Server::new(world.server.clone());
    for flag in ["-tls1_3", "-tls1_2"] {
        let mut client = server.s_client(&world, &[flag]);
        client.say("hello\n");
        let mut stream = server.accept().unwrap();
        assert_eq!(server.read_line(&mut stream), "hello\n");
        drop(client);
        let error = server.read(&mut stream).unwrap_err();
        let reset = error.kind() == ErrorKind::ConnectionReset;
        assert!(TlsTruncated::is(&error) || reset, "{error}");
    }
}

#[test]
fn s_client_resumes_its_session() {
    let world = World::new();
    let mut server = Server::new(world.server.clone());
    for flag in ["-tls1_3", "-tls1_2"] {
        let session = world.dir.path(flag);
        for (arg, resumed) in [("-sess_out", false), ("-sess_in", true)] {
            let mut client = server.s_client(&world, &[flag, arg, &session]);
            client.say("hello\n");
            let mut stream = server.accept().unwrap();
            assert_eq!(server.read_line(&mut stream), "hello\n");
            assert_eq!(stream.tls().unwrap().resumed(), resumed, "{flag}");
            server.close(&mut stream).unwrap();
            drop(stream);
            let (_, text) = client.finish();
            assert_eq!(text.contains("Reused, "), resumed, "{text}");
        }
    }
}

#[test]
fn curl_gets_a_page_and_plain_http_is_named() {
    let world = World::new();
    let mut server = Server::new(world.server.clone().with_alpn(["http/1.1"]));
    let (ca, at) = (world.dir.path("ca.pem"), server.at());
    let url = format!("https://{at}/");
    let curl = Process::start("curl", &["-sS", "--noproxy", "*", "--cacert", &ca, &url]);
    let mut stream = server.accept().unwrap();
    let request = String::from_utf8(server.read(&mut stream).unwrap()).unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    // Without a length: only the close_notify says that this is all.
    server.write(&mut stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe page");
    stream.shutdown(Shutdown::Write).unwrap();
    let (output, text) = curl.finish();
    assert!(output.status.success() && text == "the page", "{text}");

    let url = format!("http://{at}/");
    let curl = Process::start("curl", &["-sS", "--noproxy", "*", &url]);
    assert_eq!(Failure::of(&server.accept().unwrap_err()), Some(Failure::PlainHttp));
    assert!(!curl.finish().0.status.success());
}

/// Keys as OpenSSL writes them, of each kind and in each wrapping.
#[test]
fn keys_of_openssl_are_read() {
    let dir = Dir::new();
    let (key, cert, other) = (dir.path("key"), dir.path("cert"), dir.path("other"));
    let make = |key: &str| {
        let identity = Identity::new(PathBuf::from(&cert), PathBuf::from(key));
        ServerTls::new(ServerTlsConfig::new(identity))
    };
    let kinds: [&[&str]; 4] = [
        &["rsa:2048"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ed25519"],
    ];
    for kind in kinds {
        let head = [
            "req", "-x509", "-nodes", "-days", "9", "-subj", "/CN=a", "-keyout", &key, "-out",
            &cert,
        ];
        openssl(&[&head[..], &["-newkey"], kind].concat());
        make(&key).unwrap();
        openssl(&["pkey", "-in", &key, "-outform", "DER", "-out", &other]);
        make(&other).unwrap();
        if kind[0] != "ed25519" {
            // PKCS #1 for RSA, SEC1 for EC.
            openssl(&["pkey", "-in", &key, "-traditional", "-out", &other]);
            assert!(fs::read_to_string(&other).unwrap().contains(" PRIVATE KEY"));
            make(&other).unwrap();
            openssl(&[
                "pkey",
                "-in",
                &key,
                "-traditional",
                "-aes128",
                "-passout",
                "pass:x",
                "-out",
                &other,
            ]);
            assert!(matches!(make(&other).unwrap_err().problem(), Problem::EncryptedKey));
        }
        openssl(&["pkcs8", "-topk8", "-in", &key, "-passout", "pass:x", "-out", &other]);
        assert!(matches!(make(&other).unwrap_err().problem(), Problem::EncryptedKey));
        openssl(&[
            "pkcs8", "-topk8", "-in", &key, "-passout", "pass:x", "-outform", "DER", "-out", &other,
        ]);
        assert!(matches!(make(&other).unwrap_err().problem(), Problem::EncryptedKey));
        openssl(&[
            "pkcs12", "-export", "-in", &cert, "-inkey", &key, "-passout", "pass:x", "-out", &other,
        ]);
        let error = make(&other).unwrap_err().to_string();
        assert!(error.contains("found a PKCS #12 archive"), "{error}");
        openssl(&["pkey", "-in", &key, "-pubout", "-out", &other]);
        let error = make(&other).unwrap_err().to_string();
        assert!(error.contains("found PEM with PUBLIC KEY"), "{error}");
    }
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &key]);
    openssl(&["req", "-x509", "-days", "9", "-subj", "/CN=a", "-key", &key, "-out", &cert]);
    assert!(fs::read_to_string(&key).unwrap().contains("EC PARAMETERS"));
    make(&key).unwrap();
}

#[test]
fn our_client_talks_to_s_server() {
    let world = World::new();
    let ask = pki::Ask { not_after: until(), ..pki::server() };
    let (cert, key) = world.files(&ask);
    let config = ClientTlsConfig::with_roots(world.authority.root());
    let client = ClientTls::new(&config.with_alpn(["echo"])).unwrap();
    // Its loop waits as the server's does.
    let mut waits = Server::new(world.server.clone());
    for flag in ["-tls1_3", "-tls1_2"] {
        let args = [
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            &cert,
            "-key",
            &key,
            "-rev",
            flag,
            "-alpn",
            "echo",
        ];
        let mut process = Process::start("openssl", &args);
        let output = BufReader::new(process.child().stdout.take().unwrap());
        let accepts = output
            .lines()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
        let addr = accepts.expect("s_server accepts nothing");
        let stream =
            waits.net.connect(&addr.parse::<tymist::net::Addr>().map(Dial::new).unwrap()).unwrap();
        let mut stream = client.connect(stream, "server.test").unwrap();
        stream.register(Token(2)).unwrap();
        while !stream.connected().unwrap() {
            waits.wait();
        }
        loop {
            match stream.advance() {
                Ok(Stage::Live) => break,
                Ok(Stage::Handshaking) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    waits.wait();
                }
            }
        }
        assert_eq!(stream.tls().unwrap().alpn(), Some(&b"echo"[..]));
        assert_eq!(stream.tls().unwrap().server_name(), Some("server.test"));
        waits.write(&mut stream, b"abc\n");
        assert_eq!(waits.read_line(&mut stream), "cba\n");
        assert_eq!(waits.close(&mut stream).unwrap(), b"");
    }
}
