//! Writes the payload that it renews or revokes to the log, to standard error and into a failure.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::{Failure, Next, Obtained, Tokens, failure, guest, hex, logging, report, types};

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
    fn renew(_: Vec<types::Setting>, tokens: Tokens) -> Obtained {
        write(&tokens);
        report(["renewed".to_owned()])
    }
}

impl exports::delegation::tokens::revocation::Guest for Guest {
    fn revoke(_: Vec<types::Setting>, tokens: Tokens) -> Result<(), Failure> {
        write(&tokens);
        Err(failure(Next::Denied, format!("revoking {} failed", String::from_utf8_lossy(&tokens.payload))))
    }
}

fn write(tokens: &Tokens) {
    for text in [String::from_utf8_lossy(&tokens.payload).into_owned(), hex(&tokens.payload)] {
        logging::log(logging::Level::Info, &format!("the payload is {text}!"));
        let (left, right) = text.split_at(text.len() / 2);
        for piece in [left, right, "\n"] {
            get_stderr().blocking_write_and_flush(piece.as_bytes()).expect("a stream that takes it");
        }
    }
}
