//! A local server in a process of its own: the least HTTP that a client needs, with an answer of STS or of an OAuth 2.0
//! server for everything.
//!
//! It serves on two ports. On the first it answers at once. On the second it holds its answers back: its parent
//! writes a number, reads the line that says that this number of requests wait, and releases them with an empty line.

use std::env;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Result;

const STS: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>\
    <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey><SessionToken>AQoDYXdzEPT//////////wEXAM\
    PLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeeh\
    M4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL\
    64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==</SessionToken>\
    <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
const OAUTH2: &str = r#"{"access_token": "2YotnFZFEjr1zCsicMWpAA", "token_type": "Bearer", "expires_in": 3600}"#;

/// The server's process, as its parent sees it. It ends with the value.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) holding: u16,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let ports = output.next_line().await?.ok_or("the server did not start")?;
        let (port, holding) = ports.split_once(' ').ok_or("the server said no ports")?;
        Ok(Self { port: port.parse()?, holding: holding.parse()?, input, output, _child: child })
    }

    /// Waits until this number of requests wait at the second port.
    pub(crate) async fn holds(&mut self, requests: usize) -> Result {
        self.input.write_all(format!("{requests}\n").as_bytes()).await?;
        self.output.next_line().await?.ok_or("the server ended")?;
        Ok(())
    }

    /// Lets them have their answers.
    pub(crate) async fn let_go(&mut self) -> Result {
        self.input.write_all(b"\n").await?;
        Ok(())
    }
}

/// The server's whole life: it ends when its standard input does.
pub(crate) async fn serve() -> Result {
    let (now, held) = (listener().await?, listener().await?);
    println!("{} {}", now.local_addr()?.port(), held.local_addr()?.port());
    let (arrived, free) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let mut connections = JoinSet::new();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut held_back = 0;
    loop {
        tokio::select! {
            stream = now.accept() => {
                connections.spawn(answer(stream?.0, None));
            }
            stream = held.accept() => {
                connections.spawn(answer(stream?.0, Some((Arc::clone(&arrived), Arc::clone(&free)))));
            }
            Some(_) = connections.join_next() => {}
            order = orders.next_line() => match order? {
                None => return Ok(()),
                Some(order) if order.is_empty() => free.add_permits(held_back),
                Some(order) => {
                    held_back = order.parse()?;
                    let (arrived, wanted) = (Arc::clone(&arrived), u32::try_from(held_back)?);
                    connections.spawn(async move {
                        if let Ok(all) = arrived.acquire_many(wanted).await {
                            all.forget();
                            println!("{wanted}");
                        }
                    });
                }
            },
        }
    }
}

async fn listener() -> Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok(socket.listen(4096)?)
}

/// One connection, until the client closes it.
async fn answer(mut stream: TcpStream, hold: Option<(Arc<Semaphore>, Arc<Semaphore>)>) {
    let mut buffer = Vec::with_capacity(2048);
    while let Some(path_is_token) = request(&mut stream, &mut buffer).await {
        if let Some((arrived, free)) = &hold {
            arrived.add_permits(1);
            if let Ok(permit) = free.acquire().await {
                permit.forget();
            }
        }
        let (kind, body) = if path_is_token { ("application/json", OAUTH2) } else { ("text/xml", STS) };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.is_err() {
            return;
        }
    }
}

/// Reads one request, and says whether it is for `/token`. None at the end of the connection.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<bool> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Some(head.starts_with("post /token"));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
