//! Where `hbase:meta` is, from ZooKeeper: what clients read that have only its quorum. HBase lets everyone read that node.
//!
//! Source: `zookeeper.jute` and `ClientCnxn` of ZooKeeper, `ZNodePaths` and `ZKMetadata` of HBase.

use super::messages::{MetaRegionServer, OPEN};
use super::meta::address;
use crate::address::ServerAddress;
use crate::frames::FramedStream;
use crate::rpc::{RemoteError, RpcError};
use prost::Message;
use std::io::{Read, Write};

/// What this protocol is called in errors.
const PROTOCOL_NAME: &str = "ZooKeeper's protocol";

/// The default of `zookeeper.znode.parent`.
pub const DEFAULT_PARENT: &str = "/hbase";

/// The node's name below the parent.
const NODE: &str = "meta-region-server";

/// The largest answer, in bytes. The node has a hundred.
const MAX_ANSWER: usize = 64 * 1024;

/// How long the server keeps the session if it is not closed, in milliseconds.
const SESSION: i32 = 10_000;

/// `ZooDefs.OpCode.getData` and `closeSession`.
const GET_DATA: i32 = 4;
const CLOSE: i32 = -11;

/// The number of the request for data.
const REQUEST: i32 = 1;

/// `KeeperException.Code`: no such node, and several ways to say that a login is needed.
const NO_NODE: i32 = -101;
const NEEDS_LOGIN: [i32; 3] = [-102, -115, -124];

/// The first byte of a node with metadata (`ZKMetadata.MAGIC`), and what comes before a message (`ProtobufMagic.PB_MAGIC`).
const METADATA: u8 = 0xff;
const MESSAGE: &[u8] = b"PBUF";

/// The region server that has `hbase:meta`, as ZooKeeper says over a fresh connection. Nothing proves it: the Kerberos
/// login to that server does.
///
/// # Errors
/// If the node cannot be read, or no server has it now.
pub fn meta_server<S: Read + Write>(stream: S, parent: &str) -> Result<ServerAddress, RpcError> {
    let mut frames = FramedStream::new(stream);
    frames.send(&connect_request())?;
    let connected = frames.receive(MAX_ANSWER)?;
    let (_, timeout) =
        split_int(&connected).and_then(|(_, rest)| split_int(rest).map(|(timeout, rest)| (rest, timeout)))?;
    if timeout <= 0 {
        return Err(malformed("it opens no session"));
    }
    let path = format!("{}/{NODE}", parent.trim_end_matches('/'));
    frames.send(&get_request(&path)?)?;
    let answer = frames.receive(MAX_ANSWER)?;
    let server = read_answer(&answer, &path)?;
    frames.send(&[2_i32.to_be_bytes(), CLOSE.to_be_bytes()].concat())?;
    Ok(server)
}

/// `ConnectRequest`: version 0, nothing seen yet, a new session without a password, and one that may write.
fn connect_request() -> Vec<u8> {
    let mut request = [0; 12].to_vec();
    request.extend(SESSION.to_be_bytes());
    request.extend([0; 8]);
    request.extend(16_i32.to_be_bytes());
    request.extend([0; 16]);
    request.push(0);
    request
}

/// `RequestHeader` and `GetDataRequest`, without a watch.
fn get_request(path: &str) -> Result<Vec<u8>, RpcError> {
    let header = [REQUEST.to_be_bytes(), GET_DATA.to_be_bytes()].concat();
    Ok([header.as_slice(), &crate::frames::with_length(path.as_bytes())?, &[0]].concat())
}

/// `ReplyHeader` and `GetDataResponse`.
fn read_answer(answer: &[u8], path: &str) -> Result<ServerAddress, RpcError> {
    let (number, rest) = split_int(answer)?;
    let (_, rest) = rest.split_at_checked(8).ok_or(malformed("an answer ends early"))?;
    let (code, rest) = split_int(rest)?;
    if number != REQUEST {
        return Err(malformed("it answers another request"));
    }
    match code {
        0 => {}
        NO_NODE => {
            let text = format!("there is no {path}: HBase has never started, or `zookeeper-parent` is another one");
            return Err(RemoteError::new("NoNodeException", &text).into());
        }
        code if NEEDS_LOGIN.contains(&code) => {
            let text = format!("{path} cannot be read without a login: set `servers` in place of `zookeeper`");
            return Err(RemoteError::new("NoAuthException", &text).into());
        }
        code => return Err(RemoteError::new("KeeperException", &format!("code {code}")).into()),
    }
    let (length, rest) = split_int(rest)?;
    let data = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    read_node(data.ok_or(malformed("a node's data ends early"))?)
}

/// The node's data: metadata, a magic word, and `MetaRegionServer`.
fn read_node(data: &[u8]) -> Result<ServerAddress, RpcError> {
    let strange = || malformed("the node of hbase:meta is none of HBase's");
    let message = match data.split_first() {
        Some((&METADATA, rest)) => {
            let (length, rest) = split_int(rest)?;
            usize::try_from(length).ok().and_then(|length| rest.get(length..)).ok_or_else(strange)?
        }
        _ => data,
    };
    let message = message.strip_prefix(MESSAGE).ok_or_else(strange)?;
    let meta = MetaRegionServer::decode(message).map_err(|_| strange())?;
    match (meta.server, meta.state) {
        (Some(server), None | Some(OPEN)) => address(server),
        _ => Err(RpcError::NoMeta),
    }
}

fn split_int(bytes: &[u8]) -> Result<(i32, &[u8]), RpcError> {
    let (int, rest) = bytes.split_first_chunk::<4>().ok_or(malformed("an answer ends early"))?;
    Ok((i32::from_be_bytes(*int), rest))
}

fn malformed(problem: &'static str) -> RpcError {
    RpcError::Protocol(PROTOCOL_NAME, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, unhex, vector};
    use std::io;

    const PATH: &str = "/hbase/meta-region-server";

    /// A server with these answers, and what it got.
    struct Server(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Server {
        fn with(answers: &[&[u8]]) -> Self {
            let frames = answers.iter().flat_map(|answer| crate::frames::with_length(answer).unwrap());
            Self(io::Cursor::new(frames.collect()), Vec::new())
        }
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn read(answer: &[u8]) -> Result<ServerAddress, RpcError> {
        meta_server(Server::with(&[&unhex(vector("zk-connected")), answer]), DEFAULT_PARENT)
    }

    #[test]
    fn zookeeper_requests_are_those_of_its_client() {
        // Clients send one byte more than the record: that they may write.
        assert_eq!(hex(&connect_request()), format!("{}00", vector("zk-connect")));
        assert_eq!(hex(&get_request(PATH).unwrap()), vector("zk-get"));
    }

    #[test]
    fn zookeeper_knows_the_server_of_meta() {
        let mut server = Server::with(&[&unhex(vector("zk-connected")), &unhex(vector("zk-data"))]);
        assert_eq!(meta_server(&mut server, "/hbase/").unwrap().to_string(), "rs1.example.com:16020");
        let bytes = hex(&server.1);
        assert!(bytes.contains(vector("zk-get")) && bytes.ends_with("0000000800000002fffffff5"), "{bytes}");
    }

    #[test]
    fn zookeeper_node_that_cannot_be_read_says_why() {
        let text = read(&unhex(vector("zk-no-node"))).unwrap_err().to_string();
        assert!(text.contains(PATH) && text.contains("`zookeeper-parent`"), "{text}");
        let text = read(&unhex(vector("zk-no-auth"))).unwrap_err().to_string();
        assert!(text.contains("set `servers`"), "{text}");
        let other = [&1_i32.to_be_bytes()[..], &[0; 8], &(-4_i32).to_be_bytes()].concat();
        assert_eq!(read(&other).unwrap_err().to_string(), "KeeperException: code -4");
    }

    #[test]
    fn zookeeper_meta_in_transition_is_not_there() {
        let mut data = unhex(vector("zk-meta"));
        *data.last_mut().unwrap() = 2;
        assert!(matches!(read_node(&data), Err(RpcError::NoMeta)));
        assert!(matches!(read_node(b"PBUF"), Err(RpcError::NoMeta)));
    }

    #[test]
    fn zookeeper_answer_that_lies_is_refused() {
        let whole = unhex(vector("zk-data"));
        // Behind the data is the node's history, which is not read.
        for end in 0..whole.len() - 68 {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for length in [i32::MAX, -1, 1000] {
            let mut answer = whole.clone();
            answer[16..20].copy_from_slice(&length.to_be_bytes());
            assert!(read(&answer).is_err(), "{length}");
        }
        for data in [&b""[..], b"\xff", b"\xff\0\0\0\x09PBUF", b"\xff\xff\xff\xff\xffPBUF", b"PBUF\xff", b"PBUX"] {
            assert!(read_node(data).is_err(), "{data:?}");
        }
        let refused = meta_server(Server::with(&[&[0; 36]]), DEFAULT_PARENT);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the server does not speak ZooKeeper's protocol: it opens no session"
        );
        let other = meta_server(Server(io::Cursor::new(b"HTTP/1.1 400 ".to_vec()), Vec::new()), DEFAULT_PARENT);
        assert!(other.unwrap_err().to_string().contains("it speaks HTTP"));
    }
}
