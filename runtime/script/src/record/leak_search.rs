//! The last look at a recorded script: whether a real value is anywhere in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::{SecretBytes, SecretName, Tokens, is_secret_setting};
use deputy_sandbox::SecretVariants;

use super::mocks::{MIN_SEARCHED_LEN, Mocks};
use super::record_error::RecordError;

/// Values that are looked for at a time: a signal ends the search between two times.
const VALUES_AT_ONCE: usize = 32;

/// The real values that no script may show.
pub(super) fn searched<'t>(
    mocks: &Mocks,
    secrets: &BTreeMap<SecretName, Arc<SecretBytes>>,
    settings: &BTreeMap<String, String>,
    tokens: impl Iterator<Item = &'t Tokens>,
) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for real in mocks.reals().filter(|real| real.len() >= MIN_SEARCHED_LEN) {
        let is_secret = secrets.values().any(|secret| secret.expose() == real.as_bytes());
        // The members of a JSON object are values of their own.
        if !real.trim_start().starts_with('{') && (is_secret || !is_in_settings(real, settings)) {
            values.push(real.as_bytes().to_vec());
        }
    }
    // What is no text has no mock.
    let returned = tokens.flat_map(|tokens| [tokens.payload.expose(), tokens.handle.expose()]);
    for bytes in returned.chain(secrets.values().map(|secret| secret.expose())) {
        if bytes.len() >= MIN_SEARCHED_LEN && std::str::from_utf8(bytes).is_err() {
            values.push(bytes.to_vec());
        }
    }
    values
}

fn is_in_settings(real: &str, settings: &BTreeMap<String, String>) -> bool {
    settings.iter().any(|(name, value)| !is_secret_setting(name) && value.contains(real))
}

/// Looks for values in the encodings in which the audit log and a component's texts are searched.
pub(super) async fn search(text: &str, values: Vec<Vec<u8>>) -> Result<(), RecordError> {
    let values: Vec<_> =
        values.into_iter().map(|value| ("a secret or a token".to_owned(), Arc::new(SecretBytes::new(value)))).collect();
    for some in values.chunks(VALUES_AT_ONCE) {
        if let Some(name) = SecretVariants::of(some).find(text.as_bytes()) {
            return Err(RecordError::Shown(name.to_owned()));
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::mocks::Replacement;

    #[tokio::test]
    async fn record_searches_members_and_numbers_in_each_encoding() {
        let mut mocks = Mocks::new(Replacement::Likely, &BTreeMap::new());
        mocks.set("{\"pin\":12345678}", "mock");
        for real in ["12345678", "hunter2!"] {
            mocks.add("x", real);
        }
        let binary = Arc::new(SecretBytes::new(b"\xff\xfehunter3!".to_vec()));
        let secrets = BTreeMap::from([("key".parse().unwrap(), binary)]);
        let values = searched(&mocks, &secrets, &BTreeMap::new(), std::iter::empty());
        assert_eq!(values.len(), 3);
        for text in ["a 12345678", "b hunter2!", "c aHVudGVyMiE=", "d //5odW50ZXIzIQ=="] {
            assert!(matches!(search(text, values.clone()).await, Err(RecordError::Shown(_))), "{text}");
        }
        assert!(search("mock-x", values).await.is_ok());
    }
}
