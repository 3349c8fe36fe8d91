//! Doers in loops of others: one body of tests for every adapter. What is counted is turns, never time.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says so by failing")]
#![allow(clippy::disallowed_methods, reason = "the far ends are threads with blocking sockets")]

mod loops;
mod suite;
#[path = "../util/mod.rs"]
mod util;

/// All of the suite in this loop.
macro_rules! every {
    ($name:ident: $($test:ident)*) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    crate::suite::$test(crate::loops::$name);
                }
            )*
        }
    };
}

macro_rules! in_each {
    ($($name:ident)*) => {
        $(every! { $name:
            a_deadline_wakes_it_and_nothing_else
            a_byte_wakes_it_each_time
            a_waker_wakes_it_from_another_thread
            what_was_not_taken_is_told_again
            what_was_left_in_a_descriptor_is_told_again
            what_is_opened_later_is_waited_on
            descriptors_come_and_go
            several_engines_wait_together
            an_error_is_given_out_and_the_doer_left
            a_doer_that_always_wants_its_turn_leaves_others_theirs
            regression_one_that_was_left_before_is_over_at_once
        })*
    };
}

in_each! { tokio smol calloop poll watcher }
