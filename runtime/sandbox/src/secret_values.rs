//! The capability `secret-values`: reading a secret, which is a grant of its own.
//!
//! From here on the value is the component's, and the host's care ends with the log: what it prints is blanked.

use wasmtime::component::{HasData, Linker, Resource};

use crate::bindings::delegation::tokens::secret_values;
use crate::secrets::{SecretHandle, SecretUseError, SecretsView};

impl secret_values::Host for SecretsView<'_> {
    async fn reveal(&mut self, secret: Resource<SecretHandle>) -> Result<Vec<u8>, SecretUseError> {
        self.value(secret).await
    }
}

struct HasSecretValues;

impl HasData for HasSecretValues {
    type Data<'a> = SecretsView<'a>;
}

/// Adds the interface to a linker.
pub(crate) fn link<T: Send>(linker: &mut Linker<T>, get: fn(&mut T) -> SecretsView<'_>) -> wasmtime::Result<()> {
    secret_values::add_to_linker::<T, HasSecretValues>(linker, get)
}
