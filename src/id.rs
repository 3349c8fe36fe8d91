//! Names for connections that cannot be mistaken for one another.

use core::fmt;
use core::num::NonZeroU64;

use slab::Slab;

use crate::net::Token;

/// Names one connection, for ever: an index into the engine's slab and the generation of that place.
///
/// An id whose connection is gone answers `None` wherever it is asked for, also after the place has been
/// given to another. A generation comes again after 2^38 connections (a month at 100,000 a second).
/// Ids order by generation, that is by when the connection was made.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU64);

/// Low bits that hold the index: at most 16,777,215 connections an engine.
const INDEX_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// The same, of a token.
const TOKEN_INDEX_MASK: usize = (1 << INDEX_BITS) - 1;
/// High bits that hold the generation, never 0; the two bits above are the token's.
const GENERATION_BITS: u32 = 62 - INDEX_BITS;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

impl Id {
    /// Before all others.
    pub(crate) const MIN: Id = Id(NonZeroU64::MIN);
    /// After all others.
    pub(crate) const MAX: Id = Id(NonZeroU64::MAX);

    fn new(index: usize, generation: u64) -> Option<Id> {
        let index = u64::try_from(index).ok().filter(|&index| index <= INDEX_MASK)?;
        NonZeroU64::new((generation & GENERATION_MASK) << INDEX_BITS | index).map(Id)
    }

    /// The place in the slab: small, dense, and given to another connection once this one is gone. Good for
    /// indexing a side table that is cleared at `Closed`.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0.get() & INDEX_MASK) as usize
    }

    /// Which use of that place it is; grows by one with each connection of the engine.
    #[must_use]
    pub const fn generation(self) -> u64 {
        self.0.get() >> INDEX_BITS
    }

    /// The number that stands for this id in a log or on a wire; unique within its engine.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }

    /// What the poller reports for this connection. Where `usize` has 32 bits the generation is cut to six; a
    /// false match then costs one spare look at a socket, since readiness is only ever a hint.
    pub(crate) const fn token(self, kind: u8) -> Token {
        #[allow(clippy::cast_possible_truncation, reason = "the cut is meant, see above")]
        let low = self.0.get() as usize;
        Token((low & Token::ID_MASK) | ((kind as usize) << Token::ID_BITS))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `index.generation`, as in `7.1204`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

/// A slab whose places are named by [`Id`]s. Look-ups are O(1), iteration is in index order.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(Id, T)>,
    generation: u64,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Slots { slab: Slab::new(), generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The id that the next [`fill`](Slots::fill) is to be given; `None` where 2^24 places are taken.
    pub(crate) fn reserve(&self) -> Option<Id> {
        let generation = (self.generation + 1) & GENERATION_MASK;
        Id::new(self.slab.vacant_key(), generation.max(1))
    }

    /// Puts `item` in the place that was reserved last.
    pub(crate) fn fill(&mut self, id: Id, item: T) {
        debug_assert_eq!(self.reserve(), Some(id), "filled without reserving");
        self.generation = id.generation();
        self.slab.insert((id, item));
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        self.slab.get(id.index()).filter(|(at, _)| *at == id).map(|(_, item)| item)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.slab.get_mut(id.index()).filter(|(at, _)| *at == id).map(|(_, item)| item)
    }

    /// The id that a token of `kind` was made from, if it is still there.
    pub(crate) fn by_token(&self, token: Token, kind: u8) -> Option<Id> {
        let id = self.slab.get(token.0 & TOKEN_INDEX_MASK)?.0;
        (id.token(kind) == token).then_some(id)
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        Some(self.slab.remove(id.index()).1)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.slab.iter().map(|(_, (id, _))| *id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slab.iter().map(|(_, (_, item))| item)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().map(|(_, (_, item))| item)
    }

    /// Gives back memory that a past crowd needed, once nobody is left.
    pub(crate) fn shrink_if_empty(&mut self) {
        if self.slab.is_empty() {
            self.slab.shrink_to_fit();
        }
    }
}
