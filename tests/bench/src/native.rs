//! What the sandbox is compared with: the same work without one.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Result;

/// What the provider `benign` computes.
#[inline(never)]
pub(crate) fn obtain(settings: &[(&str, &str)]) -> (Vec<u8>, Option<u64>) {
    let name = settings.iter().find(|(name, _)| *name == "name").map_or("", |(_, value)| value);
    (format!("hello {name}").into_bytes(), None)
}

/// The form that `s3-sts` sends.
const FORM: &str = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=deputy\
    &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fworker";

/// The request of `s3-sts`, on a connection of its own as the sandbox's is, and the whole answer.
pub(crate) async fn request(port: u16) -> Result<Bytes, Failed> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::post("/")
        .header("host", format!("127.0.0.1:{port}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-amz-date", "20260101T000000Z")
        .header("authorization", format!("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{:0190}", 0))
        .body(Full::new(Bytes::from_static(FORM.as_bytes())))?;
    let answer = sender.send_request(request).await?;
    Ok(Limited::new(answer.into_body(), 1 << 20).collect().await?.to_bytes())
}

/// An error of another task.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;
