//! A target that must fail: if fuzzing does not find this, it finds nothing.

use std::collections::VecDeque;

use arbitrary::{Arbitrary, Unstructured};

#[derive(Arbitrary, Debug)]
enum Op {
    Push(u8),
    Pop,
}

/// A ring of four places which forgets, where it is full, that it is: the planted bug.
#[derive(Default)]
struct Ring {
    places: [u8; 4],
    begin: usize,
    len: usize,
}

impl Ring {
    fn push(&mut self, value: u8) {
        self.places[(self.begin + self.len) % 4] = value;
        self.len += 1; // Should not happen at 4.
    }

    fn pop(&mut self) -> Option<u8> {
        self.len = self.len.checked_sub(1)?;
        let value = self.places[self.begin];
        self.begin = (self.begin + 1) % 4;
        Some(value)
    }
}

/// Lists of operations on a ring with a bug, against a deque.
pub fn canary(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (mut ring, mut model) = (Ring::default(), VecDeque::new());
    while !input.is_empty() {
        match Op::arbitrary(&mut input) {
            Ok(Op::Push(value)) => {
                ring.push(value);
                model.push_back(value);
            }
            Ok(Op::Pop) => assert_eq!(ring.pop(), model.pop_front(), "the canary has been found"),
            Err(_) => return,
        }
    }
}
