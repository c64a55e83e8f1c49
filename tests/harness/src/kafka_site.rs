//! Kafka's provider, and the receiver that writes the properties of clients.

use std::path::PathBuf;
use std::sync::OnceLock;

use deputy_test_servers::{Kafka, guest};

use crate::delivery_site::{Connectors, DeliverySite, PRINCIPAL};
use crate::environment::TestEnvironment;

/// Kafka's components.
pub struct KafkaConnectors;

/// A coordinator with instances of `kafka`, and a worker that writes the properties of clients.
pub type KafkaSite = DeliverySite<KafkaConnectors>;

impl Connectors for KafkaConnectors {
    const RECEIVER: &'static str = "kafka";
    const RECEIVER_COMPONENT: &'static str = "kafka-client";

    fn compiled() -> &'static PathBuf {
        static COMPILED: OnceLock<PathBuf> = OnceLock::new();
        COMPILED.get_or_init(|| TestEnvironment::compiled("kafka-state", &["kafka", "kafka-client"]))
    }
}

impl KafkaSite {
    /// Adds an instance with a login by SCRAM. `rule` is what stands in each of its rules, besides the network.
    pub fn scram(self, name: &str, servers: &str, settings: &str, rule: &str) -> Self {
        self.home.put_secret("kafka-password", Kafka::PASSWORD);
        self.home.register_secret(Kafka::PASSWORD);
        let grant = format!(
            "[instances.{name}.secrets.password]\nfile = \"secrets/kafka-password\"\nscram = {{ username = \"{}\" }}\n",
            Kafka::USER
        );
        self.kafka(name, servers, settings, &grant, rule)
    }

    /// Adds an instance with a login by Kerberos.
    pub fn gssapi(self, name: &str, servers: &str, settings: &str) -> Self {
        let grant = format!(
            "[instances.{name}.kerberos]\nlogin = \"{PRINCIPAL}\"\ntargets = [\"kafka/localhost@TEST.LOCAL\"]\n"
        );
        self.kafka(name, servers, &format!("authentication = \"GSSAPI\"\n{settings}"), &grant, "")
    }

    /// Adds an instance of `kafka`.
    pub fn kafka(self, name: &str, servers: &str, settings: &str, grant: &str, rule: &str) -> Self {
        let component = guest("kafka").unwrap();
        let rules: String = servers
            .split(',')
            .map(|server| format!("[[instances.{name}.tcp]]\nallow = \"{server}\"\nnetworks = [\"loopback\"]\n{rule}"))
            .collect();
        let lines = format!(
            "[instances.{name}]\ncomponent = {component:?}\nretry = {{ floor = \"200ms\", most = \"1s\" }}\n\
             [instances.{name}.settings]\nservers = \"{servers}\"\n{settings}\n{grant}{rules}"
        );
        self.instance(name, &lines)
    }

    /// The file that the worker's receiver writes for an instance.
    pub fn properties(&self, name: &str) -> PathBuf {
        self.published(&format!("{name}.properties"))
    }
}
