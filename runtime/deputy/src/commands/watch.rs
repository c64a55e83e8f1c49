//! `--watch`: what a command shows, again and again.

use std::time::Duration;

use deputy_local::SocketClientError;
use deputy_support::pause;

use crate::context::Context;
use crate::error::CommandError;
use crate::print::WARNING;

/// How often it asks.
const REFRESH: Duration = Duration::from_secs(1);

/// Shows what `text` returns each second while stdout has a reader. A process that is away may come back: it waits for
/// it, and says so once.
pub(super) async fn watch(
    context: &Context,
    json: bool,
    text: impl AsyncFn() -> Result<String, SocketClientError>,
) -> Result<(), CommandError> {
    let mut next: Result<String, SocketClientError> = Ok(text().await?);
    let mut is_away = false;
    loop {
        match next {
            Ok(text) => {
                is_away = false;
                let is_read = if json { context.stdout_if_read(&text)? } else { context.frame(&text)? };
                if !is_read {
                    return Ok(());
                }
            }
            Err(error) if error.is_transient() => {
                if !is_away {
                    context.printer.labelled(WARNING, "warning", &format!("{error}; waiting for it"));
                }
                is_away = true;
                if !context.is_stdout_read() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
        pause(REFRESH).await;
        next = text().await;
    }
}
