//! Writes a payload, a handle and a state to the log before the host can know them: it has yet to save and to return them.
//! Then it ends as the setting `end` says.

use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::wasip2::cli::stdout::get_stdout;
use hostile_guests::{Next, Tokens, fact, failure, guest, hex, logging, outcome, state, tokens};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

guest!(|settings| {
    let values = ["payload", "handle", "state"].map(|name| settings.text(name));
    values.iter().for_each(|value| tell(value));
    outcome(state::save(values[2].as_bytes()));
    match settings.text("end").as_str() {
        "failure" => Err(failure(Next::Denied, format!("it is {} and {}", values[2], base64(values[2].as_bytes())))),
        "trap" => panic!("it is {}", values[2]),
        "loop" => loop {
            std::hint::black_box(&values);
        },
        "odd-kind" => Ok(Tokens {
            kind: format!("{}/{}", values[0], values[1]),
            handle: values[1].clone().into(),
            ..tokens(values[0].clone())
        }),
        _ => Ok(Tokens {
            handle: values[1].clone().into(),
            facts: values.iter().map(|value| fact(value.to_uppercase(), base64(value.as_bytes()))).collect(),
            ..tokens(values[0].clone())
        }),
    }
});

/// At each level and on both streams, in pieces as well.
fn tell(value: &str) {
    let bytes = value.as_bytes();
    for form in
        [value.to_owned(), value.to_uppercase(), base64(bytes), base64(format!("user:{value}").as_bytes()), hex(bytes)]
    {
        for level in [logging::Level::Debug, logging::Level::Info, logging::Level::Warn, logging::Level::Error] {
            logging::log(level, &format!("it is {form}!"));
        }
        let (left, right) = form.split_at(form.len() / 2);
        for piece in ["it is ", left, right, "!\n"] {
            get_stdout().blocking_write_and_flush(piece.as_bytes()).expect("a stream that takes it");
            get_stderr().blocking_write_and_flush(piece.as_bytes()).expect("a stream that takes it");
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let group = a << 16 | b << 8 | c;
        let letters = [18, 12, 6, 0].map(|shift| char::from(LETTERS[(group >> shift & 63) as usize]));
        text.extend(&letters[..=chunk.len()]);
    }
    text
}
