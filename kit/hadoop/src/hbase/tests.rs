use super::messages::{
    AnswerHeader, CallHeader, ConnectionHeader, ExceptionResponse, MetaRequest, MetaResponse, RegionInfo,
    RegionLocation, ServerName,
};
use super::testing::Server;
use super::token::token_request;
use super::*;
use crate::frames::FramingError;
use crate::sasl::SaslError;
use crate::testing::{FakeContext, hex, unhex, vector};
use crate::token::HadoopToken;

type Client<'s> = HBaseClient<&'s mut Server, FakeContext>;

const OPTIONS: HBaseOptions<'static> =
    HBaseOptions { service: Service::Regions, principal: "hbase/rs1", qualities: Qualities::ANY, effective_user: None };

fn connect(server: &mut Server) -> Result<Client<'_>, RpcError> {
    HBaseClient::connect(server, &OPTIONS, |target| {
        assert_eq!(target, "hbase/rs1");
        Ok(FakeContext::client())
    })
}

/// An answer to the first call: that of a vector.
fn first(name: &str) -> Vec<u8> {
    [vec![2, 8, 0], unhex(vector(name))].concat()
}

fn answering(mask: u8, answer: Vec<u8>) -> Server {
    Server { answers: vec![answer], ..Server::offering(mask) }
}

#[test]
fn hbase_requests_are_those_of_its_client() {
    let written = |message: &dyn Fn() -> Vec<u8>| hex(&message());
    let header = |user, service: Service| {
        let header = ConnectionHeader { user, service: Some(service.name().to_owned()) };
        header.encode_length_delimited_to_vec()
    };
    assert_eq!(written(&|| header(None, Service::Regions)), vector("hbase-connection"));
    let user = HBaseUser { effective_user: "bob".to_owned() };
    assert_eq!(written(&|| header(Some(user.clone()), Service::Registry)), vector("hbase-connection-proxy"));
    let request = CallHeader { call_id: Some(3), method: Some("ExecService".to_owned()), has_parameter: Some(true) };
    assert_eq!(hex(&request.encode_length_delimited_to_vec()), vector("hbase-request"));
    assert_eq!(hex(&token_request().encode_length_delimited_to_vec()), vector("hbase-token-request"));
    assert_eq!(hex(&MetaRequest {}.encode_length_delimited_to_vec()), vector("hbase-meta-request"));
}

#[test]
fn hbase_token_is_obtained_in_each_quality() {
    for (mask, quality) in [(1, Quality::Authentication), (2, Quality::Integrity), (5, Quality::Privacy)] {
        for piece in [1, 7, usize::MAX] {
            let mut server = answering(mask, first("hbase-token-response"));
            server.piece = piece;
            let mut client = connect(&mut server).unwrap();
            assert_eq!(client.quality(), quality);
            let token = client.obtain_token().unwrap();
            let kind = HBASE_KIND.to_owned();
            let expected =
                HadoopToken { identifier: vec![9], password: vec![1, 2, 3, 4], kind, service: "cluster".to_owned() };
            assert!(token == expected);
            assert_eq!(server.calls.len(), 2);
        }
    }
}

#[test]
fn hbase_header_names_the_proxied_user() {
    let mut server = Server::offering(1);
    let options = HBaseOptions { effective_user: Some("bob"), ..OPTIONS };
    assert!(HBaseClient::connect(&mut server, &options, |_| Ok(FakeContext::client())).is_ok());
    let header = ConnectionHeader::decode(server.calls[0].as_slice()).unwrap();
    assert_eq!(header.user.unwrap().effective_user, "bob");
}

#[test]
fn hbase_meta_is_where_the_registry_says() {
    let mut server = answering(1, first("hbase-meta-response"));
    let options = HBaseOptions { service: Service::Registry, ..OPTIONS };
    let mut client = HBaseClient::connect(&mut server, &options, |_| Ok(FakeContext::client())).unwrap();
    assert_eq!(client.meta_server().unwrap().to_string(), "rs1.example.com:16020");
    let none = "no region server has hbase:meta now";
    for (replica, server, expected) in [
        (0, None, none),
        // A copy of the region.
        (1, Some(("a", 16020)), none),
        (0, Some(("", 16020)), "has no name"),
        (0, Some(("a/b", 16020)), "has no name"),
        (0, Some(("a", 0)), "has no port"),
        (0, Some(("a", 65_536)), "has no port"),
    ] {
        let server = server.map(|(host, port)| ServerName { host: host.to_owned(), port });
        let location = RegionLocation { region: Some(RegionInfo { replica }), server };
        let response = MetaResponse { locations: vec![location] };
        let answer = [b"\x02\x08\0".to_vec(), response.encode_length_delimited_to_vec()].concat();
        let error = connect(&mut answering(1, answer)).unwrap().meta_server().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = connect(&mut answering(1, b"\x02\x08\0\0".to_vec())).unwrap().meta_server().unwrap_err();
    assert!(matches!(error, RpcError::NoMeta), "{error}");
}

#[test]
fn hbase_error_of_the_server_is_its_first_line() {
    let mut server = answering(1, unhex(vector("hbase-response-error")));
    let error = connect(&mut server).unwrap().obtain_token().unwrap_err();
    assert_eq!(error.to_string(), "NotServingRegionException: hbase:meta,,1 is not online");
    let exception = ExceptionResponse { class: "a.B".to_owned(), stack_trace: "\tat x\n".repeat(100_000) };
    let header = AnswerHeader { call_id: None, exception: Some(exception) };
    let mut server = answering(1, header.encode_length_delimited_to_vec());
    assert_eq!(connect(&mut server).unwrap().obtain_token().unwrap_err().to_string(), "B: at x");
}

#[test]
fn hbase_login_that_is_refused_says_why() {
    let word = |text: &str| with_length(text.as_bytes()).unwrap();
    let refusal = [1_i32.to_be_bytes().to_vec(), word("javax.security.sasl.SaslException"), word("GSS initiate\nat")];
    for number in [1, 2] {
        let mut server = Server { lies: vec![(number, refusal.concat())], ..Server::offering(1) };
        assert_eq!(connect(&mut server).err().unwrap().to_string(), "SaslException: GSS initiate");
        let simple = [[0; 4], (-88_i32).to_be_bytes()].concat();
        let mut server = Server { lies: vec![(number, simple)], ..Server::offering(1) };
        assert!(matches!(connect(&mut server), Err(RpcError::NoSecurity)));
    }
}

#[test]
fn hbase_lengths_that_lie_are_refused() {
    let status = |length: i32| [[0; 4], length.to_be_bytes()].concat();
    for number in [1, 2] {
        for (lie, expected) in [
            (status(i32::MAX), "announces 2147483647 bytes"),
            (status(-1), "negative length"),
            (status(100), "closes"),
            (b"HTTP/1.1".to_vec(), "speaks HTTP"),
            ((-7_i32).to_be_bytes().to_vec(), "negative length"),
            ([[0, 0, 0, 1], i32::MAX.to_be_bytes()].concat(), "announces 2147483647 bytes"),
            (vec![], "closes"),
        ] {
            let mut server = Server { lies: vec![(number, lie)], ..Server::offering(1) };
            let error = connect(&mut server).err().unwrap().to_string();
            assert!(error.contains(expected), "{number}: {error}");
        }
    }
    for (length, expected) in [(i32::MAX, "announces"), (-1, "negative"), (5, "closes")] {
        let mut server = Server::offering(4);
        let mut client = connect(&mut server).unwrap();
        let layer = client.frames.stream_mut().layer.as_mut().unwrap();
        let token = layer.protect(&length.to_be_bytes()).unwrap();
        client.frames.stream_mut().push(&with_length(&token).unwrap());
        let error = client.obtain_token().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn hbase_answer_that_is_not_wrapped_as_agreed_is_refused() {
    let answers: [fn(&mut Server) -> Vec<u8>; 3] = [
        |_| first("hbase-token-response"),
        |server| server.layer.as_mut().unwrap().protect(b"").unwrap(),
        |server| server.layer.as_mut().unwrap().protect(&[0; 20]).unwrap().iter().map(|byte| byte ^ 1).collect(),
    ];
    for answer in answers {
        let mut server = Server::offering(2);
        let mut client = connect(&mut server).unwrap();
        let message = answer(client.frames.stream_mut());
        client.frames.stream_mut().push(&with_length(&message).unwrap());
        assert!(client.obtain_token().is_err());
    }
}

#[test]
fn hbase_answer_without_a_token_is_refused() {
    for body in [
        &b"\0"[..],
        b"\x02\x12\0",
        b"\x04\x12\x02\x12\0",
        // A token without anything, and one without a password.
        b"\x06\x12\x04\x12\x02\x0a\0",
        b"\x0e\x12\x0c\x12\x0a\x0a\x08\x0a\x01\x09\x1a\x03abc",
    ] {
        let mut server = answering(1, [b"\x02\x08\0", body].concat());
        let error = connect(&mut server).unwrap().obtain_token().unwrap_err();
        assert!(matches!(error, RpcError::NoToken), "{body:?}: {error}");
    }
    let mut server =
        answering(1, [&b"\x02\x08\0"[..], b"\x0c\x12\x0a\x12\x08\x0a\x06\x0a\x01\x09\x12\x01\x01"].concat());
    let error = connect(&mut server).unwrap().obtain_token().unwrap_err();
    assert!(error.to_string().ends_with("the token names no cluster"), "{error}");
}

#[test]
fn hbase_answer_that_is_none_is_refused() {
    let whole = first("hbase-token-response");
    let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
    let other =
        [vec![], vec![0xff; 11], vec![0xff; 1000], [b"\x02\x08\x01", &whole[3..]].concat(), whole[1..].to_vec()];
    for frame in cut.chain(other) {
        let mut server = answering(1, frame);
        let error = connect(&mut server).unwrap().obtain_token().unwrap_err();
        assert!(matches!(error, RpcError::Frame(FramingError::Truncated) | RpcError::Protocol(..)), "{error}");
    }
}

#[test]
fn hbase_login_without_an_accepted_quality_says_so() {
    let mut server = Server::offering(4);
    let options = HBaseOptions { qualities: Qualities::only(Quality::Authentication), ..OPTIONS };
    let error = HBaseClient::connect(&mut server, &options, |_| Ok(FakeContext::client())).err().unwrap();
    assert!(matches!(error, RpcError::Sasl(SaslError::NoQuality { .. })), "{error}");
}
