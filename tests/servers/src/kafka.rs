//! Kafka: a real broker, which is its own controller, with delegation tokens, and a second broker beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::java::{JavaServer, Jvm, Ready};
use crate::{Client, Error, Kdc, Lasting, OAuth2, Proof, Site, Tls, lasting_ports};

/// The SASL mechanisms of every listener that has some, but for that with access tokens.
const MECHANISMS: [&str; 3] = ["GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Any id will do.
const CLUSTER: [&str; 2] = ["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ"];

/// What a broker logs when it serves.
const STARTED: Ready = Ready::Logged("Kafka Server started");

/// A running broker. Its ports, topics and tokens stay when it is stopped, and end with this value.
pub struct Kafka {
    server: JavaServer,
    second: Option<(JavaServer, Ports)>,
    client: Client,
    ports: Ports,
    place: Lasting,
}

/// Where it listens, on `localhost`.
#[derive(Clone, Copy)]
pub struct Ports {
    /// For other brokers and the controller.
    controller: u16,
    /// Without TLS or login.
    pub plain: u16,
    /// With a login by Kerberos or SCRAM.
    pub sasl: u16,
    /// The same over TLS.
    pub sasl_tls: u16,
    /// With a client's certificate.
    pub mutual_tls: u16,
    /// With an access token of an authorization server.
    pub oauth: u16,
}

impl Kafka {
    /// The user whom SCRAM knows, with either hash.
    pub const USER: &'static str = "carol";
    /// The password of that user.
    pub const PASSWORD: &'static str = "kafka-password-that-no-component-sees";

    /// Starts one with these settings besides its own; `clients` are the certificates that it trusts, as PEM. It takes
    /// a few seconds.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start(kdc: &Kdc, tls: Option<(&Tls, &str)>, settings: &Site) -> Result<Self, Error> {
        Self::launch(kdc, tls, None, settings)
    }

    /// What access tokens are for.
    pub const AUDIENCE: &'static str = "kafka";

    /// Starts one that lets every client in that has an access token of this server.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or it does not start.
    pub fn start_with_oauth(kdc: &Kdc, oauth2: &OAuth2) -> Result<Self, Error> {
        Self::launch(kdc, None, Some(oauth2), &Site::new())
    }

    fn launch(kdc: &Kdc, tls: Option<(&Tls, &str)>, oauth2: Option<&OAuth2>, settings: &Site) -> Result<Self, Error> {
        let place = Lasting::new("kafka-data")?;
        let [controller, plain, sasl, sasl_tls, mutual_tls, oauth] = lasting_ports()?;
        let ports = Ports { controller, plain, sasl, sasl_tls, mutual_tls, oauth };
        let mut more = Vec::new();
        if tls.is_some() {
            more.extend([("TLS", sasl_tls), ("MUTUAL", mutual_tls)]);
        }
        if oauth2.is_some() {
            more.push(("OAUTH", oauth));
        }
        let mut site = broker(kdc, &place.path().join("logs"), ports, &more)?;
        if let Some((tls, clients)) = tls {
            let trusted = place.path().join("clients.pem");
            fs::write(&trusted, clients).map_err(|error| Error::new(format!("{}: {error}", trusted.display())))?;
            site = site.and(&with_tls(tls, &trusted));
        }
        if let Some(oauth2) = oauth2 {
            site = site.and(&with_oauth(oauth2));
        }
        let site = site.and(settings);
        let mut jvm = node(kdc, place.path(), "server.properties", &site)?;
        if let Some(oauth2) = oauth2 {
            jvm = jvm.option(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", keys(oauth2)));
        }
        let jvm = ["256", "512"].iter().fold(jvm, |jvm, bits| {
            let (user, password) = (Self::USER, Self::PASSWORD);
            jvm.arg("--add-scram").arg(format!("SCRAM-SHA-{bits}=[name={user},password={password}]"))
        });
        let client = Client::new("kafka", kdc, &place.path().join("client"), &Site::new(), "unused.xml")?;
        let server = JavaServer::start("kafka", jvm, STARTED)?;
        Ok(Self { server, second: None, client, ports, place })
    }

    /// Starts a cluster of two: [`Kafka::start`], and a broker beside it with the same settings and no TLS.
    ///
    /// # Errors
    /// When Java or its jars are not installed, or one does not start.
    pub fn start_two(kdc: &Kdc, settings: &Site) -> Result<Self, Error> {
        let mut kafka = Self::start(kdc, None, settings)?;
        let [plain, sasl] = lasting_ports()?;
        let ports = Ports { plain, sasl, ..kafka.ports };
        let place = kafka.place.path();
        let site = broker(kdc, &place.join("logs-2"), ports, &[])?.and(settings);
        let listeners = [("INNER", ports.plain), ("CLIENT", ports.sasl)];
        let site =
            site.set("process.roles", "broker").set("node.id", "2").set("listeners", listen("127.0.0.1", &listeners));
        let server = JavaServer::start("kafka-2", node(kdc, place, "server-2.properties", &site)?, STARTED)?;
        kafka.second = Some((server, ports));
        Ok(kafka)
    }

    /// The second broker's process, and where it listens, if there is one.
    pub fn second(&mut self) -> Option<(&mut JavaServer, Ports)> {
        self.second.as_mut().map(|(server, ports)| (server, *ports))
    }

    /// The broker's process, to stop it and to start it again.
    pub fn server(&mut self) -> &mut JavaServer {
        &mut self.server
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The folder of its data, a place for what belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Has Kafka's own producer write a message to a topic at a port.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn produce(&self, port: u16, properties: &Path, topic: &str) -> Result<String, Error> {
        let (address, properties) = (format!("localhost:{port}"), properties.display().to_string());
        let arguments = ["--bootstrap-server", &address, "--command-config", &properties, "--topic", topic];
        let arguments = [&arguments[..], &["--max-messages", "1"]].concat();
        self.client.run("org.apache.kafka.tools.VerifiableProducer", &arguments, Proof::Nothing)
    }

    /// Has Kafka's own consumer read the first message of a topic at a port.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn consume(&self, port: u16, properties: &Path, topic: &str) -> Result<String, Error> {
        let (address, properties) = (format!("localhost:{port}"), properties.display().to_string());
        let arguments = ["--bootstrap-server", &address, "--command-config", &properties, "--topic", topic];
        let arguments =
            [&arguments[..], &["--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"]].concat();
        self.client.run("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, Proof::Nothing)
    }

    /// Runs another of Kafka's own programs.
    ///
    /// # Errors
    /// When it fails: with what it printed.
    pub fn run(&self, main: &str, arguments: &[&str]) -> Result<String, Error> {
        self.client.run(main, arguments, Proof::Nothing)
    }

    /// Writes a client's properties to a file, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn properties(&self, name: &str, properties: &Site) -> Result<PathBuf, Error> {
        let file = self.place.path().join(name);
        properties.write_properties(&file).map(|()| file)
    }
}

impl Site {
    /// Short lives of Kafka's delegation tokens, in seconds: until a renewal, and at all.
    #[must_use]
    pub fn kafka_token_lives(self, renewal: u32, longest: u32) -> Self {
        self.set("delegation.token.expiry.time.ms", u64::from(renewal) * 1000)
            .set("delegation.token.max.lifetime.ms", u64::from(longest) * 1000)
    }
}

/// A broker's JVM. Its storage is formatted before its first start.
fn node(kdc: &Kdc, place: &Path, properties: &str, site: &Site) -> Result<Jvm, Error> {
    let properties = place.join(properties);
    site.write_properties(&properties)?;
    let jvm = Jvm::new("kafka", "Broker", &kdc.krb5_conf(), place)
        .megabytes(512)
        .option("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .option("-Dorg.slf4j.simpleLogger.log.kafka.server=info")
        .arg(properties.display().to_string());
    Ok(CLUSTER.iter().fold(jvm, |jvm, argument| jvm.arg(*argument)))
}

fn listen(host: &str, listeners: &[(&str, u16)]) -> String {
    let each = listeners.iter().map(|(name, port)| format!("{name}://{host}:{port}"));
    each.collect::<Vec<_>>().join(",")
}

/// A broker's configuration; `more` are the listeners that not every one has.
fn broker(kdc: &Kdc, logs: &Path, ports: Ports, more: &[(&str, u16)]) -> Result<Site, Error> {
    let always = [("CONTROLLER", ports.controller), ("INNER", ports.plain), ("CLIENT", ports.sasl)];
    let listeners = [&always, more].concat();
    let login = format!(
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab=\"{}\" principal=\"{}\";",
        kdc.keytab("kafka/localhost")?.display(),
        kdc.full("kafka/localhost")
    );
    let protocols =
        "CONTROLLER:PLAINTEXT,INNER:PLAINTEXT,CLIENT:SASL_PLAINTEXT,TLS:SASL_SSL,MUTUAL:SSL,OAUTH:SASL_PLAINTEXT";
    let site = Site::new()
        .set("process.roles", "broker,controller")
        .set("node.id", "1")
        .set("controller.quorum.voters", format!("1@localhost:{}", ports.controller))
        .set("controller.listener.names", "CONTROLLER")
        .set("inter.broker.listener.name", "INNER")
        .set("listeners", listen("127.0.0.1", &listeners))
        .set("advertised.listeners", listen("localhost", listeners.get(1..).unwrap_or_default()))
        .set("listener.security.protocol.map", protocols)
        .set("sasl.enabled.mechanisms", MECHANISMS.join(","))
        .set("sasl.kerberos.service.name", "kafka")
        .set("delegation.token.secret.key", "the key of a broker for tests")
        // Every hour otherwise: until then, an expired token is answered with silence.
        .set("delegation.token.expiry.check.interval.ms", "1000")
        .set("log.dirs", logs.display())
        .set("offsets.topic.num.partitions", "1")
        .set("offsets.topic.replication.factor", "1")
        .set("group.initial.rebalance.delay.ms", "0");
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    Ok(["client", "tls"].into_iter().fold(site, |site, listener| {
        site.set(&format!("listener.name.{listener}.gssapi.sasl.jaas.config"), &login)
            .set(&format!("listener.name.{listener}.scram-sha-256.sasl.jaas.config"), scram)
            .set(&format!("listener.name.{listener}.scram-sha-512.sasl.jaas.config"), scram)
    }))
}

fn with_tls(tls: &Tls, clients: &Path) -> Site {
    Site::new()
        .set("ssl.keystore.type", "PKCS12")
        .set("ssl.keystore.location", tls.keystore().display())
        .set("ssl.keystore.password", Tls::PASSWORD)
        .set("listener.name.mutual.ssl.client.auth", "required")
        .set("listener.name.mutual.ssl.truststore.type", "PEM")
        .set("listener.name.mutual.ssl.truststore.location", clients.display())
}

/// Where the authorization server shows the keys that its tokens are signed with.
fn keys(oauth2: &OAuth2) -> String {
    format!("{}/jwks", oauth2.issuer())
}

fn with_oauth(oauth2: &OAuth2) -> Site {
    let package = "org.apache.kafka.common.security.oauthbearer";
    Site::new()
        .set("listener.name.oauth.sasl.enabled.mechanisms", "OAUTHBEARER")
        .set("listener.name.oauth.oauthbearer.sasl.jaas.config", format!("{package}.OAuthBearerLoginModule required;"))
        .set(
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class",
            format!("{package}.OAuthBearerValidatorCallbackHandler"),
        )
        .set("sasl.oauthbearer.jwks.endpoint.url", keys(oauth2))
        .set("sasl.oauthbearer.expected.issuer", oauth2.issuer())
        .set("sasl.oauthbearer.expected.audience", Kafka::AUDIENCE)
        // The server's tokens have no subject.
        .set("sasl.oauthbearer.sub.claim.name", "iss")
}
