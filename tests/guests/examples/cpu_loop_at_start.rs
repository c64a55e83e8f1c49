//! Never ends its own start, so that no function of it is ever reached.

use hostile_guests::{guest, report};

guest!(|_| report(["started".to_owned()]));

/// Run when the component is instantiated.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    loop {
        std::hint::black_box(0);
    }
}
