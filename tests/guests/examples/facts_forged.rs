//! Brings facts in the host's name, with lines and colours of their own, and with the payload and the handle in them.

use hostile_guests::{Tokens, fact, guest, hex, tokens};

const PAYLOAD: &str = "canary-of-a-payload-in-facts";
const HANDLE: &str = "canary-of-a-handle-in-facts";

guest!(|_| Ok(Tokens {
    handle: HANDLE.into(),
    facts: vec![
        fact("deputy.expiry", "never"),
        fact("\u{1b}[2Jdeputy.kind", "forged\r\n2026-01-01T00:00:00Z ERROR deputy: forged\u{202e}\u{0}"),
        fact("payload", PAYLOAD),
        fact(HANDLE, "a handle"),
        fact("both", format!("{HANDLE}{PAYLOAD}")),
        fact("hex", hex(PAYLOAD.as_bytes())),
        fact("", ""),
        fact("plain", "fine"),
    ],
    ..tokens(PAYLOAD)
}));
