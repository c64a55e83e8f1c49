//! What needs a person comes first in tables, and has a colour.

use clap::builder::styling::Style;
use deputy_coordinator::Attention;
use deputy_worker::status::{DeliveryStatus, ReceiverStatus};

use crate::print::{ERROR, FAINT, GOOD, WARNING};

/// The style of the word that says the state.
pub(crate) fn style(attention: Attention) -> Style {
    match attention {
        Attention::Person | Attention::Down => ERROR,
        Attention::Trouble => WARNING,
        Attention::Busy => Style::new(),
        Attention::Fine => GOOD,
        Attention::Idle => FAINT,
    }
}

pub(crate) fn of_delivery(delivery: &DeliveryStatus) -> Attention {
    match delivery.state.as_str() {
        "failed" => Attention::Down,
        _ if delivery.valid_for_ms.is_some_and(|left| left <= 0) => Attention::Down,
        "applied" => Attention::Fine,
        _ => Attention::Busy,
    }
}

pub(crate) fn of_receiver(receiver: &ReceiverStatus) -> Attention {
    let is_hook_failing = receiver.hook.as_ref().is_some_and(|hook| hook.error.is_some());
    match receiver.state.as_str() {
        "leaving" => Attention::Idle,
        _ if !receiver.ready && receiver.trouble.is_some() => Attention::Down,
        _ if receiver.trouble.is_some() || !receiver.rejected.is_empty() || is_hook_failing => Attention::Trouble,
        "applied" | "nothing" => Attention::Fine,
        _ => Attention::Busy,
    }
}
