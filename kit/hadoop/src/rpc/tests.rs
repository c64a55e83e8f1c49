use super::messages::{CALL_SASL, ConnectionContext, MethodHeader, RequestHeader, SaslAuth, SaslMessage, state};
use super::testing::{Server, error_answer, kerberos, split, success, token_answer, token_login};
use super::*;
use crate::frames::{FramingError, split_delimited};
use crate::lifecycle::TokenCalls;
use crate::sasl::SaslError;
use crate::testing::{FakeContext, sample_token};
use crate::token::HadoopToken;

const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

fn options(qualities: Qualities) -> RpcOptions<'static> {
    RpcOptions {
        protocol: PROTOCOL,
        server: ExpectedServer::new("nn1", None),
        qualities,
        effective_user: None,
        client_id: *b"0123456789abcdef",
    }
}

type Client<'s> = RpcClient<&'s mut Server, FakeContext>;

fn connect(server: &mut Server) -> Result<Client<'_>, RpcError> {
    RpcClient::connect(server, &options(Qualities::ANY), |target| {
        assert_eq!(target, "hdfs/nn1");
        Ok(FakeContext::client())
    })
}

#[test]
fn rpc_obtains_a_token_in_each_quality() {
    for (mask, quality) in [(1, Quality::Authentication), (2, Quality::Integrity), (5, Quality::Privacy)] {
        for piece in [1, 3, 7, usize::MAX] {
            let mut server = Server::new();
            (server.mask, server.piece) = (mask, piece);
            server.answers.push(token_answer(0, &sample_token()));
            let mut client = connect(&mut server).unwrap();
            assert_eq!(client.quality(), quality);
            assert!(client.obtain_token("alice").unwrap() == sample_token());

            let (header, mut rest): (RequestHeader, _) = split(&server.calls[0]);
            assert_eq!((header.call_id, header.client_id.as_slice()), (-3, b"0123456789abcdef".as_slice()));
            let context = ConnectionContext::decode(split_delimited(&mut rest).unwrap()).unwrap();
            assert_eq!((context.user, context.protocol.as_deref()), (None, Some(PROTOCOL)));
            let (header, rest): (RequestHeader, _) = split(&server.calls[1]);
            assert_eq!(header.call_id, 0);
            let (method, rest): (MethodHeader, _) = split(rest);
            assert_eq!((method.method.as_str(), method.version), ("getDelegationToken", 1));
            assert_eq!(rest, b"\x07\x0a\x05alice");
        }
    }
}

#[test]
fn rpc_context_names_the_proxied_user() {
    let mut server = Server::new();
    let options = RpcOptions { effective_user: Some("bob"), ..options(Qualities::ANY) };
    let client = RpcClient::connect(&mut server, &options, |_| Ok(FakeContext::client()));
    assert!(client.is_ok());
    let (_, mut rest): (RequestHeader, _) = split(&server.calls[0]);
    let context = ConnectionContext::decode(split_delimited(&mut rest).unwrap()).unwrap();
    assert_eq!(context.user.unwrap().effective_user.as_deref(), Some("bob"));
}

#[test]
fn rpc_error_of_the_server_is_its_first_line() {
    let mut server = Server::new();
    let text = "alice tries to renew a token with non-matching renewer yarn\n\tat java.lang.Thread.run";
    server.answers.push(error_answer(0, "org.apache.hadoop.security.AccessControlException", text));
    let error = connect(&mut server).unwrap().renew_token(&sample_token()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "AccessControlException: alice tries to renew a token with non-matching renewer yarn"
    );
}

#[test]
fn rpc_error_text_of_10_mib_is_not_read() {
    let mut server = Server::new();
    server.answers.push(error_answer(0, "java.lang.StackOverflowError", &"at x\n".repeat(2 << 20)));
    let error = connect(&mut server).unwrap().cancel_token(&sample_token()).unwrap_err();
    assert!(matches!(error, RpcError::Frame(FramingError::TooLong { length: 10_485_760.., .. })), "{error}");
    let mut server = Server::new();
    server.answers.push(error_answer(0, "java.lang.StackOverflowError", &"at x\n".repeat(100_000)));
    let error = connect(&mut server).unwrap().cancel_token(&sample_token()).unwrap_err();
    assert_eq!(error.to_string(), "StackOverflowError: at x");
}

#[test]
fn rpc_lies_in_the_offer_are_found() {
    let offer = |auths| SaslMessage { state: state::NEGOTIATE, token: None, auths };
    for (negotiation, expected) in [
        (offer(vec![]), "no login by Kerberos"),
        (offer(vec![token_login()]), "no login by Kerberos, but TOKEN"),
        (
            offer(vec![SaslAuth { mechanism: "PLAIN".to_owned(), ..kerberos("nn1") }]),
            "no login by Kerberos, but KERBEROS",
        ),
        (offer(vec![kerberos("nn2")]), "calls itself `hdfs/nn2`, and `SERVICE/nn1` is expected"),
        (offer(vec![kerberos("nn1@EVIL.ORG")]), "calls itself `hdfs/nn1@EVIL.ORG`"),
        (offer(vec![SaslAuth { protocol: None, ..kerberos("nn1") }]), "calls itself `/nn1`"),
        (offer(vec![SaslAuth { server_id: None, ..kerberos("nn1") }]), "calls itself `hdfs/`"),
        (
            offer(vec![SaslAuth { method: "x\u{1b}".repeat(10_000), ..token_login() }]),
            "no login by Kerberos, but x x x",
        ),
        (SaslMessage { state: state::SUCCESS, ..offer(vec![]) }, "it accepts every user without a login"),
        (SaslMessage { state: state::CHALLENGE, ..offer(vec![kerberos("nn1")]) }, "does not speak Hadoop RPC 9"),
    ] {
        let mut server = Server::new();
        server.negotiation = negotiation;
        let text = connect(&mut server).err().unwrap().to_string();
        assert!(text.contains(expected) && text.len() < 400, "{text}");
    }
}

#[test]
fn rpc_login_that_is_skipped_is_no_login() {
    let end = SaslMessage { state: state::SUCCESS, ..SaslMessage::default() };
    let frame = with_length(&[success(CALL_SASL), end.encode_length_delimited_to_vec()].concat()).unwrap();
    for number in [2, 3] {
        let mut server = Server::new();
        server.lies.push((number, frame.clone()));
        let error = connect(&mut server).err().unwrap();
        assert!(matches!(error, RpcError::Sasl(SaslError::Incomplete)), "{error}");
    }
}

#[test]
fn rpc_login_without_an_accepted_quality_says_so() {
    let mut server = Server::offering(4);
    let options = options(Qualities::only(Quality::Authentication));
    let error = RpcClient::connect(&mut server, &options, |_| Ok(FakeContext::client())).err().unwrap();
    assert!(error.to_string().starts_with("the server offers protection privacy, and authentication is accepted here"));
    let mut server = Server::offering(0);
    assert!(matches!(connect(&mut server), Err(RpcError::Sasl(SaslError::NoQuality { .. }))));
}

#[test]
fn rpc_lengths_that_lie_are_refused() {
    for number in [1, 2, 3, 4] {
        for (lie, is_expected) in [
            (
                i32::MAX.to_be_bytes(),
                (|error| matches!(error, FramingError::TooLong { .. })) as fn(&FramingError) -> bool,
            ),
            ((-1_i32).to_be_bytes(), |error| matches!(error, FramingError::Negative(-1))),
            (100_i32.to_be_bytes(), |error| matches!(error, FramingError::Closed)),
            (*b"HTTP", |error| error.to_string().contains("speaks HTTP")),
        ] {
            let mut server = Server::new();
            server.lies.push((number, lie.to_vec()));
            let error = connect(&mut server).err().unwrap();
            assert!(matches!(&error, RpcError::Frame(error) if is_expected(error)), "{number}: {error}");
        }
    }
}

#[test]
fn rpc_wrapped_length_that_lies_is_refused() {
    for (length, expected) in [(i32::MAX, "announces 2147483647 bytes"), (-1, "negative length"), (5, "closes")] {
        let mut server = Server::offering(4);
        let mut client = connect(&mut server).unwrap();
        let layer = client.frames.stream_mut().layer.as_mut().unwrap();
        let token = layer.protect(&length.to_be_bytes()).unwrap();
        client.frames.stream_mut().push_token(state::WRAP, token);
        let text = client.renew_token(&sample_token()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn rpc_message_that_is_not_wrapped_as_agreed_is_refused() {
    let answers: [fn(&mut Server); 4] = [
        |server| server.push(&token_answer(0, &sample_token())),
        |server| server.push_token(state::CHALLENGE, b"x".to_vec()),
        |server| {
            let token = server.layer.as_mut().unwrap().protect(b"").unwrap();
            server.push_token(state::WRAP, token);
        },
        |server| {
            let token = server.layer.as_mut().unwrap().protect(&[0; 20]).unwrap();
            server.push_token(state::WRAP, token.iter().map(|byte| byte ^ 1).collect());
        },
    ];
    for answer in answers {
        let mut server = Server::offering(2);
        let mut client = connect(&mut server).unwrap();
        answer(client.frames.stream_mut());
        assert!(client.obtain_token("alice").is_err());
    }
}

#[test]
fn rpc_answer_to_another_call_is_refused() {
    let mut server = Server::new();
    server.answers = vec![[success(1), vec![0]].concat(), [success(1), vec![0]].concat()];
    let mut client = connect(&mut server).unwrap();
    let error = client.cancel_token(&sample_token()).unwrap_err();
    assert!(matches!(error, RpcError::Protocol(PROTOCOL_NAME, "it answers another call")), "{error}");
    assert!(client.cancel_token(&sample_token()).is_ok());
}

#[test]
fn rpc_answer_without_a_token_is_refused() {
    for frame in [
        [success(0), vec![0]].concat(),
        token_answer(0, &HadoopToken::default()),
        token_answer(0, &HadoopToken { password: Vec::new(), ..sample_token() }),
    ] {
        let mut server = Server::new();
        server.answers.push(frame);
        let error = connect(&mut server).unwrap().obtain_token("alice").unwrap_err();
        assert!(matches!(error, RpcError::NoToken), "{error}");
    }
    let mut server = Server::new();
    server.answers.push([success(0), vec![0]].concat());
    assert!(connect(&mut server).unwrap().renew_token(&sample_token()).is_err(), "an expiry of zero passed");
}

#[test]
fn rpc_answer_that_is_no_message_is_refused() {
    for frame in [vec![], vec![0xff; 11], vec![5, 0], [success(0), vec![3, 0x0a, 0x7f, 0]].concat(), vec![0xff; 1000]] {
        let mut server = Server::new();
        server.answers.push(frame);
        let error = connect(&mut server).unwrap().obtain_token("alice").unwrap_err();
        assert!(matches!(error, RpcError::Frame(FramingError::Truncated) | RpcError::Protocol(..)), "{error}");
    }
}
