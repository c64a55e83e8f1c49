use super::testing::Server;
use super::*;
use crate::frames::with_length;
use crate::sasl::SaslError;
use crate::testing::{FakeContext, hex, sample_token, unhex, vector};

fn connect(server: &mut Server) -> Result<MetastoreClient<&mut Server, FakeContext>, RpcError> {
    MetastoreClient::connect(server, Ok(FakeContext::client()), Qualities::ANY)
}

fn answering(mask: u8, answer: Vec<u8>) -> Server {
    Server { answers: vec![answer], ..Server::offering(mask) }
}

/// The answer to the first call, with this string.
fn token_answer(text: &str) -> Vec<u8> {
    let whole = unhex(vector("hive-get-response"));
    let head = &whole[..whole.len() - "token".len() - 5];
    [head, &with_length(text.as_bytes()).unwrap(), &[0]].concat()
}

#[test]
fn metastore_token_is_obtained_in_each_quality() {
    for (mask, quality) in [(1, Quality::Authentication), (2, Quality::Integrity), (5, Quality::Privacy)] {
        let mut server = answering(mask, token_answer(&sample_token().to_url_string()));
        let mut client = connect(&mut server).unwrap();
        assert_eq!(client.quality(), quality);
        assert!(client.obtain_token("bob", "alice").unwrap() == sample_token());
        assert_eq!(hex(&server.calls[0]), vector("hive-get-request"));
    }
}

#[test]
fn metastore_renews_a_token_as_it_made_it() {
    let mut answer = unhex(vector("hive-renew-response"));
    answer[33] = 1;
    let mut server = answering(1, answer);
    let named = HadoopToken { service: "signature".to_owned(), ..sample_token() };
    assert_eq!(connect(&mut server).unwrap().renew_token(&named).unwrap(), 1_700_086_400_000);
    let text = String::from_utf8_lossy(&server.calls[0]).into_owned();
    assert!(text.contains(&sample_token().to_url_string()), "{text}");
}

#[test]
fn metastore_refusal_is_its_text() {
    let mut answer = unhex(vector("hive-renew-refused"));
    answer[33] = 1;
    let mut server = answering(1, answer);
    let error = connect(&mut server).unwrap().renew_token(&sample_token()).unwrap_err();
    assert_eq!(error.to_string(), "MetaException: alice tries to renew a token with non-matching renewer yarn");
    let mut server = answering(1, unhex(vector("hive-failure")));
    let error = connect(&mut server).unwrap().obtain_token("bob", "alice").unwrap_err();
    assert_eq!(error.to_string(), "TApplicationException: Internal error processing get_delegation_token");
}

#[test]
fn metastore_login_that_is_refused_says_why() {
    let refusal = |status| [&[status], with_length(b"GSS initiate failed\n\tat x").unwrap().as_slice()].concat();
    for (number, status) in [(2, 3), (3, 4), (4, 3)] {
        let mut server = Server { lies: vec![(number, refusal(status))], ..Server::offering(1) };
        assert_eq!(connect(&mut server).err().unwrap().to_string(), "SaslException: GSS initiate failed");
    }
}

#[test]
fn metastore_login_that_is_skipped_is_no_login() {
    for number in [2, 3] {
        let mut server = Server { lies: vec![(number, b"\x05\0\0\0\0".to_vec())], ..Server::offering(1) };
        let error = connect(&mut server).err().unwrap();
        assert!(matches!(error, RpcError::Sasl(SaslError::Incomplete)), "{error}");
    }
}

#[test]
fn metastore_lengths_that_lie_are_refused() {
    for number in 2..=4 {
        for (lie, expected) in [
            (&b"\x02\x7f\xff\xff\xff"[..], "announces 2147483647 bytes"),
            (b"\x02\xff\xff\xff\xff", "negative length"),
            (b"\x02\0\0\0\x40x", "closes"),
            (b"", "closes"),
            (b"HTTP/1.1", "has another status"),
            (b"\x00\0\0\0\0", "has another status"),
            (b"\x01\0\0\0\0", "has another status"),
        ] {
            let mut server = Server { lies: vec![(number, lie.to_vec())], ..Server::offering(1) };
            let error = connect(&mut server).err().unwrap().to_string();
            assert!(error.contains(expected), "{number}: {error}");
        }
    }
    for mask in [1, 2, 4] {
        for (lie, expected) in [(i32::MAX, "announces 2147483647 bytes"), (-1, "negative length"), (9, "closes")] {
            let mut server = Server { lies: vec![(5, lie.to_be_bytes().to_vec())], ..Server::offering(mask) };
            let error = connect(&mut server).unwrap().cancel_token(&sample_token()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[test]
fn metastore_answer_that_is_not_wrapped_as_agreed_is_refused() {
    let plain = with_length(&unhex(vector("hive-get-response"))).unwrap();
    for mask in [2, 4] {
        let mut server = Server { lies: vec![(5, plain.clone())], ..Server::offering(mask) };
        let error = connect(&mut server).unwrap().obtain_token("bob", "alice").unwrap_err();
        assert!(matches!(error, RpcError::Sasl(_)), "{error}");
    }
}

#[test]
fn metastore_answer_without_a_token_is_refused() {
    let empty = HadoopToken::default().to_url_string();
    for text in ["", "token", "no token", &empty] {
        let mut server = answering(1, token_answer(text));
        let error = connect(&mut server).unwrap().obtain_token("bob", "alice").unwrap_err();
        assert!(matches!(error, RpcError::NoToken | RpcError::Protocol(..)), "{text}: {error}");
    }
    let mut whole = unhex(vector("hive-get-response"));
    whole.truncate(32);
    whole.push(0);
    let mut server = answering(1, whole);
    let error = connect(&mut server).unwrap().obtain_token("bob", "alice").unwrap_err();
    assert!(matches!(error, RpcError::NoToken), "{error}");
    let mut zero = unhex(vector("hive-renew-response"));
    zero[33] = 1;
    let end = zero.len() - 1;
    zero[end - 8..end].fill(0);
    assert!(
        connect(&mut answering(1, zero)).unwrap().renew_token(&sample_token()).is_err(),
        "an expiry of zero passed"
    );
}
