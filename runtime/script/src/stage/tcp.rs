//! One connection over TCP and its scripted steps.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Play;
use crate::file::{ScriptedRequest, TcpStep, decoded, shown};
use crate::mismatch::Mismatch;

/// The longest line that a script waits for.
const MAX_LINE: usize = 64 << 10;
/// The most bytes that one step waits for.
const MAX_RECEIVED: usize = 16 << 20;

pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send>(stream: S, endpoint: &ScriptedRequest, play: &Play) {
    let (mut read, mut write) = tokio::io::split(stream);
    let Some((place, exchange)) = play.next_tcp(endpoint) else {
        play.note(vec![Mismatch::new("further connection", "no connection", endpoint)]);
        return;
    };
    for (at, step) in exchange.steps.iter().enumerate() {
        let outer = format!("{place}, step {}", at.saturating_add(1));
        let wrong = match play_step(&mut read, &mut write, step).await {
            Ok(wrong) => wrong,
            Err(error) => vec![Mismatch::new("bytes", "an open connection", error)],
        };
        if !wrong.is_empty() {
            play.note(wrong.into_iter().map(|mismatch| mismatch.within(&outer)).collect());
            return;
        }
    }
    write.shutdown().await.ok();
}

async fn play_step(
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
    step: &TcpStep,
) -> io::Result<Vec<Mismatch>> {
    if let Some(delay) = step.delay {
        deputy_support::pause(delay.0.duration()).await;
    }
    if step.hang {
        let mut ignored = [0; 1024];
        while read.read(&mut ignored).await? > 0 {}
    }
    for bytes in [step.send.clone().map(String::into_bytes), step.send_base64.as_deref().map(bytes).transpose()?]
        .into_iter()
        .flatten()
    {
        write.write_all(&bytes).await?;
        write.flush().await?;
    }
    let exactly = match (&step.receive, &step.receive_base64) {
        (Some(text), _) => Some(text.clone().into_bytes()),
        (None, Some(base64)) => Some(bytes(base64)?),
        (None, None) => None,
    };
    if let Some(expected) = exactly {
        let found = receive(read, expected.len()).await?;
        return Ok(if found == expected {
            Vec::new()
        } else {
            vec![Mismatch::new("bytes", shown(&expected), shown(&found))]
        });
    }
    if let Some(count) = step.receive_bytes {
        let found = receive(read, count).await?;
        return Ok(if found.len() == count {
            Vec::new()
        } else {
            vec![Mismatch::new("bytes", format!("{count} bytes"), format!("{} bytes", found.len()))]
        });
    }
    if let Some(expected) = &step.receive_line {
        let line = line(read).await?;
        return Ok(expected.check("line", line.as_deref()));
    }
    Ok(Vec::new())
}

fn bytes(base64: &str) -> io::Result<Vec<u8>> {
    decoded(Some(base64)).map_err(io::Error::other)
}

/// This number of bytes, or those before the end.
async fn receive(read: &mut (impl AsyncRead + Unpin), count: usize) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    read.take(count.min(MAX_RECEIVED) as u64).read_to_end(&mut found).await?;
    Ok(found)
}

/// A line without its end; `None` if there is none.
async fn line(read: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        match read.read_u8().await {
            Ok(b'\n') => {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok((!line.is_empty()).then_some(line))
}
