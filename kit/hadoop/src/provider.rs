//! What every provider exports: its service, the kind of its payload, and `obtain`.

use deputy_kit::types::{Failure, Setting, Tokens};

/// A provider of one service, with payloads of one kind.
pub trait TokenProvider {
    /// The configuration that the settings make.
    type Config<'a>;

    /// The name of the service.
    const SERVICE: &'static str;

    /// The kind of every payload.
    const KIND: &'static str;

    /// Validates the settings, before any connection.
    ///
    /// # Errors
    /// `misconfigured`, with the setting.
    fn configure(settings: &[Setting]) -> Result<Self::Config<'_>, Failure>;

    /// Obtains a token.
    ///
    /// # Errors
    /// As the contract has them.
    fn obtain(config: &Self::Config<'_>) -> Result<Tokens, Failure>;
}

/// Generates the bindings of a provider, in a module `bindings`, and exports the type, which is a [`TokenProvider`] and a
/// [`Describe`](deputy_kit::description::Describe).
///
/// A world is given where it is not that of most: tokens that are renewed and revoked, with Kerberos. It includes
/// `describes-itself`. A folder two
/// above the crate has the contract.
///
/// ```text
/// deputy_kit_hadoop::export_provider!(Hdfs);
/// ```
#[macro_export]
macro_rules! export_provider {
    ($provider:ident) => {
        $crate::export_provider!(
            $provider,
            "
                package deputy:connector;
                world component {
                    include delegation:tokens/token-provider@0.2.0;
                    include delegation:tokens/renews-tokens@0.2.0;
                    include delegation:tokens/revokes-tokens@0.2.0;
                    include delegation:tokens/uses-kerberos@0.2.0;
                    include delegation:tokens/describes-itself@0.2.0;
                }
            "
        );
    };
    ($provider:ident, $world:tt) => {
        deputy_kit::export_component!(
            $provider,
            $world,
            "delegation:tokens/kerberos@0.2.0": deputy_kit_hadoop::kerberos::interface,
        );

        deputy_kit::describe!($provider);

        impl bindings::exports::delegation::tokens::provider::Guest for $provider {
            fn service_name(settings: deputy_kit::types::Settings) -> Result<String, deputy_kit::types::Failure> {
                use $crate::provider::TokenProvider;
                Self::configure(&settings).map(|_| Self::SERVICE.to_owned())
            }

            fn kinds(settings: deputy_kit::types::Settings) -> Result<Vec<String>, deputy_kit::types::Failure> {
                use $crate::provider::TokenProvider;
                Self::configure(&settings).map(|_| vec![Self::KIND.to_owned()])
            }

            fn tokens_required(settings: deputy_kit::types::Settings) -> Result<bool, deputy_kit::types::Failure> {
                use $crate::provider::TokenProvider;
                Self::configure(&settings).map(|_| true)
            }

            fn obtain(
                settings: deputy_kit::types::Settings,
            ) -> Result<deputy_kit::types::Tokens, deputy_kit::types::Failure> {
                use $crate::provider::TokenProvider;
                <Self as TokenProvider>::obtain(&Self::configure(&settings)?)
            }
        }
    };
}
