//! Gives contexts the service's tokens twice, out of order, altered, and those of another context.

use hostile_guests::kerberos::{Context, open, why};
use hostile_guests::sockets::{Connection, connect, resolve};
use hostile_guests::{guest, report};

/// One message of the connection: its length in four bytes, and its bytes.
fn receive(connection: &Connection) -> Vec<u8> {
    let length = read(connection, 4).try_into().map(u32::from_be_bytes).expect("four bytes");
    read(connection, length.into())
}

fn read(connection: &Connection, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        bytes.extend(connection.input.blocking_read(length - bytes.len() as u64).expect("it goes on"));
    }
    bytes
}

fn send(connection: &Connection, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("it is short").to_be_bytes();
    connection.output.blocking_write_and_flush(&[&length[..], bytes].concat()).expect("it is sent");
}

fn unwrapped(context: &Context, token: &[u8]) -> String {
    match context.unwrap(token) {
        Ok(opened) => format!("ok {}", String::from_utf8_lossy(&opened.message)),
        Err(error) => why(&error),
    }
}

guest!(|settings| {
    let target = settings.text("target");
    let address = resolve(&settings.text("name")).expect("an address")[0];
    let connection = connect((address, settings.number("port") as u16).into()).expect("a connection");
    let context = open(&target).expect("it is granted");
    let first = context.step(&[]).expect("a token").token;
    send(&connection, &first);
    let answer = receive(&connection);
    let mut lines = Vec::new();
    let mut note = |what: &str, outcome: String| lines.push(format!("{what}: {outcome}"));

    let stepped = |context: &Context, token: &[u8]| match context.step(token) {
        Ok(stepped) => format!("ok {}", stepped.established),
        Err(error) => why(&error),
    };
    let other = open(&target).expect("it is granted");
    let own = other.step(&[]).expect("a token").token;
    assert!(own != first, "each token is another one");
    note("answer of another context", stepped(&other, &answer));
    let another = open(&target).expect("it is granted");
    let own = another.step(&[]).expect("a token").token;
    note("its own token", stepped(&another, &own));
    note("answer", stepped(&context, &answer));
    note("answer again", stepped(&context, &answer));

    let [one, two, three] = [(); 3].map(|()| receive(&connection));
    let altered = |at: usize| {
        let mut token = two.clone();
        token[at] ^= 1;
        unwrapped(&context, &token)
    };
    note(
        "altered",
        if (16..two.len()).all(|at| altered(at).starts_with("bad-token")) { "bad-token" } else { "ok" }.into(),
    );
    note("cut", unwrapped(&context, &two[..two.len() - 1]));
    note("second", unwrapped(&context, &two));
    note("first, late", unwrapped(&context, &one));
    note("second again", unwrapped(&context, &two));
    note("third", unwrapped(&context, &three));
    note(
        "its own message",
        context.wrap(b"mine", true).map_or_else(|error| why(&error), |own| unwrapped(&context, &own)),
    );
    // The call ends with all of them open.
    for context in [context, other, another] {
        std::mem::forget(context);
    }
    report(lines)
});
