//! The properties of one cluster's clients.

use crate::settings::ClientSettings;
use deputy_kit::failure;
use deputy_kit::tokens::KAFKA_TOKEN;
use deputy_kit::types::Failure;
use deputy_payloads::KafkaToken;

/// The login module of Kafka's Java clients.
const MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

/// The file for an instance's delivery.
///
/// # Errors
/// If it holds no token: the delivery is to be rejected.
pub(crate) fn properties(
    settings: &ClientSettings<'_>,
    instance: &str,
    kind: &str,
    payload: &[u8],
) -> Result<Vec<u8>, Failure> {
    if kind != KAFKA_TOKEN {
        return Err(failure::misconfigured(format!("a payload of kind {kind}: this receiver takes {KAFKA_TOKEN}")));
    }
    let token = KafkaToken::parse(payload).map_err(|error| failure::denied(format!("{instance}: {error}")))?;
    // The token's values have no character that means something here.
    let mut file = format!(
        "# A delegation token. Written by Deputy, and again with each new token.\n\
         bootstrap.servers={}\nsecurity.protocol={}\nsasl.mechanism={}\n\
         sasl.jaas.config={MODULE} required username=\"{}\" password=\"{}\" tokenauth=\"true\";\n",
        token.servers(),
        settings.protocol(instance),
        token.mechanism(),
        token.token_id(),
        token.hmac()
    );
    for (name, value) in &settings.properties {
        let escaped = value.replace('\\', "\\\\");
        file.push_str(&format!("{name}={escaped}\n"));
    }
    Ok(file.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;

    include!("../../../runtime/payloads/vectors/kafka.in");

    fn of(settings: &[(&str, &str)], kind: &str, payload: &str) -> Result<String, Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let written: Vec<_> = settings.iter().map(setting).collect();
        let settings = ClientSettings::read(&written).unwrap();
        properties(&settings, "kafka", kind, payload.as_bytes()).map(|file| String::from_utf8(file).unwrap())
    }

    #[test]
    fn properties_log_in_with_the_token() {
        let payload = KafkaToken::new("b1:9093,b2:9093", "SCRAM-SHA-512", "id", "aG1hYw==").unwrap().to_json();
        let settings = [("property.ssl.truststore.location", "C:\\ca.pem"), ("property.client.id", "job 1")];
        let file = of(&settings, KAFKA_TOKEN, &payload).unwrap();
        assert_eq!(
            file,
            "# A delegation token. Written by Deputy, and again with each new token.\n\
             bootstrap.servers=b1:9093,b2:9093\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"id\" \
             password=\"aG1hYw==\" tokenauth=\"true\";\nclient.id=job 1\nssl.truststore.location=C:\\\\ca.pem\n"
        );
    }

    #[test]
    fn properties_need_a_payload_of_the_kind() {
        for (accepted, payload) in VECTORS {
            assert_eq!(of(&[], KAFKA_TOKEN, payload).is_ok(), accepted, "{payload}");
        }
        for kind in ["kafka-token/2", "bearer-token/1", ""] {
            assert!(of(&[], kind, VECTORS[0].1).is_err(), "{kind}");
        }
    }

    #[test]
    fn properties_have_one_line_for_each_value() {
        for (_, payload) in VECTORS.iter().filter(|(accepted, _)| *accepted) {
            let file = of(&[], KAFKA_TOKEN, payload).unwrap();
            assert_eq!(file.lines().count(), 5, "{file}");
            let login = file.lines().last().unwrap();
            assert_eq!(login.matches('"').count(), 6, "{login}");
        }
    }
}
