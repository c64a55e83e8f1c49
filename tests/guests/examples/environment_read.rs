//! Reads the environment, the arguments, the folder and the standard input of the host's process.

use hostile_guests::wasip2::cli::environment::{get_arguments, get_environment, initial_cwd};
use hostile_guests::wasip2::cli::stdin::get_stdin;
use hostile_guests::wasip2::io::streams::StreamError;
use hostile_guests::{guest, outcome, report};

guest!(|_| {
    let input = get_stdin().blocking_read(100).map_err(|error| matches!(error, StreamError::Closed));
    report([
        outcome::<_, ()>(Ok(get_environment())),
        outcome::<_, ()>(Ok(get_arguments())),
        outcome::<_, ()>(Ok(initial_cwd())),
        outcome(input),
    ])
});
