//! What the component says to a NameNode, natively: a connection, a login by Kerberos, a token, and its first renewal. The same
//! messages, without a sandbox, an audit log, or any check that is not needed for the next message.

use deputy_kerberos::Login;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

const PREAMBLE: &[u8] = b"hrpc\x09\x00\xdf";
const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";
/// The longest answer here.
const MAX_FRAME: usize = 1 << 20;

/// Obtains a token, and renews it once, as the component does to learn its expiry.
pub(crate) async fn obtain(login: &Login, port: u16, renewer: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let target = format!("hdfs/localhost@{}", login.principal().realm()).parse()?;
    let (mut context, first) = login.begin(&target).await?;
    stream.write_all(PREAMBLE).await?;
    call(&mut stream, &[header(-33, b""), delimited(&number(2, 1))].concat()).await?;
    let auth = [text(1, "KERBEROS"), text(2, "GSSAPI"), text(3, "hdfs"), text(4, "localhost")].concat();
    let initiate = [number(2, 2), bytes(3, &first.token), bytes(4, &auth)].concat();
    let challenge = call(&mut stream, &[header(-33, b""), delimited(&initiate)].concat()).await?;
    let stepped = context.step(field(&body(&challenge)?, 3)?).await?;
    let response = [number(2, 4), bytes(3, &stepped.token)].concat();
    let layers = call(&mut stream, &[header(-33, b""), delimited(&response)].concat()).await?;
    let offered = context.unwrap(field(&body(&layers)?, 3)?).await?;
    // Authentication alone, if the server offers that, and no layer afterwards.
    if offered.message.first().is_none_or(|layers| layers & 1 == 0) {
        return Err("the NameNode wants a layer".into());
    }
    let chosen = context.wrap(vec![1, 0, 0, 0], false).await?;
    let response = [number(2, 4), bytes(3, &chosen)].concat();
    call(&mut stream, &[header(-33, b""), delimited(&response)].concat()).await?;
    let client_id = [7; 16];
    send(&mut stream, &[header(-3, &client_id), delimited(&text(3, PROTOCOL))].concat()).await?;
    let method = |call_id, name: &str, request: Vec<u8>| {
        let method = [text(1, name), text(2, PROTOCOL), number(3, 1)].concat();
        [header(call_id, &client_id), delimited(&method), delimited(&request)].concat()
    };
    let answer = call(&mut stream, &method(0, "getDelegationToken", text(1, renewer))).await?;
    let token = field(&body(&answer)?, 1)?;
    let renewed = call(&mut stream, &method(1, "renewDelegationToken", bytes(1, &token))).await?;
    body(&renewed)?;
    Ok(token)
}

/// Sends a frame and reads the next one.
async fn call(stream: &mut TcpStream, message: &[u8]) -> Result<Vec<u8>> {
    send(stream, message).await?;
    let length = usize::try_from(stream.read_u32().await?)?;
    if length > MAX_FRAME {
        return Err("a frame is too long".into());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(stream: &mut TcpStream, message: &[u8]) -> Result {
    let length = u32::try_from(message.len())?.to_be_bytes();
    stream.write_all(&[&length, message].concat()).await?;
    Ok(())
}

/// The header of a request.
fn header(call_id: i32, client_id: &[u8]) -> Vec<u8> {
    let zigzag = |value: i32| u64::from(((value << 1) ^ (value >> 31)).cast_unsigned());
    delimited(
        &[number(1, 2), number(2, 0), number(3, zigzag(call_id)), bytes(4, client_id), number(5, zigzag(-1))].concat(),
    )
}

/// The message behind the header of an answer, which must be a success.
fn body(mut frame: &[u8]) -> Result<Vec<u8>> {
    let header = take_delimited(&mut frame)?;
    let status = fields(&header)?.into_iter().find(|(tag, ..)| *tag == 2).map_or(0, |(_, number, _)| number);
    if status != 0 {
        return Err(format!("the NameNode refuses: {}", String::from_utf8_lossy(&header)).into());
    }
    take_delimited(&mut frame)
}

fn field(message: &[u8], tag: u64) -> Result<Vec<u8>> {
    let found = fields(message)?.into_iter().find(|(found, ..)| *found == tag);
    Ok(found.ok_or_else(|| format!("an answer has no field {tag}"))?.2)
}

/// Number, value and bytes of each field.
fn fields(mut message: &[u8]) -> Result<Vec<(u64, u64, Vec<u8>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match key & 7 {
            0 => fields.push((key >> 3, take_varint(&mut message)?, Vec::new())),
            2 => fields.push((key >> 3, 0, take_delimited(&mut message)?)),
            _ => return Err("a field of an answer cannot be read".into()),
        }
    }
    Ok(fields)
}

fn take_delimited(message: &mut &[u8]) -> Result<Vec<u8>> {
    let length = usize::try_from(take_varint(message)?)?;
    let (taken, rest) = message.split_at_checked(length).ok_or("an answer is cut short")?;
    *message = rest;
    Ok(taken.to_vec())
}

fn take_varint(message: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().ok_or("an answer is cut short")?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number of an answer is too long".into())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
    out
}

fn number(tag: u64, value: u64) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

fn bytes(tag: u64, value: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), delimited(value)].concat()
}

fn text(tag: u64, value: &str) -> Vec<u8> {
    bytes(tag, value.as_bytes())
}

fn delimited(value: &[u8]) -> Vec<u8> {
    [varint(value.len() as u64), value.to_vec()].concat()
}
