//! What the tests of this crate share.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use deputy_store::Random;

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
pub(crate) fn random() -> Random {
    Arc::new(SystemRandom::new())
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(crate) fn put(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    std::fs::write(path, contents).unwrap();
}
