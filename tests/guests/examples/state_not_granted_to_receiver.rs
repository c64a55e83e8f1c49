//! A receiver that keeps what it was given.

use hostile_guests::receiver::{payload, report};
use hostile_guests::{outcome, receiver, state};

receiver!(|_, deliveries| report([outcome(state::load()), outcome(state::save(payload(deliveries).as_bytes()))]));
