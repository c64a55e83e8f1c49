//! Puts a file and computes for ever.

use hostile_guests::receiver;
use hostile_guests::receiver::put;

receiver!(|_, deliveries| {
    assert_eq!(put("credentials", &deliveries[0].payload), "ok");
    loop {
        std::hint::black_box(0);
    }
});
