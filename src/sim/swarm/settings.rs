//! Drawing the settings of an engine and of a datagram endpoint. Every field is named, so that a new one does not compile before it is drawn.

use super::draw::{magnitude, millis, size};
use crate::config::{Config, Limits, MinRate, OverLimit, RxFull, Timeouts, TxFull};
use crate::peer::{GramConfig, GramsFull};
use crate::sim::Rng;

/// Settings of an engine: each limit and timeout is left alone, or anything from useless to generous. Bounds that make no sense for
/// your protocol, set afterwards.
///
/// With settings so drawn a connection may well be unable to do its work; change them for the phase in which progress is demanded.
#[must_use]
pub fn draw_config(rng: &mut Rng) -> Config {
    let mut config = Config::new();
    let Config {
        limits,
        timeouts,
        refreshable,
        refresh_handshake,
        half_open,
        rx_full,
        tx_full,
        over_limit,
        spin: _, // Nothing of it happens in a world.
        seed,
    } = &mut config;
    draw_limits(rng, limits);
    draw_timeouts(rng, timeouts);
    *refreshable = rng.chance(0.8);
    *refresh_handshake = rng.chance(0.2);
    *half_open = rng.chance(0.2);
    *rx_full = if rng.chance(0.9) { RxFull::Pause } else { RxFull::Close };
    *tx_full = if rng.chance(0.9) { TxFull::Partial } else { TxFull::Close };
    *over_limit = if rng.chance(0.5) { OverLimit::Refuse } else { OverLimit::Wait };
    *seed = rng.chance(0.5).then(|| rng.next_u64());
    config
}

fn draw_limits(rng: &mut Rng, limits: &mut Limits) {
    let Limits {
        remoters,
        remoters_per_ip,
        accepts_per_tick,
        accept_deque,
        handshakes,
        handshakes_per_ip,
        handshakes_per_tick,
        connects_per_tick,
        lookups,
        rx_bytes,
        tx_bytes,
        turns_per_tick,
        remoter_tick_bytes,
        tick_bytes,
        tick_bytes_out,
        burst_bytes,
        grams_per_tick,
        burst_grams,
        buffered,
        events,
        scratch,
    } = limits;
    for (limit, bits) in [
        (remoters, 5),
        (remoters_per_ip, 5),
        (accepts_per_tick, 4),
        (accept_deque, 4),
        (handshakes, 4),
        (handshakes_per_ip, 4),
        (handshakes_per_tick, 4),
        (connects_per_tick, 4),
        (lookups, 4),
        (grams_per_tick, 6),
        (burst_grams, 4),
        (rx_bytes, 18),
        (tx_bytes, 18),
        (remoter_tick_bytes, 16),
        (tick_bytes, 18),
        (tick_bytes_out, 18),
        (burst_bytes, 16),
        (&mut *buffered, 20),
        (events, 8),
        (scratch, 16),
        (turns_per_tick, 4),
    ] {
        if rng.chance(0.25) {
            *limit = size(rng, bits);
        }
    }
    // One byte for all would leave no room to answer.
    *buffered = (*buffered).max(2);
}

fn draw_timeouts(rng: &mut Rng, timeouts: &mut Timeouts) {
    let Timeouts {
        connect,
        handshake,
        first_byte,
        idle,
        lifetime,
        write_stall,
        linger,
        drain,
        accept_pause,
        min_rate,
    } = timeouts;
    for timeout in [connect, handshake, first_byte, idle, lifetime, write_stall, linger, drain] {
        if rng.chance(0.25) {
            *timeout = rng.chance(0.8).then(|| millis(rng, 15));
        }
    }
    if rng.chance(0.1) {
        *min_rate = Some(MinRate { bytes: magnitude(rng, 12), window: millis(rng, 14) });
    }
    if rng.chance(0.2) {
        *accept_pause = millis(rng, 12);
    }
}

/// Settings of a datagram endpoint, each left alone or anything from useless to generous; see [`draw_config`].
#[must_use]
pub fn draw_gram_config(rng: &mut Rng) -> GramConfig {
    let mut config = GramConfig::new();
    let GramConfig {
        max_gram,
        rx_grams,
        rx_bytes,
        rx_full,
        tx_grams,
        tx_bytes,
        tick_grams,
        burst_grams,
        tick_bytes,
        events,
        stall,
        pause,
        spin: _,
        buffer_grams,
    } = &mut config;
    for (limit, bits) in [
        (max_gram, 16),
        (rx_grams, 8),
        (rx_bytes, 18),
        (tx_grams, 8),
        (tx_bytes, 18),
        (tick_grams, 6),
        (burst_grams, 4),
        (tick_bytes, 18),
        (events, 6),
        (buffer_grams, 4),
    ] {
        if rng.chance(0.25) {
            *limit = size(rng, bits);
        }
    }
    if rng.chance(0.25) {
        *stall = rng.chance(0.8).then(|| millis(rng, 12));
    }
    if rng.chance(0.25) {
        *pause = millis(rng, 12);
    }
    *rx_full = if rng.chance(0.7) { GramsFull::DropNewest } else { GramsFull::DropOldest };
    config
}
