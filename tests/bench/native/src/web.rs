//! The exchange of WebHDFS and KMS: two requests, each on a connection and with a ticket of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use deputy_core::KerberosPrincipal;
use deputy_kerberos::{Login, negotiate_answer, negotiate_token};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failed;

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(rename = "Token")]
    token: EncodedToken,
}

#[derive(Deserialize)]
struct EncodedToken {
    #[serde(rename = "urlString")]
    text: String,
}

/// Obtains a token, and renews it once.
pub(crate) async fn obtain(login: &Login, target: &KerberosPrincipal, port: u16, path: &str) -> Result<(), Failed> {
    let query = format!("{path}?op=GETDELEGATIONTOKEN");
    let answer = request(login, target, port, Method::GET, &query).await?;
    let TokenAnswer { token } = serde_json::from_slice(&answer)?;
    let query = format!("{path}?op=RENEWDELEGATIONTOKEN&token={}", token.text);
    request(login, target, port, Method::PUT, &query).await.map(drop)
}

async fn request(
    login: &Login,
    target: &KerberosPrincipal,
    port: u16,
    method: Method,
    path: &str,
) -> Result<Bytes, Failed> {
    let (mut context, first) = login.begin(target).await.map_err(|fault| fault.to_string())?;
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("localhost:{port}"))
        .header("accept", "application/json")
        .header("authorization", format!("Negotiate {}", BASE64.encode(negotiate_token(&first.token))))
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    // The server proves itself, too.
    let proof = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let proof = BASE64.decode(proof.strip_prefix("Negotiate ").unwrap_or_default())?;
    let proof = negotiate_answer(&proof).ok_or("the server does not prove itself")?;
    context.step(proof).await.map_err(|fault| fault.to_string())?;
    let body = Limited::new(answer.into_body(), 1 << 20).collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(body)
}
