//! Unix streams: what they share with all streams, by the same bodies, and what is theirs.

use std::io::ErrorKind;
use std::net::Shutdown;

use tymist::net::{Addr, Bind, Dial, Listen, Net, Stream};
use tymist::sim::Errno;

use super::bed::{Bed, Told, as_told, told};

impl Bed {
    /// The same bed with Unix sockets: both sides are on one host then.
    pub(crate) fn on_unix(mut self) -> Bed {
        if let Some(world) = &self.world {
            self.near = world.host(world.find("far").unwrap()).net();
        }
        self.dir = Some(tempfile::tempdir().unwrap());
        self
    }

    pub(crate) fn path(&self, name: &str) -> Addr {
        Addr::from(self.dir.as_ref().unwrap().path().join(name))
    }
}

macro_rules! same {
    ($($module:ident { $($case:ident)+ })+) => {
        $($(pub(crate) fn $case(bed: Bed) {
            crate::$module::$case(bed.on_unix());
        })+)+
    };
}

same! {
    streams {
        accepts_and_names_both_ends
        half_closes_both_ways
        closing_with_unread_bytes_is_a_reset
        moves_bytes_in_order_in_pieces
        pushes_back_and_reports_room
        reports_each_arrival_after_it_would_have_blocked
        writes_to_a_closed_peer_fail_after_the_first
        closing_a_listener_resets_who_waits
    }
    clients {
        connects_and_names_both_ends
        half_closes_and_ends_clean
        moves_bytes_both_ways_in_pieces
        is_held_back_and_told_of_room
    }
}

fn dial(net: &mut Box<dyn Net>, to: &Addr) -> Result<Box<dyn Stream>, Told> {
    net.connect(&Dial::new(to.clone())).map_err(|error| told(&error))
}

/// What the crate says in words of its own, since the number alone would help nobody.
fn own_words(kind: ErrorKind) -> Told {
    (kind, None)
}

fn listen_error(bed: &mut Bed, spec: &Listen) -> Told {
    told(&bed.far.listen(spec).err().unwrap())
}

pub(crate) fn refuse_where_nobody_is(bed: Bed) {
    let mut bed = bed.on_unix();
    let path = bed.path("s");
    assert_eq!(dial(&mut bed.near, &path).err(), Some(as_told(Errno::Enoent)));
    let mut spec = Listen::new(path.clone());
    let mut listener = bed.far.listen(&spec).unwrap();
    assert!(dial(&mut bed.near, &path).is_ok());
    spec.file.replace_stale = true;
    assert_eq!(listen_error(&mut bed, &spec), own_words(ErrorKind::AddrInUse), "a live one");
    // Nobody has the socket any more, but its file is there.
    listener.leave_file();
    drop(listener);
    assert_eq!(dial(&mut bed.near, &path).err(), Some(as_told(Errno::Econnrefused)));
    spec.file.replace_stale = false;
    assert_eq!(listen_error(&mut bed, &spec), own_words(ErrorKind::AlreadyExists));
    spec.file.replace_stale = true;
    let listener = bed.far.listen(&spec).unwrap();
    assert!(dial(&mut bed.near, &path).is_ok());
    drop(listener);
    assert_eq!(
        dial(&mut bed.near, &path).err(),
        Some(as_told(Errno::Enoent)),
        "gone with its file"
    );
    // A socket for datagrams is another thing.
    let _gram = bed.far.bind(&Bind::new(path.clone())).unwrap();
    let error = bed.near.connect(&Dial::new(path)).err().unwrap();
    bed.arm.is(&error, Errno::Eprototype);
}

pub(crate) fn are_told_of_a_full_backlog(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut listener = bed.listen_on(0, 2).unwrap();
    let target = listener.local_addr().clone();
    let mut dialled = Vec::new();
    let kind = loop {
        match dial(&mut bed.near, &target) {
            Ok(stream) => dialled.push(stream),
            Err(kind) => break kind,
        }
        assert!(dialled.len() < 10);
    };
    assert_eq!(
        (kind, dialled.len()),
        (own_words(ErrorKind::ResourceBusy), 3),
        "one more than the backlog"
    );
    let _taken = bed.accepted(&mut listener);
    assert!(dial(&mut bed.near, &target).is_ok());
}

pub(crate) fn know_the_name_that_was_taken(bed: Bed) {
    let mut bed = bed.on_unix();
    let mut listener = bed.listen();
    let own = bed.path("own");
    let mut spec = Dial::new(listener.local_addr().clone());
    spec.local = Some(own.clone());
    let near = bed.near.connect(&spec).unwrap();
    assert_eq!((near.local_addr(), near.peer_addr()), (&own, listener.local_addr()));
    let far = bed.accepted(&mut listener);
    assert_eq!(far.stream.peer_addr(), &own);
    assert_eq!(bed.near.connect(&spec).err().unwrap().kind(), ErrorKind::AddrInUse);
    assert_eq!(dial(&mut bed.near, &own).err(), Some(as_told(Errno::Econnrefused)), "no listener");
    drop(near);
    assert_eq!(dial(&mut bed.near, &own).err(), Some(as_told(Errno::Enoent)));
}

pub(crate) fn have_abstract_names(bed: Bed) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut bed = bed.on_unix();
    let name = Addr::abstract_name(bed.path("name").to_string());
    let mut listener = bed.far.listen(&Listen::new(name.clone())).unwrap();
    assert_eq!(listen_error(&mut bed, &Listen::new(name.clone())), as_told(Errno::Eaddrinuse));
    // Those of datagrams are others.
    let gram = bed.far.bind(&Bind::new(name.clone())).unwrap();
    let _near = dial(&mut bed.near, &name).unwrap();
    assert_eq!(bed.accepted(&mut listener).stream.local_addr(), &name);
    drop(listener);
    assert_eq!(dial(&mut bed.near, &name).err(), Some(as_told(Errno::Econnrefused)));
    drop(gram);
    bed.far.bind(&Bind::new(name)).unwrap();
}

pub(crate) fn have_no_other_names(bed: Bed) {
    let mut bed = bed.on_unix();
    let text = |len: usize| "x".repeat(len);
    for (addr, kind) in [
        (bed.path(&text(120)), ErrorKind::InvalidFilename),
        (Addr::from(std::path::Path::new("")), ErrorKind::InvalidFilename),
        (Addr::from(std::path::Path::new("a\0b")), ErrorKind::InvalidFilename),
        (Addr::Unnamed, ErrorKind::Unsupported),
    ] {
        let kind = own_words(kind);
        assert_eq!(listen_error(&mut bed, &Listen::new(addr.clone())), kind, "{addr:?}");
        assert_eq!(dial(&mut bed.near, &addr).err(), Some(kind), "{addr:?}");
    }
    if cfg!(target_os = "linux") {
        for len in [0, 108] {
            let spec = Listen::new(Addr::abstract_name(text(len)));
            assert_eq!(listen_error(&mut bed, &spec), own_words(ErrorKind::InvalidFilename));
        }
    }
}

pub(crate) fn end_for_the_writer_where_nobody_reads(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far, _listener) = bed.connection();
    far.stream.shutdown(Shutdown::Read).unwrap();
    bed.arm.is(&near.write(b"for nobody").unwrap_err(), Errno::Epipe);
    assert!(bed.rest(&mut far).1.is_ok(), "an end to who said so");
    assert_eq!(far.write(b"but this way").unwrap(), 12);
    let mut got = Vec::new();
    assert!(!near.drain(64, &mut got).unwrap());
    assert_eq!(got, b"but this way", "at once");
    far.stream.shutdown(Shutdown::Both).unwrap();
    assert!(bed.rest(&mut near).1.is_ok());
    drop(near);
    far.stream.shutdown(Shutdown::Both).unwrap();
}

/// After the peer's end no read tells of it. Who dialled and is up by now loses nothing of what is still to be read.
pub(crate) fn say_of_a_reset_after_the_end_when_asked(bed: Bed) {
    let mut bed = bed.on_unix();
    for unread in [true, false] {
        let (mut near, mut far, _listener) = bed.connection();
        far.stream.shutdown(Shutdown::Write).unwrap();
        assert!(bed.rest(&mut near).1.is_ok());
        assert!(near.stream.connected().unwrap());
        if unread {
            near.write(b"never read").unwrap();
        }
        drop(far);
        if unread {
            bed.arm.is(&near.stream.connected().unwrap_err(), Errno::Econnreset);
        }
        assert!(near.stream.connected().unwrap(), "once, and only where something was unread");
        bed.arm.is(&near.write(b"x").unwrap_err(), Errno::Epipe);
    }
}

pub(crate) fn read_the_rest_then_the_reset_then_the_end(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far, _listener) = bed.connection();
    near.write(b"never read").unwrap();
    far.write(b"last words").unwrap();
    drop(far);
    bed.arm.is(&near.write(b"x").unwrap_err(), Errno::Epipe);
    let (rest, end) = bed.rest(&mut near);
    assert_eq!(rest, b"last words");
    bed.arm.is(&end.unwrap_err(), Errno::Econnreset);
    assert!(bed.rest(&mut near).1.is_ok());
}

pub(crate) fn know_who_is_at_the_other_end(bed: Bed) {
    let mut bed = bed.on_unix();
    let (mut near, mut far, _listener) = bed.connection();
    let asked = |stream: &mut Box<dyn Stream>| stream.peer_credentials().unwrap();
    assert_eq!(asked(&mut near.stream), asked(&mut far.stream), "one process on both ends");
}
