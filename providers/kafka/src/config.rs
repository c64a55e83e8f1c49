//! The settings of an instance, validated before any connection.

use deputy_kit::description::SettingSpec;
use deputy_kit::settings::{SettingsReader, seconds, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::address::ServerAddress;
use deputy_kit_hadoop::kafka::KafkaPrincipal;
use deputy_kit_hadoop::rpc_settings::{name, principal};
use deputy_scram::Mechanism;

/// The secret with the password, unless the settings name another one.
const SECRET: &str = "password";

/// The principal of brokers, unless the settings name another one.
const PRINCIPAL: &str = "kafka/_HOST";

/// The settings, as they are read and described.
pub(crate) const SETTINGS: [SettingSpec; 9] = [
    SettingSpec::new(
        "servers",
        "list",
        "the brokers where tokens are created, one to eight with commas between: broker1.example.com:9093, by default port 9092",
    )
    .needed(),
    SettingSpec::new(
        "authentication",
        "SCRAM-SHA-256 | SCRAM-SHA-512 | GSSAPI | certificate",
        "how to log in: SCRAM with a secret, GSSAPI with a Kerberos login, or a certificate on a listener with TLS and without SASL",
    )
    .needed(),
    SettingSpec::new("secret", "secret", "the secret with the password of SCRAM").default(SECRET),
    SettingSpec::new("principal", "text", "of the brokers, for GSSAPI; _HOST is the host").default(PRINCIPAL),
    SettingSpec::new(
        "owner",
        "text",
        "whose the token is, as User:alice or a name alone: it needs Kafka 3.3, and the operation CreateTokens on that user",
    )
    .default("Deputy's own user"),
    SettingSpec::new("renewers", "list", "who may renew it as well, with commas between"),
    SettingSpec::new("max-lifetime", "duration", "the most that a token lives: 12h").default("the brokers' maximum"),
    SettingSpec::new("token-servers", "list", "the brokers for the token's clients")
        .default("those of servers")
        .needed_if("with certificate"),
    SettingSpec::new(
        "token-mechanism",
        "SCRAM-SHA-256 | SCRAM-SHA-512",
        "the mechanism of the token's clients: every mechanism of the listener works with every token",
    )
    .default("SCRAM-SHA-512"),
];

/// The port that Kafka's own documentation has for listeners.
const PORT: u16 = 9092;

/// The most renewers of a token.
const MAX_RENEWERS: usize = 8;

/// How this provider logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KafkaAuthentication<'a> {
    /// By SCRAM, with this secret.
    Scram { mechanism: Mechanism, secret: &'a str },
    /// By Kerberos, to brokers with this principal.
    Gssapi { principal: &'a str },
    /// By the certificate of the host's TLS connection: there is no SASL.
    Certificate,
}

/// The validated settings.
#[derive(Debug)]
pub(crate) struct KafkaConfig<'a> {
    /// Where tokens are created.
    pub(crate) servers: Vec<ServerAddress>,
    pub(crate) authentication: KafkaAuthentication<'a>,
    /// The user that tokens are for, if that is not the instance's own.
    pub(crate) owner: Option<KafkaPrincipal<'a>>,
    /// Who may renew them besides this provider.
    pub(crate) renewers: Vec<KafkaPrincipal<'a>>,
    /// The most milliseconds that a token lives, if it is less than the brokers'.
    pub(crate) max_lifetime: Option<u64>,
    /// Where tokens are used.
    pub(crate) token_servers: Vec<ServerAddress>,
    /// How tokens are used.
    pub(crate) token_mechanism: Mechanism,
}

impl<'a> KafkaConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, &[&SETTINGS])?;
        settings.required("servers")?;
        let servers = settings.parsed("servers", servers)?.unwrap_or_default();
        let authentication = authentication(&settings)?;
        let token_servers = settings.parsed("token-servers", self::servers)?;
        let token_servers = match (token_servers, authentication) {
            (Some(servers), _) => servers,
            (None, KafkaAuthentication::Certificate) => {
                let problem = "needed with `authentication = \"certificate\"`: tokens are used at a listener with SASL";
                return Err(wrong_setting("token-servers", problem));
            }
            (None, _) => servers.clone(),
        };
        Ok(Self {
            servers,
            authentication,
            owner: settings.parsed("owner", KafkaPrincipal::parse)?,
            renewers: settings.parsed("renewers", renewers)?.unwrap_or_default(),
            max_lifetime: settings.parsed("max-lifetime", milliseconds)?,
            token_servers,
            token_mechanism: settings.parsed("token-mechanism", mechanism)?.unwrap_or(Mechanism::Sha512),
        })
    }

    /// The brokers for the token's clients: `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        self.token_servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

fn authentication<'a>(settings: &SettingsReader<'a>) -> Result<KafkaAuthentication<'a>, Failure> {
    let secret = settings.parsed("secret", name)?;
    let principal = settings.parsed("principal", principal)?;
    let only_with = |setting: &str, other: &str| {
        wrong_setting(setting, &format!("has no effect without {other} as `authentication`"))
    };
    match settings.required("authentication")? {
        "GSSAPI" if secret.is_some() => Err(only_with("secret", "SCRAM-SHA-256 or SCRAM-SHA-512")),
        "GSSAPI" => Ok(KafkaAuthentication::Gssapi { principal: principal.unwrap_or(PRINCIPAL) }),
        "certificate" if secret.is_some() => Err(only_with("secret", "SCRAM-SHA-256 or SCRAM-SHA-512")),
        _ if principal.is_some() => Err(only_with("principal", "GSSAPI")),
        "certificate" => Ok(KafkaAuthentication::Certificate),
        text => match text.parse() {
            Ok(mechanism) => Ok(KafkaAuthentication::Scram { mechanism, secret: secret.unwrap_or(SECRET) }),
            Err(_) => {
                Err(wrong_setting("authentication", "must be SCRAM-SHA-256, SCRAM-SHA-512, GSSAPI or certificate"))
            }
        },
    }
}

fn servers(text: &str) -> Result<Vec<ServerAddress>, String> {
    ServerAddress::parse_list(text, Some(PORT))
}

fn renewers(text: &str) -> Result<Vec<KafkaPrincipal<'_>>, String> {
    let list: Vec<_> = text.split(',').map(|each| KafkaPrincipal::parse(each.trim())).collect::<Result<_, _>>()?;
    if list.len() > MAX_RENEWERS {
        Err(format!("{} renewers, of at most {MAX_RENEWERS}", list.len()))
    } else {
        Ok(list)
    }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let milliseconds = seconds(text)?.checked_mul(1000).filter(|milliseconds| *milliseconds > 0);
    milliseconds.ok_or_else(|| "must be longer than nothing".to_owned())
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    text.parse().map_err(|_| "must be SCRAM-SHA-256 or SCRAM-SHA-512".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn config_has_defaults() {
        let written = settings_of(&[("servers", "b1, b2:9093"), ("authentication", "SCRAM-SHA-256")]);
        let config = KafkaConfig::read(&written).unwrap();
        assert_eq!(
            config.authentication,
            KafkaAuthentication::Scram { mechanism: Mechanism::Sha256, secret: "password" }
        );
        assert_eq!((config.bootstrap().as_str(), config.token_servers), ("b1:9092,b2:9093", config.servers));
        assert_eq!((config.owner, config.renewers.len(), config.max_lifetime), (None, 0, None));
        assert_eq!(config.token_mechanism, Mechanism::Sha512);
    }

    #[test]
    fn config_has_a_login_of_each_kind() {
        let written =
            settings_of(&[("servers", "b1"), ("authentication", "GSSAPI"), ("max-lifetime", "1h"), ("owner", "bob")]);
        let config = KafkaConfig::read(&written).unwrap();
        assert_eq!(config.authentication, KafkaAuthentication::Gssapi { principal: "kafka/_HOST" });
        assert_eq!(
            (config.max_lifetime, config.owner),
            (Some(3_600_000), Some(KafkaPrincipal { kind: "User", name: "bob" }))
        );
        let pairs = [
            ("servers", "b1"),
            ("authentication", "certificate"),
            ("token-servers", "b1:9093"),
            ("renewers", "a,User:b"),
        ];
        let written = settings_of(&pairs);
        let config = KafkaConfig::read(&written).unwrap();
        assert_eq!((config.authentication, config.bootstrap().as_str()), (KafkaAuthentication::Certificate, "b1:9093"));
        assert_eq!(config.renewers.len(), 2);
    }

    #[test]
    fn config_that_is_wrong_names_the_setting() {
        for (pairs, setting) in [
            (vec![], "servers"),
            (vec![("servers", "b1")], "authentication"),
            (vec![("servers", "b1:x"), ("authentication", "GSSAPI")], "servers"),
            (vec![("servers", "b1"), ("authentication", "PLAIN")], "authentication"),
            (vec![("servers", "b1"), ("authentication", "GSSAPI"), ("secret", "x")], "secret"),
            (vec![("servers", "b1"), ("authentication", "SCRAM-SHA-512"), ("principal", "kafka/_HOST")], "principal"),
            (vec![("servers", "b1"), ("authentication", "certificate")], "token-servers"),
            (vec![("servers", "b1"), ("authentication", "GSSAPI"), ("token-mechanism", "PLAIN")], "token-mechanism"),
            (vec![("servers", "b1"), ("authentication", "GSSAPI"), ("max-lifetime", "0s")], "max-lifetime"),
            (vec![("servers", "b1"), ("authentication", "GSSAPI"), ("renewers", "a,")], "renewers"),
            (vec![("servers", "b1"), ("authentication", "GSSAPI"), ("bootstrap", "b1")], "bootstrap"),
        ] {
            let written = settings_of(&pairs);
            let failure = KafkaConfig::read(&written).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(setting), "{failure:?}");
        }
    }
}
