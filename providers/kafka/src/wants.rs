//! What the provider wants with its settings.

use crate::Kafka;
use crate::config::{KafkaAuthentication, KafkaConfig, SETTINGS};
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::types::{Failure, Setting};
use deputy_kit_hadoop::wants;

const CREATES: &str = "creates, renews and ends tokens; add `tls = {}` to the rule if the listener speaks TLS";
const CREATES_BY_CERTIFICATE: &str = "creates, renews and ends tokens; add `client-certificate` to `tls` of the rule";

impl Describe for Kafka {
    const TITLE: &'static str = "Delegation tokens of Kafka";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    fn wants(settings: &[Setting]) -> Result<Vec<Want>, Failure> {
        let config = KafkaConfig::read(settings)?;
        let mut wanted = match config.authentication {
            KafkaAuthentication::Certificate => {
                let servers = config.servers.iter().map(|server| Want::tcp(server.to_string()).with("tls", "yes"));
                servers.map(|want| want.reason(CREATES_BY_CERTIFICATE)).collect()
            }
            _ => wants::tcp(&config.servers, CREATES),
        };
        let others: Vec<_> = config.token_servers.iter().filter(|server| !config.servers.contains(server)).collect();
        let tries = "tries a new token, as its clients will use it";
        wanted.extend(others.iter().map(|server| Want::tcp(server.to_string()).reason(tries)));
        match config.authentication {
            KafkaAuthentication::Scram { secret, .. } => {
                let secret = Want::secret(secret).with("use", "scram").with("format", "the password");
                wanted.push(secret.reason("logs in to the brokers"));
            }
            KafkaAuthentication::Gssapi { principal } => {
                wanted.push(Want::kerberos([principal]).reason("logs in to the brokers"));
            }
            KafkaAuthentication::Certificate => {}
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;

    #[test]
    fn wants_follow_the_way_of_logging_in() {
        for (authentication, expected) in [
            ("SCRAM-SHA-512", vec!["tcp b1:9093", "tcp b2:9094", "secret password"]),
            ("GSSAPI", vec!["tcp b1:9093", "tcp b2:9094", "kerberos kafka/_HOST"]),
            ("certificate", vec!["tcp b1:9093", "tcp b2:9094"]),
        ] {
            let servers = ("token-servers", "b2:9094,b1:9093");
            let settings = settings_of(&[("servers", "b1:9093"), ("authentication", authentication), servers]);
            let wants = Kafka::wants(&settings).unwrap();
            let wants: Vec<_> = wants.iter().map(|want| format!("{} {}", want.kind, want.properties[0].1)).collect();
            assert_eq!(wants, expected, "{authentication}");
        }
    }
}
