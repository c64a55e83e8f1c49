use super::*;
use crate::testing::FakeContext;

/// A server that offers these layers and this size.
struct Server {
    context: FakeContext,
    offer: [u8; 4],
}

impl Server {
    fn offering(mask: u8) -> Self {
        Self { context: FakeContext::server(), offer: [mask, 1, 0, 0] }
    }

    /// The whole exchange, as a service has it.
    fn login(&mut self, accepted: Qualities) -> Result<SecurityLayer<FakeContext>, SaslError> {
        let mut client = SaslClient::new(FakeContext::client(), accepted);
        let request = client.step(b"")?;
        let reply = self.context.step(&request).unwrap().token;
        assert_eq!(client.step(&reply)?, b"", "the empty answer is sent");
        assert!(!client.is_complete());
        let offer = self.context.wrap(&self.offer, false).unwrap();
        let answer = client.step(&offer)?;
        assert!(client.is_complete());
        let opened = self.context.unwrap(&answer).unwrap();
        assert!(!opened.sealed, "the choice itself is never encrypted");
        let layer = client.finish()?;
        let size: &[u8] = if layer.quality() == Quality::Authentication { &[0, 0, 0] } else { &[0x10, 0, 0] };
        assert_eq!(opened.message, [&[layer.quality().bit()], size].concat());
        Ok(layer)
    }
}

#[test]
fn sasl_takes_the_strongest_quality_of_both() {
    let (auth, int, conf) = (Quality::Authentication, Quality::Integrity, Quality::Privacy);
    for (mask, accepted, expected) in [
        (1, "authentication,integrity,privacy", auth),
        (5, "authentication,integrity,privacy", conf),
        (7, "privacy", conf),
        (7, "integrity, authentication", int),
        (3, "integrity,privacy", int),
        (7, "Authentication", auth),
        // Bits that RFC 4752 does not know.
        (0xf9, "authentication,integrity,privacy", auth),
    ] {
        let layer = Server::offering(mask).login(Qualities::parse(accepted).unwrap()).unwrap();
        assert_eq!(layer.quality(), expected, "{mask} {accepted}");
    }
}

#[test]
fn sasl_error_names_both_offers() {
    let error = Server::offering(4).login(Qualities::only(Quality::Authentication)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the server offers protection privacy, and authentication is accepted here: change setting `protection`"
    );
    let error = Server::offering(0).login(Qualities::ANY).err().unwrap();
    assert!(error.to_string().starts_with("the server offers protection none, and authentication, integrity, privacy"));
    let error = Server::offering(0xf8).login(Qualities::ANY).err().unwrap();
    assert!(matches!(error, SaslError::NoQuality { .. }), "{error}");
}

#[test]
fn sasl_layer_protects_as_agreed() {
    for quality in [Quality::Integrity, Quality::Privacy] {
        let mut server = Server::offering(7);
        let mut layer = server.login(Qualities::only(quality)).unwrap();
        let token = layer.protect(b"request").unwrap();
        let opened = server.context.unwrap(&token).unwrap();
        assert_eq!((opened.message.as_slice(), opened.sealed), (b"request".as_slice(), quality == Quality::Privacy));
        let token = server.context.wrap(b"answer", quality == Quality::Privacy).unwrap();
        assert_eq!(layer.open(&token).unwrap(), b"answer");
        assert!(matches!(layer.open(&token), Err(SaslError::Context(ContextError::BadToken(_)))), "a replay passed");
    }
    let mut layer = Server::offering(1).login(Qualities::ANY).unwrap();
    assert_eq!((layer.protect(b"x"), layer.open(b"y")), (Ok(b"x".to_vec()), Ok(b"y".to_vec())));
}

#[test]
fn sasl_privacy_refuses_a_message_that_is_signed_only() {
    let mut server = Server::offering(4);
    let mut layer = server.login(Qualities::ANY).unwrap();
    let token = server.context.wrap(b"answer", false).unwrap();
    assert_eq!(layer.open(&token), Err(SaslError::NotSealed));
}

#[test]
fn sasl_message_over_the_size_of_the_server_is_refused() {
    let mut server = Server { context: FakeContext::server(), offer: [2, 0, 0, 16] };
    let mut layer = server.login(Qualities::ANY).unwrap();
    assert!(layer.protect(&[0; 12]).is_ok());
    assert_eq!(layer.protect(&[0; 13]), Err(SaslError::TooLarge { length: 17, limit: 16 }));
}

#[test]
fn sasl_offer_of_another_length_is_refused() {
    for offer in [b"".as_slice(), b"\x07", b"\x07\0\0", b"\x07\0\0\0\0", &[7; 100_000]] {
        let mut server = FakeContext::server();
        let mut client = SaslClient::new(FakeContext::client(), Qualities::ANY);
        let reply = server.step(&client.step(b"").unwrap()).unwrap().token;
        client.step(&reply).unwrap();
        let offer_token = server.wrap(offer, false).unwrap();
        assert_eq!(client.step(&offer_token), Err(SaslError::Offer(offer.len())));
    }
}

#[test]
fn sasl_login_that_is_cut_short_is_not_a_login() {
    let mut client = SaslClient::new(FakeContext::client(), Qualities::ANY);
    client.step(b"").unwrap();
    assert!(client.finish().is_err());
    let mut client = SaslClient::new(FakeContext::client(), Qualities::ANY);
    client.step(b"").unwrap();
    client.step(b"ap-rep").unwrap();
    assert_eq!(client.finish().err(), Some(SaslError::Incomplete));
}

#[test]
fn sasl_forged_offer_is_refused() {
    let mut server = FakeContext::server();
    let mut client = SaslClient::new(FakeContext::client(), Qualities::ANY);
    let reply = server.step(&client.step(b"").unwrap()).unwrap().token;
    client.step(&reply).unwrap();
    let mut offer = server.wrap(&[7, 1, 0, 0], false).unwrap();
    offer[3] = 1;
    assert!(matches!(client.step(&offer), Err(SaslError::Context(ContextError::BadToken(_)))));
}

/// A context that is never established.
struct Endless;

impl SecurityContext for Endless {
    fn step(&mut self, _: &[u8]) -> Result<ContextStep, ContextError> {
        Ok(ContextStep { token: b"more".to_vec(), established: false })
    }

    fn wrap(&mut self, _: &[u8], _: bool) -> Result<Vec<u8>, ContextError> {
        Err(ContextError::WrongState)
    }

    fn unwrap(&mut self, _: &[u8]) -> Result<OpenedMessage, ContextError> {
        Err(ContextError::WrongState)
    }
}

#[test]
fn sasl_login_that_does_not_end_is_ended() {
    let mut client = SaslClient::new(Endless, Qualities::ANY);
    for _ in 0..MAX_STEPS {
        client.step(b"more").unwrap();
    }
    assert_eq!(client.step(b"more"), Err(SaslError::Endless));
}

#[test]
fn sasl_step_behind_the_last_one_is_refused() {
    let mut server = FakeContext::server();
    let mut client = SaslClient::new(FakeContext::client(), Qualities::ANY);
    let reply = server.step(&client.step(b"").unwrap()).unwrap().token;
    client.step(&reply).unwrap();
    let offer = server.wrap(&[1, 0, 0, 0], false).unwrap();
    client.step(&offer).unwrap();
    assert_eq!(client.step(b""), Err(SaslError::Complete));
}

#[test]
fn sasl_qualities_are_names_with_commas() {
    for text in ["", ",", "auth", "privacy,", "privacy integrity", "authentication;privacy"] {
        assert!(Qualities::parse(text).is_err(), "{text:?} passed");
    }
    assert_eq!(Qualities::parse("privacy,authentication").unwrap().to_string(), "authentication, privacy");
}
