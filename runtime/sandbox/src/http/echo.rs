//! Finds the secrets that the host added to a request in its response: a host that sends back what it got would show them
//! to the component.
//!
//! A response is searched as it arrives, for each value as it is and in its usual encodings. What may be the beginning of
//! one is held back until the next piece shows whether it is. Nothing protects from a server that sends a secret in a
//! form of its own; docs/security.md says so.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Response, header};
use bytes::{Bytes, BytesMut};
use deputy_core::grant::Target;
use deputy_core::{PolicyDenial, SecretBytes, SecretName};

use super::form::encode;
use crate::redact::SecretVariants;

/// A shorter value is not looked for: innocent responses hold it, and it can be guessed.
const MIN_LENGTH: usize = 8;

/// A value that the host added, under its secret's name.
pub(super) type Added = (SecretName, Arc<SecretBytes>);

pub(super) struct EchoGuard {
    target: Target,
    variants: SecretVariants,
    /// Any of the secrets, to name one where the response can't be searched.
    first: SecretName,
    /// The end of what came so far that may be the beginning of a secret.
    held: BytesMut,
}

impl EchoGuard {
    /// `None` where there is nothing to look for.
    pub(super) fn new(target: &Target, added: &[Added]) -> Option<Self> {
        let mut values: Vec<(String, Arc<SecretBytes>)> = Vec::new();
        for (name, value) in added.iter().filter(|(_, value)| value.len() >= MIN_LENGTH) {
            values.push((name.to_string(), Arc::clone(value)));
            // As `oauth2-basic` puts it into Base64.
            let mut encoded = Vec::with_capacity(3 * value.len());
            encode(value.expose(), &mut encoded);
            let encoded = SecretBytes::new(encoded);
            if encoded.expose() != value.expose() {
                values.push((name.to_string(), Arc::new(encoded)));
            }
        }
        let (first, _) = added.iter().find(|(_, value)| value.len() >= MIN_LENGTH)?;
        let variants = SecretVariants::of(&values);
        Some(Self { target: target.clone(), variants, first: first.clone(), held: BytesMut::new() })
    }

    /// Has the server send what can be searched: not compressed, and not in parts of the component's choosing.
    pub(super) fn prepare(&self, request: &mut HeaderMap) {
        for name in [header::RANGE, header::IF_RANGE, header::ACCEPT_ENCODING] {
            request.remove(name);
        }
        request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    /// Searches the head, and refuses a body that is compressed although none was asked for.
    pub(super) fn check_head<B>(&self, response: &Response<B>) -> Result<(), PolicyDenial> {
        self.check_headers(response.headers())?;
        let mut codings = response.headers().get_all(header::CONTENT_ENCODING).iter();
        let is_identity = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
        if codings.all(|coding| coding.is_empty() || is_identity(coding)) {
            Ok(())
        } else {
            Err(self.denial(self.first.as_str()))
        }
    }

    /// Searches headers or trailers.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), PolicyDenial> {
        let hit = headers.iter().find_map(|(name, value)| {
            self.variants.find(name.as_str().as_bytes()).or_else(|| self.variants.find(value.as_bytes()))
        });
        hit.map_or(Ok(()), |name| Err(self.denial(name)))
    }

    /// Searches the next piece of the body, and returns what the component may have of it and of what was held back.
    pub(super) fn pass(&mut self, piece: Bytes) -> Result<Bytes, PolicyDenial> {
        let begins_here = self.held.is_empty() && self.variants.begun(&piece) == 0;
        if begins_here {
            return self.variants.find(&piece).map_or(Ok(()), |name| Err(self.denial(name))).map(|()| piece);
        }
        self.held.extend_from_slice(&piece);
        if let Some(name) = self.variants.find(&self.held) {
            return Err(self.denial(name));
        }
        let clear = self.held.len() - self.variants.begun(&self.held);
        Ok(self.held.split_to(clear).freeze())
    }

    /// What was held back, once the body has ended: it was no secret's beginning.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let rest = self.held.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }

    /// Whether something is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    fn denial(&self, secret: &str) -> PolicyDenial {
        let secret = secret.parse().unwrap_or_else(|_| self.first.clone());
        PolicyDenial::Echo { target: self.target.clone(), secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::grant::Scheme;
    use proptest::prelude::*;

    fn guard(values: &[&str]) -> Option<EchoGuard> {
        let target = Target::parse(Scheme::Https, "a.example").unwrap();
        let name: SecretName = "token".parse().unwrap();
        let added = values.iter().map(|value| (name.clone(), Arc::new(SecretBytes::new((*value).into()))));
        EchoGuard::new(&target, &added.collect::<Vec<_>>())
    }

    /// What the component gets of these pieces, and whether it gets all.
    fn passed(value: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut guard = guard(&[value]).unwrap();
        let mut passed = Vec::new();
        for piece in pieces {
            match guard.pass(Bytes::copy_from_slice(piece)) {
                Ok(clear) => passed.extend_from_slice(&clear),
                Err(denial) => {
                    assert_eq!(denial.code(), "secret-in-response");
                    return (passed, false);
                }
            }
        }
        passed.extend_from_slice(&guard.rest().unwrap_or_default());
        (passed, true)
    }

    #[test]
    fn echo_is_found_across_pieces_and_no_part_of_it_passes() {
        let text = b"you sent hunter2! here";
        for at in 0..text.len() {
            let (first, second) = text.split_at(at);
            let (seen, whole) = passed("hunter2!", &[first, second]);
            assert!(!whole && b"you sent ".starts_with(&seen), "{at}: {seen:?}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(passed("hunter2!", &bytes), (b"you sent ".to_vec(), false));
        assert_eq!(passed("hunter2!", &[b"hunter", b"2?"]), (b"hunter2?".to_vec(), true));
        assert_eq!(passed("hunter2!", &[b"hunter2"]), (b"hunter2".to_vec(), true));
    }

    #[test]
    fn echo_of_a_short_value_is_not_looked_for() {
        assert!(guard(&[]).is_none() && guard(&["hunter2"]).is_none());
        assert!(guard(&["hunter2", "hunter2!"]).is_some());
    }

    #[test]
    fn echo_is_found_in_heads_and_trailers() {
        let guard = guard(&["hunter2!"]).unwrap();
        for value in ["hunter2!", "x HUNTER2! y", "aHVudGVyMiE=", "hunter2%21"] {
            let response = Response::builder().header("x-echo", value).body(()).unwrap();
            assert!(
                guard.check_head(&response).is_err() && guard.check_headers(response.headers()).is_err(),
                "{value}"
            );
        }
        for (coding, allowed) in [("identity", true), ("", true), ("gzip", false), ("identity, br", false)] {
            let response = Response::builder().header("content-encoding", coding).body(()).unwrap();
            assert_eq!(guard.check_head(&response).is_ok(), allowed, "{coding}");
        }
    }

    #[test]
    fn echo_is_asked_for_in_a_form_that_can_be_searched() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-3"));
        headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        guard(&["hunter2!"]).unwrap().prepare(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get(header::ACCEPT_ENCODING).unwrap(), "identity");
    }

    proptest! {
        /// Whatever a response has and however it is cut, it passes unchanged, or the secret was in it.
        #[test]
        fn echo_search_changes_nothing_else(pieces in prop::collection::vec("[ab%6]{0,7}", 0..9)) {
            let value = "abab%ab6";
            let bytes: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
            let all = pieces.concat();
            let (seen, whole) = passed(value, &bytes);
            prop_assert_eq!(&all.as_bytes()[..seen.len()], &seen[..]);
            prop_assert_eq!(whole, seen.len() == all.len() && !all.contains(value) && !all.contains("abab%25ab6"));
        }
    }
}
