//! A service that gives one answer to every request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// What the credentials of a good answer are recognised by.
pub(crate) const SESSION: &str = "canary-of-the-session";

/// Starts it and gives its address, `http://127.0.0.1:PORT`. It ends with this process.
pub(crate) fn answering(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    let answer = head + body;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            read(&stream);
            // A client that has read enough may have gone.
            drop((&stream).write_all(answer.as_bytes()));
        }
    });
    format!("http://{address}")
}

/// An STS that hands out a session.
pub(crate) fn granting() -> String {
    answering(
        200,
        "",
        &format!(
            "<GetSessionTokenResponse><GetSessionTokenResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>\
             <SecretAccessKey>secret-{SESSION}</SecretAccessKey><SessionToken>{SESSION}</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></GetSessionTokenResult>\
             </GetSessionTokenResponse>"
        ),
    )
}

/// An STS that says no.
pub(crate) fn failing(status: u16, headers: &str, code: &str) -> String {
    let error =
        format!("<ErrorResponse><Error><Code>{code}</Code><Message>told by STS</Message></Error></ErrorResponse>");
    answering(status, headers, &error)
}

/// Reads one request.
fn read(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
}
