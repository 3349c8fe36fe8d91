//! The contract of a network, as one body of tests: for the operating system's and the simulated one, plain and under TLS, with the usual
//! buffers and with tiny ones. What only one of the two does is a bug of the other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod bed;
mod clients;
mod datagrams;
mod dials;
mod multicast;
mod patience;
mod peers;
mod relays;
mod servers;
mod streams;
#[path = "../tls_support/mod.rs"]
mod tls_support;
#[cfg(all(unix, feature = "uds"))]
mod unix_grams;
#[cfg(all(unix, feature = "uds"))]
mod unix_streams;

macro_rules! arms {
    ($arms:tt $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            $(mod $case { arms!(@each $arms $module $case); })+
        })+
    };
    (@each { $($arm:ident = $sim:literal $tls:literal $tiny:literal,)+ } $module:ident $case:ident) => {
        $(#[test]
        fn $arm() {
            let arm = crate::bed::Arm { sim: $sim, tls: $tls, tiny: $tiny };
            crate::$module::$case(crate::bed::Bed::new(arm));
        })+
    };
}

mod tests {
    arms! {
        {
            os_plain = false false false,
            os_plain_tiny = false false true,
            os_tls = false true false,
            os_tls_tiny = false true true,
            sim_plain = true false false,
            sim_plain_tiny = true false true,
            sim_tls = true true false,
            sim_tls_tiny = true true true,
        }
        streams {
            accepts_and_names_both_ends
            refuses_where_nobody_listens
            half_closes_both_ways
            aborts_as_a_reset
            closing_with_unread_bytes_is_a_reset
            moves_bytes_in_order_in_pieces
            pushes_back_and_reports_room
            reports_each_arrival_after_it_would_have_blocked
            writes_to_a_closed_peer_fail_after_the_first
            a_full_backlog_makes_callers_wait
            a_port_can_be_listened_on_again
            closing_a_listener_resets_who_waits
        }
        servers {
            echoes_and_ends_clean
            tells_of_a_reset
            refuses_beyond_its_limit
            closes_after_all_is_sent
        }
        clients {
            connects_and_names_both_ends
            is_refused_where_nobody_listens
            half_closes_and_ends_clean
            is_told_of_a_reset
            aborts_as_a_reset_to_the_other_side
            moves_bytes_both_ways_in_pieces
            is_held_back_and_told_of_room
            wait_for_a_full_backlog
            come_again_to_a_port_that_is_used_again
        }
        dials {
            dial_and_are_answered
            come_again_after_a_reset
        }
        relays {
            bytes_go_over_both_ways
            each_half_ends_by_itself
            a_reset_of_one_side_is_one_of_the_other
            a_target_that_refuses_resets_the_caller
            a_side_that_stands_still_holds_the_other_back
        }
    }
}

mod plain {
    arms! {
        {
            os = false false false,
            os_tiny = false false true,
            sim = true false false,
            sim_tiny = true false true,
        }
        datagrams {
            come_whole_and_from_somebody
            are_cut_to_the_buffer
            say_that_nobody_listens_where_connected
            cannot_be_longer_than_the_protocol_allows
        }
        multicast {
            comes_to_members_only
            refuses_what_cannot_be
            regression_no_hops_are_refused_over_ipv6_too
        }
        patience {
            regression_keep_alive_that_cannot_be_is_refused
            a_peer_that_does_not_read_is_given_up_in_time
            an_attempt_to_connect_is_given_up_in_time
            a_loopback_address_reaches_no_other_host
        }
        peers {
            send_and_take_whole_datagrams
            flag_what_was_cut
            hear_that_nobody_listens_where_connected
            cannot_send_more_than_the_protocol_allows
            keep_to_their_queues
            open_again_where_they_were
        }
    }
}

#[cfg(all(unix, feature = "uds"))]
mod unix {
    arms! {
        {
            os_plain = false false false,
            os_plain_tiny = false false true,
            os_tls = false true false,
            sim_plain = true false false,
            sim_plain_tiny = true false true,
            sim_tls = true true false,
        }
        unix_streams {
            accepts_and_names_both_ends
            half_closes_both_ways
            closing_with_unread_bytes_is_a_reset
            moves_bytes_in_order_in_pieces
            pushes_back_and_reports_room
            reports_each_arrival_after_it_would_have_blocked
            writes_to_a_closed_peer_fail_after_the_first
            closing_a_listener_resets_who_waits
            connects_and_names_both_ends
            half_closes_and_ends_clean
            moves_bytes_both_ways_in_pieces
            is_held_back_and_told_of_room
        }
    }
}

#[cfg(all(unix, feature = "uds"))]
mod unix_plain {
    arms! {
        {
            os = false false false,
            sim = true false false,
        }
        unix_streams {
            refuse_where_nobody_is
            are_told_of_a_full_backlog
            know_the_name_that_was_taken
            have_abstract_names
            have_no_other_names
            end_for_the_writer_where_nobody_reads
            read_the_rest_then_the_reset_then_the_end
            say_of_a_reset_after_the_end_when_asked
            know_who_is_at_the_other_end
        }
        unix_grams {
            come_whole_and_from_a_path
            are_cut_to_the_buffer
            say_who_is_not_there
            wait_for_room_at_the_receiver
            are_told_of_room_in_connected_mode
            keep_strangers_out
            lose_their_peer
            cannot_be_longer_than_the_buffer
        }
    }
}
