//! Puts a file and breaks off.

use hostile_guests::receiver;
use hostile_guests::receiver::put;

receiver!(|_, deliveries| {
    assert_eq!(put("credentials", &deliveries[0].payload), "ok");
    panic!("a text that is never shown")
});
