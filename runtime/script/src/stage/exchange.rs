//! One request and its scripted reply.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Play;
use super::request::ScriptRequest;
use crate::file::{EarlyEnd, Reply, ScriptedRequest};
use crate::mismatch::Mismatch;

/// Bytes of an endless body: over every limit of the sandbox.
const ENDLESS: usize = 256 << 20;
/// One piece of it.
const PIECE: &[u8] = &[b'x'; 8192];

pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send>(stream: S, endpoint: &ScriptedRequest, play: &Play) {
    let (mut read, mut write) = tokio::io::split(stream);
    let Ok(request) = ScriptRequest::read(&mut read).await else { return };
    let Some((place, exchange)) = play.next_http(endpoint) else {
        play.note(vec![Mismatch::new("further request", "no request", request.line(endpoint))]);
        let refusal = Reply { status: Some(500), body: Some("the test has no reply".to_owned()), ..Reply::default() };
        respond(&mut write, &refusal).await.ok();
        return;
    };
    let wrong = request.check(endpoint, &exchange.request);
    play.note(wrong.into_iter().map(|mismatch| mismatch.within(&place)).collect());
    // The component ends the connection when it has had enough.
    tokio::select! {
        _ = respond(&mut write, &exchange.reply) => {}
        _ = closed(&mut read) => {}
    }
}

async fn closed(read: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = [0; 1024];
    while read.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}

async fn respond(write: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    if let Some(delay) = reply.delay {
        deputy_support::pause(delay.0.duration()).await;
    }
    if reply.hang {
        std::future::pending::<()>().await;
    }
    if reply.drop == Some(EarlyEnd::BeforeHead) {
        return write.shutdown().await;
    }
    if let Some(raw) = &reply.raw {
        write.write_all(raw.as_bytes()).await?;
        return write.shutdown().await;
    }
    let body = body(reply)?;
    let head = head(reply, body.len());
    if reply.drop == Some(EarlyEnd::InHead) {
        let half = head.as_bytes().get(..head.len() / 2).unwrap_or_default();
        write.write_all(half).await?;
        return write.shutdown().await;
    }
    write.write_all(head.as_bytes()).await?;
    if reply.endless {
        for _ in 0..ENDLESS / PIECE.len() {
            write.write_all(PIECE).await?;
        }
        return write.shutdown().await;
    }
    let body = match reply.drop {
        Some(EarlyEnd::InBody) => body.get(..body.len() / 2).unwrap_or_default(),
        _ => &body,
    };
    match reply.drip {
        Some(drip) => {
            for byte in body {
                write.write_all(&[*byte]).await?;
                write.flush().await?;
                deputy_support::pause(drip.0.duration()).await;
            }
        }
        None => write.write_all(body).await?,
    }
    write.flush().await?;
    write.shutdown().await
}

fn body(reply: &Reply) -> io::Result<Vec<u8>> {
    Ok(match (&reply.body, &reply.json, &reply.base64) {
        (Some(text), ..) => text.clone().into_bytes(),
        (None, Some(json), _) => json.to_string().into_bytes(),
        (None, None, Some(base64)) => STANDARD.decode(base64).map_err(io::Error::other)?,
        (None, None, None) => Vec::new(),
    })
}

fn has_header(reply: &Reply, name: &str) -> bool {
    reply.headers.keys().any(|known| known.eq_ignore_ascii_case(name))
}

fn head(reply: &Reply, length: usize) -> String {
    let status = reply.status.unwrap_or(200);
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
    if reply.json.is_some() && !has_header(reply, "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    if !reply.endless && !has_header(reply, "content-length") && !has_header(reply, "transfer-encoding") {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}
