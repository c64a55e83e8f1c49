//! Writes what it is given, each delivery into a file of its instance's name, and who that was into a report.

use hostile_guests::receiver;
use hostile_guests::receiver::{put, report};

receiver!(|_, deliveries| report(deliveries.iter().map(|delivery| {
    let put = put(&delivery.instance, &delivery.payload);
    format!("{} {} {} {:?} {put}", delivery.instance, delivery.service, delivery.revision, delivery.expiry)
})));
