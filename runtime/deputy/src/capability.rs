//! What a component's imports let it do, as `inspect` and `check` show it.

use deputy_core::grant::{
    Grant, HttpRule, Injection, InjectionEncoding, InjectionPoint, PathRules, SecretGrant, SecretOperation,
    SecretPurpose, SignatureAlgorithm, TcpRule,
};
use deputy_core::{SecretName, StateGrant};
use deputy_sandbox::{ComponentInfo, ComponentKind};

/// Something that a component can only do through an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    Environment,
    Files,
    Http,
    Input,
    Kerberos,
    Logs,
    Names,
    Outputs,
    Random,
    Secret(SecretOperation),
    State,
    Tcp,
    Time,
    Udp,
}

/// Whether a component has a capability that it imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Always,
    /// The operator decides.
    ByGrant,
    Never,
}

const SECRETS: &str = "delegation:tokens/secrets";
const KERBEROS: &str = "delegation:tokens/kerberos";
const STATE: &str = "delegation:tokens/state";

/// Interfaces of these packages that stand for no capability are harmless: types, streams, exit.
const KNOWN_PACKAGES: [&str; 8] = [
    "delegation:tokens/",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

impl Capability {
    /// The most interesting first.
    pub(crate) const ALL: [Self; 20] = [
        Self::Secret(SecretOperation::Reveal),
        Self::Secret(SecretOperation::Sigv4),
        Self::Secret(SecretOperation::Jwt),
        Self::Secret(SecretOperation::Scram),
        Self::Secret(SecretOperation::HmacSha256),
        Self::Secret(SecretOperation::Pbkdf2),
        Self::Secret(SecretOperation::Sign),
        Self::State,
        Self::Kerberos,
        Self::Http,
        Self::Tcp,
        Self::Names,
        Self::Udp,
        Self::Files,
        Self::Environment,
        Self::Input,
        Self::Outputs,
        Self::Logs,
        Self::Time,
        Self::Random,
    ];

    /// For programs.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Files => "files",
            Self::Http => "http",
            Self::Input => "stdin",
            Self::Kerberos => "kerberos",
            Self::Logs => "logs",
            Self::Names => "names",
            Self::Outputs => "outputs",
            Self::Random => "random",
            Self::Secret(operation) => operation.key(),
            Self::State => "state",
            Self::Tcp => "tcp",
            Self::Time => "time",
            Self::Udp => "udp",
        }
    }

    /// For people, after "can" or "cannot".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Environment => "read environment variables",
            Self::Files => "read or write files",
            Self::Http => "make HTTP requests",
            Self::Input => "read standard input",
            Self::Kerberos => "open Kerberos contexts with services",
            Self::Logs => "write log lines",
            Self::Names => "look up host names",
            Self::Outputs => "publish files for the workload",
            Self::Random => "read random numbers",
            Self::Secret(SecretOperation::HmacSha256) => "compute an HMAC-SHA256 of any data with a secret",
            Self::Secret(SecretOperation::Jwt) => "sign JSON Web Tokens with a secret",
            Self::Secret(SecretOperation::Pbkdf2) => "derive keys from a secret with PBKDF2",
            Self::Secret(SecretOperation::Reveal) => "read a secret's value",
            Self::Secret(SecretOperation::Scram) => "log in by SCRAM with a secret",
            Self::Secret(SecretOperation::Sign) => "sign any data with a secret",
            Self::Secret(SecretOperation::Sigv4) => "sign AWS requests (SigV4) with a secret",
            Self::State => "keep state from one call to the next",
            Self::Tcp => "open TCP connections",
            Self::Time => "read the time",
            Self::Udp => "send UDP datagrams",
        }
    }

    pub(crate) fn decision(self, kind: ComponentKind) -> Decision {
        match (self, kind) {
            (Self::Environment | Self::Files | Self::Input | Self::Udp, _) => Decision::Never,
            (Self::Http | Self::Kerberos | Self::Names | Self::Secret(_) | Self::State | Self::Tcp, kind) => match kind
            {
                ComponentKind::Provider => Decision::ByGrant,
                ComponentKind::Receiver => Decision::Never,
            },
            (Self::Logs | Self::Random | Self::Time, _) | (Self::Outputs, ComponentKind::Receiver) => Decision::Always,
            (Self::Outputs, ComponentKind::Provider) => Decision::Never,
        }
    }

    /// Whether the component imports it. What it does not import it can never do.
    pub(crate) fn is_imported(self, info: &ComponentInfo) -> bool {
        match self {
            Self::Environment => info.uses("wasi:cli/environment", "get-environment"),
            Self::Files => info.uses("wasi:filesystem/preopens", "get-directories"),
            Self::Http => info.uses("wasi:http/outgoing-handler", "handle"),
            Self::Input => info.uses("wasi:cli/stdin", "get-stdin"),
            Self::Kerberos => info.uses(KERBEROS, "[static]context.open"),
            Self::Logs => any_import(info, &["delegation:tokens/logging", "wasi:cli/stdout", "wasi:cli/stderr"]),
            Self::Names => info.uses("wasi:sockets/ip-name-lookup", "resolve-addresses"),
            Self::Outputs => info.uses("delegation:tokens/outputs", "put"),
            Self::Random => {
                any_import(info, &["wasi:random/random", "wasi:random/insecure", "wasi:random/insecure-seed"])
            }
            Self::Secret(SecretOperation::HmacSha256) => info.uses(SECRETS, "[method]secret.hmac-sha256"),
            Self::Secret(SecretOperation::Jwt) => info.uses(SECRETS, "[method]secret.jwt"),
            Self::Secret(SecretOperation::Pbkdf2) => info.uses(SECRETS, "[method]secret.pbkdf2-hmac-sha256"),
            Self::Secret(SecretOperation::Reveal) => info.uses("delegation:tokens/secret-values", "reveal"),
            Self::Secret(SecretOperation::Scram) => info.uses("delegation:tokens/scram", "[static]login.begin"),
            Self::Secret(SecretOperation::Sign) => info.uses(SECRETS, "[method]secret.sign"),
            Self::Secret(SecretOperation::Sigv4) => info.uses(SECRETS, "[method]secret.sigv4"),
            Self::State => info.uses(STATE, "load") || info.uses(STATE, "save"),
            Self::Tcp => info.uses("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
            Self::Time => any_import(info, &["wasi:clocks/wall-clock", "wasi:clocks/monotonic-clock"]),
            Self::Udp => info.uses("wasi:sockets/udp-create-socket", "create-udp-socket"),
        }
    }

    /// What of it is granted, one text for each rule or secret.
    pub(crate) fn granted(self, grant: &Grant) -> Vec<String> {
        match self {
            Self::Http => grant.http.iter().map(http_rule).collect(),
            Self::Kerberos => grant.kerberos.iter().flat_map(|grant| &grant.targets).map(ToString::to_string).collect(),
            Self::Names => grant.tcp.iter().map(|rule| rule.host.to_string()).collect(),
            Self::Tcp => grant.tcp.iter().map(ToString::to_string).collect(),
            Self::State => grant.state.iter().map(state_grant).collect(),
            Self::Secret(operation) => secrets(operation, grant).map(|(name, _)| name.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// The same with everything that limits it, for a person who decides about it. Grants that a component can ask for have
    /// different texts if they are different.
    pub(crate) fn granted_with_limits(self, grant: &Grant) -> Vec<String> {
        match self {
            Self::Secret(operation) => {
                secrets(operation, grant).map(|(name, secret)| secret_use(name, operation, secret)).collect()
            }
            Self::Tcp => grant.tcp.iter().map(tcp_rule).collect(),
            _ => self.granted(grant),
        }
    }
}

/// The secrets that are granted for this operation.
fn secrets(operation: SecretOperation, grant: &Grant) -> impl Iterator<Item = (&SecretName, &SecretGrant)> {
    grant.secrets.iter().filter(move |(_, secret)| match operation {
        SecretOperation::Reveal => secret.reveals(),
        _ => secret.purpose().map(SecretPurpose::operation) == Some(operation),
    })
}

/// `aws-key, services = ["sts"], regions = ["eu-west-1"]`: the limits as the configuration has them.
fn secret_use(name: &SecretName, operation: SecretOperation, secret: &SecretGrant) -> String {
    let mut parts = vec![name.to_string()];
    match secret.purpose() {
        // The limits are those of the other operation.
        _ if operation == SecretOperation::Reveal => {}
        None | Some(SecretPurpose::HmacSha256 | SecretPurpose::Pbkdf2) => {}
        Some(SecretPurpose::Jwt(jwt)) => {
            parts.push(limit("algorithms", jwt.algorithms().map(SignatureAlgorithm::name)));
            parts.push(limit("issuers", jwt.issuers()));
            parts.push(limit("audiences", jwt.audiences()));
            parts.push(format!("max-lifetime = \"{}\"", jwt.max_lifetime()));
        }
        Some(SecretPurpose::Scram(scram)) => parts.push(format!("username = {:?}", scram.username())),
        Some(SecretPurpose::Sign(algorithms)) => {
            parts.push(limit("algorithms", algorithms.iter().copied().map(SignatureAlgorithm::name)));
        }
        Some(SecretPurpose::Sigv4(sigv4)) => {
            parts.push(limit("services", sigv4.services()));
            parts.push(limit("regions", sigv4.regions()));
        }
    }
    parts.join(", ")
}

/// Quoted, so that no text of a component looks like two.
fn limit<'t>(key: &str, texts: impl Iterator<Item = &'t str>) -> String {
    format!("{key} = {:?}", texts.collect::<Vec<_>>())
}

fn tcp_rule(rule: &TcpRule) -> String {
    match &rule.tls {
        Some(_) => format!("{rule}, with TLS"),
        None => format!("{rule}, without TLS of the host"),
    }
}

fn state_grant(grant: &StateGrant) -> String {
    match grant.inherit {
        Some(identity) => format!("its own, and that of {identity}"),
        None => "its own".to_owned(),
    }
}

/// `POST https://sts.example /v1, adds token as header authorization`, or `GET https://nn1.example, adds a Kerberos token for
/// HTTP/nn1.example@R`.
fn http_rule(rule: &HttpRule) -> String {
    let methods: Vec<_> = rule.methods.iter().map(ToString::to_string).collect();
    let paths: Vec<_> = match &rule.paths {
        PathRules::Any => Vec::new(),
        PathRules::Prefixes(prefixes) => prefixes.iter().map(ToString::to_string).collect(),
    };
    let parts = [methods.join("|"), rule.pattern.to_string(), paths.join("|")];
    let request = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let added = rule.send.inject.iter().map(injection);
    let negotiated = rule.send.negotiate.iter().map(|target| format!("adds a Kerberos token for {target}"));
    [request].into_iter().chain(added).chain(negotiated).collect::<Vec<_>>().join(", ")
}

fn injection(injection: &Injection) -> String {
    let secret = &injection.secret;
    let place = match &injection.place {
        InjectionPoint::Field(name) => format!("adds {secret} as form field {name}"),
        InjectionPoint::Header(name) => format!("adds {secret} as header {name}"),
    };
    match &injection.form {
        InjectionEncoding::Basic { user } => format!("{place} (HTTP Basic, user {user:?})"),
        InjectionEncoding::OauthBasic { client } => format!("{place} (HTTP Basic of OAuth 2.0, client {client:?})"),
        InjectionEncoding::Plain { prefix } if prefix.is_empty() => place,
        InjectionEncoding::Plain { prefix } => format!("{place} (behind {prefix:?})"),
    }
}

fn any_import(info: &ComponentInfo, interfaces: &[&str]) -> bool {
    interfaces.iter().any(|interface| info.import(interface).is_some())
}

/// Imported interfaces of unknown packages.
pub(crate) fn unknown_imports(info: &ComponentInfo) -> impl Iterator<Item = &str> {
    let interfaces = info.imports.iter().map(|import| import.interface.as_str());
    interfaces.filter(|interface| !KNOWN_PACKAGES.iter().any(|package| interface.starts_with(package)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::grant::{JwtGrant, ScramGrant, Sigv4Grant, TlsOptions};
    use deputy_core::{DescribedProperty, DescribedWant, Digest, GrantRequest, OperatorFacts, Span};
    use deputy_sandbox::Import;

    fn importing(imports: &[(&str, &[&str])]) -> ComponentInfo {
        let import = |(interface, functions): &(&str, &[&str])| Import {
            interface: (*interface).to_owned(),
            functions: functions.iter().map(|function| (*function).to_owned()).collect(),
        };
        ComponentInfo {
            path: "a.wasm".into(),
            contract: "0.2.0".into(),
            digest: Digest::new([0; 32]),
            size: 1,
            kind: ComponentKind::Provider,
            renews: false,
            revokes: false,
            describes: false,
            imports: imports.iter().map(import).collect(),
            missing_imports: Vec::new(),
            other_exports: Vec::new(),
        }
    }

    #[test]
    fn capability_needs_its_import() {
        let nothing = importing(&[]);
        for capability in Capability::ALL {
            assert!(!capability.is_imported(&nothing), "{capability:?}");
        }
        // An interface that is imported for its types alone.
        let types = importing(&[("delegation:tokens/secrets@0.2.0", &[]), ("wasi:filesystem/types@0.2.12", &["x"])]);
        assert!(Capability::ALL.iter().all(|capability| !capability.is_imported(&types)));
    }

    #[test]
    fn capability_of_each_secret_operation_is_its_own() {
        let signs = importing(&[("delegation:tokens/secrets@0.2.0", &["open", "[method]secret.sigv4"])]);
        let can: Vec<_> = Capability::ALL.iter().filter(|c| c.is_imported(&signs)).map(|c| c.key()).collect();
        assert_eq!(can, ["sigv4"]);
        let reads = importing(&[("delegation:tokens/secret-values@0.2.0", &["reveal"])]);
        assert!(Capability::Secret(SecretOperation::Reveal).is_imported(&reads));
    }

    fn texts(of: &SecretGrant) -> Vec<String> {
        let secrets = [("key".parse().unwrap(), of.clone())].into_iter().collect();
        let grant = Grant { secrets, ..Grant::default() };
        Capability::ALL.into_iter().flat_map(|capability| capability.granted_with_limits(&grant)).collect()
    }

    #[test]
    fn capability_with_limits_shows_what_a_secret_may_be_used_for() {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let sigv4 = |services: &[&str]| {
            let grant = Sigv4Grant::new(owned(services), owned(&["eu-west-1"])).unwrap();
            texts(&SecretGrant::new(Some(SecretPurpose::Sigv4(grant)), false))
        };
        assert_eq!(sigv4(&["sts"]), ["key, services = [\"sts\"], regions = [\"eu-west-1\"]"]);
        assert_ne!(sigv4(&["sts"]), sigv4(&["sts", "iam"]));
        // One odd name looks like no two.
        assert_ne!(sigv4(&["sts", "iam"]), sigv4(&["iam\", \"sts"]));
        let jwt = |audience: &str, lifetime: Span| {
            let algorithms = vec![SignatureAlgorithm::Rs256];
            let grant = JwtGrant::new(algorithms, owned(&["me"]), owned(&[audience]), lifetime).unwrap();
            texts(&SecretGrant::new(Some(SecretPurpose::Jwt(grant)), false))
        };
        assert_ne!(jwt("https://idp", Span::secs(60)), jwt("https://other", Span::secs(60)));
        assert_ne!(jwt("https://idp", Span::secs(60)), jwt("https://idp", Span::secs(600)));
        let scram = |user: &str| {
            let grant = ScramGrant::new(user.to_owned()).unwrap();
            texts(&SecretGrant::new(Some(SecretPurpose::Scram(grant)), true))
        };
        assert_eq!(scram("alice"), ["key", "key, username = \"alice\""]);
        let sign = |algorithm| texts(&SecretGrant::new(Some(SecretPurpose::Sign(vec![algorithm])), false));
        assert_ne!(sign(SignatureAlgorithm::Rs256), sign(SignatureAlgorithm::EdDsa));
    }

    #[test]
    fn capability_with_limits_shows_tls_and_the_form_of_a_secret() {
        let tcp = |tls| {
            let rule: TcpRule = "b1.example:9093".parse().unwrap();
            let grant = Grant { tcp: vec![TcpRule { tls, ..rule }], ..Grant::default() };
            Capability::Tcp.granted_with_limits(&grant)
        };
        assert_ne!(tcp(None), tcp(Some(TlsOptions::default())));
        let http = |form: &[(&str, &str)]| {
            let parts = [("url", "https://a.example"), ("secret", "key"), ("header", "authorization")];
            let properties = parts
                .iter()
                .chain(form)
                .map(|(name, value)| DescribedProperty { name: (*name).to_owned(), value: (*value).to_owned() });
            let want = DescribedWant { kind: "http".to_owned(), properties: properties.collect() };
            let request = GrantRequest::read(&[want], OperatorFacts::default()).unwrap();
            Capability::Http.granted_with_limits(&request.grant).concat()
        };
        let forms = [
            http(&[]),
            http(&[("prefix", "Bearer ")]),
            http(&[("basic", "alice")]),
            http(&[("basic", "bob")]),
            http(&[("oauth2-basic", "alice")]),
        ];
        for (index, form) in forms.iter().enumerate() {
            assert!(!forms.iter().skip(index + 1).any(|other| other == form), "{form}");
        }
    }

    #[test]
    fn capability_decisions_depend_on_the_kind_of_component() {
        let of =
            |kind, decision| Capability::ALL.into_iter().filter(|c| c.decision(kind) == decision).collect::<Vec<_>>();
        assert!(of(ComponentKind::Receiver, Decision::ByGrant).is_empty());
        assert!(of(ComponentKind::Receiver, Decision::Always).contains(&Capability::Outputs));
        assert!(of(ComponentKind::Provider, Decision::Never).contains(&Capability::Outputs));
        assert!(of(ComponentKind::Provider, Decision::ByGrant).contains(&Capability::Http));
    }

    #[test]
    fn capability_keys_and_words_are_unique() {
        for (index, capability) in Capability::ALL.iter().enumerate() {
            for other in Capability::ALL.iter().skip(index + 1) {
                assert_ne!(capability.key(), other.key());
                assert_ne!(capability.words(), other.words());
            }
        }
    }

    #[test]
    fn capability_of_an_unknown_package_is_reported() {
        let info = importing(&[("wasi:io/streams@0.2.12", &[]), ("evil:gpu/mine@1.0.0", &["go"])]);
        assert_eq!(unknown_imports(&info).collect::<Vec<_>>(), ["evil:gpu/mine@1.0.0"]);
    }
}
