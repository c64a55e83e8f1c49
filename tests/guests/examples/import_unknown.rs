//! Asks for an interface that no host of this contract has.

use hostile_guests::{guest, report};

wit_bindgen::generate!({
    inline: "
        package other:host@0.1.0;
        interface backdoor {
            open: func() -> string;
        }
        world guest {
            import backdoor;
        }
    ",
});

guest!(|_| report([other::host::backdoor::open()]));
