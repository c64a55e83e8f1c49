//! Writes a secret that it may read to the log and to its standard streams, whole and in two halves.

use hostile_guests::secret_values;
use hostile_guests::secrets::open;
use hostile_guests::wasip2::cli::stderr::get_stderr;
use hostile_guests::wasip2::cli::stdout::get_stdout;
use hostile_guests::{guest, logging, report};

guest!(|settings| {
    let value = reveal(&settings.text("secret"));
    let (left, right) = value.split_at(value.len() / 2);
    logging::log(logging::Level::Info, &format!("the secret is {value}!"));
    for stream in [get_stdout(), get_stderr()] {
        for part in [format!("here it is: {value}\n"), format!("halves: {left}"), format!("{right}\n")] {
            stream.blocking_write_and_flush(part.as_bytes()).expect("a stream that takes it");
        }
    }
    report(["wrote".to_owned()])
});

fn reveal(name: &str) -> String {
    let value = secret_values::reveal(&open(name).expect("a granted secret")).expect("a granted value");
    String::from_utf8(value).expect("text")
}
