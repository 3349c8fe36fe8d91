//! Names for connections, acceptors and endpoints that cannot be mistaken for one another, and what the poller calls them.

use core::fmt;
use core::num::NonZeroU64;

use slab::Slab;

/// Kinds of sources, in their tokens.
pub(crate) const REMOTER: u8 = 0;
pub(crate) const ACCEPTOR: u8 = 1;
pub(crate) const ENDPOINT: u8 = 2;

/// What a registered source is called in a [`Readiness`](crate::net::Readiness).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

impl Token {
    pub(crate) const ID_BITS: u32 = usize::BITS - 2;
    pub(crate) const ID_MASK: usize = (1 << Self::ID_BITS) - 1;

    #[inline]
    pub(crate) const fn kind(self) -> usize {
        self.0 >> Self::ID_BITS
    }
}

/// Names one acceptor of a server; never given to another one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptorId(pub(crate) u32);

impl AcceptorId {
    /// What the poller reports for this acceptor.
    #[inline]
    pub(crate) fn token(self) -> Token {
        Token((self.0 as usize & Token::ID_MASK) | (usize::from(ACCEPTOR) << Token::ID_BITS))
    }
}

impl fmt::Display for AcceptorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acceptor {}", self.0)
    }
}

/// Names one datagram endpoint of a server; never given to another one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub(crate) Id);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint {}", self.0)
    }
}

/// Names one connection, for ever: an index into the engine's slab and the generation of that place.
///
/// An id whose connection is gone answers `None` wherever it is asked for, also after the place has been
/// given to another. A generation comes again after 2^38 connections (a month at 100,000 a second).
/// Ids order by generation, that is by when the connection was made.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU64);

/// Low bits that hold the index: at most 16,777,216 connections an engine.
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

    #[inline]
    fn new(index: usize, generation: u64) -> Option<Id> {
        let index = u64::try_from(index).ok().filter(|&index| index <= INDEX_MASK)?;
        NonZeroU64::new((generation & GENERATION_MASK) << INDEX_BITS | index).map(Id)
    }

    /// The place in the slab: small, dense, and given to another connection once this one is gone. Good for
    /// indexing a side table that is cleared at `Closed`.
    #[must_use]
    #[inline]
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
    #[inline]
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
    #[inline]
    pub(crate) fn new() -> Self {
        Slots { slab: Slab::new(), generation: 0 }
    }

    #[inline]
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

    #[inline]
    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        self.slab.get(id.index()).filter(|(at, _)| *at == id).map(|(_, item)| item)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.slab.get_mut(id.index()).filter(|(at, _)| *at == id).map(|(_, item)| item)
    }

    /// The id that a token of `kind` was made from, if it is still there.
    #[inline]
    pub(crate) fn by_token(&self, token: Token, kind: u8) -> Option<Id> {
        let id = self.slab.get(token.0 & TOKEN_INDEX_MASK)?.0;
        (id.token(kind) == token).then_some(id)
    }

    /// The same, with what is there.
    #[inline]
    pub(crate) fn by_token_mut(&mut self, token: Token, kind: u8) -> Option<(Id, &mut T)> {
        let (id, item) = self.slab.get_mut(token.0 & TOKEN_INDEX_MASK)?;
        (id.token(kind) == token).then_some((*id, item))
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn insert<T>(slots: &mut Slots<T>, item: T) -> Id {
        let id = slots.reserve().unwrap();
        slots.fill(id, item);
        id
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert,
        /// Any id ever given out, mostly a stale one after a while.
        Remove(Index),
        /// One that is there for certain.
        RemoveLive(Index),
        Change(Index),
        Shrink,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            6 => Just(Op::Insert),
            2 => any::<Index>().prop_map(Op::Remove),
            3 => any::<Index>().prop_map(Op::RemoveLive),
            2 => any::<Index>().prop_map(Op::Change),
            1 => Just(Op::Shrink),
        ];
        prop::collection::vec(op, 1..120)
    }

    /// What was put in under each id ever given out, `None` once it is out again.
    type Model = Vec<(Id, Option<u32>)>;

    fn check(slots: &mut Slots<u32>, model: &Model) -> Result<(), TestCaseError> {
        let mut live: Vec<(Id, u32)> =
            model.iter().filter_map(|(id, item)| Some((*id, (*item)?))).collect();
        live.sort_by_key(|(id, _)| id.index());
        prop_assert_eq!(slots.len(), live.len());
        prop_assert_eq!(
            slots.ids().collect::<Vec<_>>(),
            live.iter().map(|l| l.0).collect::<Vec<_>>()
        );
        prop_assert_eq!(
            slots.iter().copied().collect::<Vec<_>>(),
            live.iter().map(|l| l.1).collect::<Vec<_>>()
        );
        for (id, item) in model {
            prop_assert_eq!(slots.get(*id), item.as_ref(), "{}", id);
            for kind in 0..3 {
                prop_assert_eq!(slots.by_token(id.token(kind), kind), item.map(|_| *id));
                let found = slots.by_token_mut(id.token(kind), kind).map(|(id, item)| (id, *item));
                prop_assert_eq!(found, item.map(|item| (*id, item)));
                prop_assert_eq!(slots.by_token(id.token(kind), kind ^ 3), None, "another kind's");
            }
        }
        Ok(())
    }

    fn run(ops: &[Op], first_generation: u64) -> Result<(), TestCaseError> {
        let mut slots = Slots::new();
        slots.generation = first_generation;
        let mut model = Model::new();
        let mut item = 0;
        for op in ops {
            match op {
                Op::Insert => {
                    item += 1;
                    let id = insert(&mut slots, item);
                    prop_assert!(model.iter().all(|(old, _)| *old != id), "{} twice", id);
                    prop_assert!(id.generation() != 0);
                    model.push((id, Some(item)));
                }
                Op::Remove(index) if !model.is_empty() => {
                    let (id, item) = index.get(&model);
                    prop_assert_eq!(slots.remove(*id), *item);
                    let index = index.index(model.len());
                    model[index].1 = None;
                }
                Op::RemoveLive(index) if slots.len() > 0 => {
                    let id = slots.ids().nth(index.index(slots.len())).unwrap();
                    let entry = model.iter_mut().find(|(old, _)| *old == id).unwrap();
                    prop_assert_eq!(slots.remove(id), entry.1.take());
                }
                Op::Change(index) if !model.is_empty() => {
                    let index = index.index(model.len());
                    let (id, item) = &mut model[index];
                    if let Some(there) = slots.get_mut(*id) {
                        *there += 1_000;
                    }
                    *item = item.map(|item| item + 1_000);
                }
                Op::Remove(_) | Op::RemoveLive(_) | Op::Change(_) => {}
                Op::Shrink => slots.shrink_if_empty(),
            }
            check(&mut slots, &model)?;
        }
        for item in slots.iter_mut() {
            *item += 5;
        }
        for (_, item) in &mut model {
            *item = item.map(|item| item + 5);
        }
        check(&mut slots, &model)
    }

    proptest! {
        #[test]
        fn an_id_names_what_it_was_made_for_and_nothing_else(
            ops in ops(),
            first_generation in prop_oneof![
                Just(0), 0..GENERATION_MASK, GENERATION_MASK - 9..=GENERATION_MASK,
            ],
        ) {
            run(&ops, first_generation)?;
        }
    }

    #[test]
    fn a_place_given_again_has_another_name() {
        let mut slots = Slots::new();
        let old = insert(&mut slots, 'a');
        assert_eq!(slots.remove(old), Some('a'));
        let new = insert(&mut slots, 'b');
        assert_eq!(old.index(), new.index(), "the same place, or this shows nothing");
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&'b')));
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.by_token(old.token(1), 1), None);
        assert_eq!(slots.by_token(new.token(1), 1), Some(new));
        assert!(old < new, "ids order by age");
        assert_eq!((old.to_string(), format!("{new:?}")), ("0.1".into(), "0.2".into()));
    }

    #[test]
    fn generations_come_again_only_after_all_of_them_and_never_as_zero() {
        let mut slots = Slots::new();
        slots.generation = GENERATION_MASK - 1;
        let last = insert(&mut slots, ());
        assert_eq!(last.generation(), GENERATION_MASK);
        let first = insert(&mut slots, ());
        assert_eq!(first.generation(), 1);
    }

    #[test]
    fn what_a_crowd_needed_is_given_back_once_nobody_is_left() {
        let mut slots = Slots::new();
        let ids: Vec<_> = (0..1000).map(|n| insert(&mut slots, n)).collect();
        for (n, id) in ids.into_iter().enumerate() {
            slots.shrink_if_empty();
            assert!(slots.slab.capacity() >= 1000, "{n}: somebody is left");
            assert_eq!(slots.remove(id), Some(n));
        }
        slots.shrink_if_empty();
        assert_eq!(slots.slab.capacity(), 0);
    }

    #[test]
    fn names_say_what_they_name() {
        assert_eq!(AcceptorId(3).to_string(), "acceptor 3");
        assert_eq!(EndpointId(Id::new(2, 5).unwrap()).to_string(), "endpoint 2.5");
    }

    #[test]
    fn there_are_no_ids_beyond_the_last_place() {
        assert!(Id::new((1 << INDEX_BITS) - 1, 1).is_some());
        assert_eq!(Id::new(1 << INDEX_BITS, 1), None);
    }

    #[test]
    fn tokens_hold_the_kind_and_leave_the_wakers_name_alone() {
        let id = Id::new((1 << INDEX_BITS) - 1, GENERATION_MASK).unwrap();
        for kind in 0..3 {
            assert_eq!(id.token(kind).kind(), usize::from(kind));
            assert_ne!(id.token(kind), Token(usize::MAX));
        }
    }
}
