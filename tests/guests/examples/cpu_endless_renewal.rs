//! Obtains as it should, and never ends a renewal or a revocation.

use hostile_guests::{Failure, Obtained, Tokens, guest, report, types};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package hostile:renewal;
        world guest {
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/revokes-tokens@0.2.0;
        }
    ",
    world: "hostile:renewal/guest",
    with: { "delegation:tokens/types@0.2.0": hostile_guests::types },
});

guest!(|_| report(["tokens".to_owned()]));

export!(Guest);

impl exports::delegation::tokens::renewal::Guest for Guest {
    fn renew(_: Vec<types::Setting>, _: Tokens) -> Obtained {
        endless()
    }
}

impl exports::delegation::tokens::revocation::Guest for Guest {
    fn revoke(_: Vec<types::Setting>, _: Tokens) -> Result<(), Failure> {
        endless()
    }
}

fn endless() -> ! {
    loop {
        std::hint::black_box(0);
    }
}
