//! What an import means, in plain words: the one list that `inspect` and `check` read a component's imports by.

use deputy_core::grant::{Grant, HttpRule, PathRules, SecretOperation, SecretPurpose};
use deputy_sandbox::{ComponentInfo, ComponentKind};

/// Something that a component can only do through an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    Environment,
    Files,
    Http,
    Input,
    Logs,
    Names,
    Outputs,
    Random,
    Secret(SecretOperation),
    Tcp,
    Time,
    Udp,
}

/// Who decides about a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Everybody has it.
    Always,
    /// The operator, by a grant.
    Granted,
    /// Nobody has it, whatever they import.
    Never,
}

const SECRETS: &str = "delegation:tokens/secrets";

/// Packages of which an interface that is not named here is no capability: types, streams, ways to end.
const KNOWN: [&str; 8] = [
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
    /// All of them, the most telling first.
    pub(crate) const ALL: [Self; 17] = [
        Self::Secret(SecretOperation::Reveal),
        Self::Secret(SecretOperation::Sigv4),
        Self::Secret(SecretOperation::Jwt),
        Self::Secret(SecretOperation::HmacSha256),
        Self::Secret(SecretOperation::Pbkdf2),
        Self::Secret(SecretOperation::Sign),
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
            Self::Logs => "logs",
            Self::Names => "names",
            Self::Outputs => "outputs",
            Self::Random => "random",
            Self::Secret(operation) => operation.key(),
            Self::Tcp => "tcp",
            Self::Time => "time",
            Self::Udp => "udp",
        }
    }

    /// For people, behind "it can" or "it can never".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Environment => "read environment variables",
            Self::Files => "read or write files",
            Self::Http => "make HTTP requests",
            Self::Input => "read standard input",
            Self::Logs => "write log lines",
            Self::Names => "look up host names",
            Self::Outputs => "put files in front of the workload",
            Self::Random => "take random numbers",
            Self::Secret(SecretOperation::HmacSha256) => "take a bare HMAC-SHA256 with a secret",
            Self::Secret(SecretOperation::Jwt) => "sign JSON Web Tokens with a secret",
            Self::Secret(SecretOperation::Pbkdf2) => "take a bare PBKDF2 of a secret",
            Self::Secret(SecretOperation::Reveal) => "read a secret's value",
            Self::Secret(SecretOperation::Sign) => "sign anything with a secret",
            Self::Secret(SecretOperation::Sigv4) => "sign requests of AWS (SigV4) with a secret",
            Self::Tcp => "open a socket",
            Self::Time => "tell the time",
            Self::Udp => "send UDP datagrams",
        }
    }

    /// Who decides about it for a component of this kind.
    pub(crate) fn leave(self, kind: ComponentKind) -> Permission {
        match (self, kind) {
            (Self::Environment | Self::Files | Self::Input | Self::Udp, _) => Permission::Never,
            (Self::Http | Self::Names | Self::Secret(_) | Self::Tcp, ComponentKind::Provider) => Permission::Granted,
            (Self::Http | Self::Names | Self::Secret(_) | Self::Tcp, ComponentKind::Receiver) => Permission::Never,
            (Self::Logs | Self::Random | Self::Time, _) | (Self::Outputs, ComponentKind::Receiver) => {
                Permission::Always
            }
            (Self::Outputs, ComponentKind::Provider) => Permission::Never,
        }
    }

    /// Whether a component with these imports can ask for it. What it does not import it can never do.
    pub(crate) fn imported(self, inspection: &ComponentInfo) -> bool {
        let any = |interfaces: &[&str]| interfaces.iter().any(|interface| inspection.import(interface).is_some());
        match self {
            Self::Environment => inspection.uses("wasi:cli/environment", "get-environment"),
            Self::Files => inspection.uses("wasi:filesystem/preopens", "get-directories"),
            Self::Http => inspection.uses("wasi:http/outgoing-handler", "handle"),
            Self::Input => inspection.uses("wasi:cli/stdin", "get-stdin"),
            Self::Logs => any(&["delegation:tokens/logging", "wasi:cli/stdout", "wasi:cli/stderr"]),
            Self::Names => inspection.uses("wasi:sockets/ip-name-lookup", "resolve-addresses"),
            Self::Outputs => inspection.uses("delegation:tokens/outputs", "put"),
            Self::Random => any(&["wasi:random/random", "wasi:random/insecure", "wasi:random/insecure-seed"]),
            Self::Secret(SecretOperation::HmacSha256) => inspection.uses(SECRETS, "[method]secret.hmac-sha256"),
            Self::Secret(SecretOperation::Jwt) => inspection.uses(SECRETS, "[method]secret.jwt"),
            Self::Secret(SecretOperation::Pbkdf2) => inspection.uses(SECRETS, "[method]secret.pbkdf2-hmac-sha256"),
            Self::Secret(SecretOperation::Reveal) => inspection.uses("delegation:tokens/secret-values", "reveal"),
            Self::Secret(SecretOperation::Sign) => inspection.uses(SECRETS, "[method]secret.sign"),
            Self::Secret(SecretOperation::Sigv4) => inspection.uses(SECRETS, "[method]secret.sigv4"),
            Self::Tcp => inspection.uses("wasi:sockets/tcp-create-socket", "create-tcp-socket"),
            Self::Time => any(&["wasi:clocks/wall-clock", "wasi:clocks/monotonic-clock"]),
            Self::Udp => inspection.uses("wasi:sockets/udp-create-socket", "create-udp-socket"),
        }
    }

    /// What the operator granted of it, one text for each rule or secret.
    pub(crate) fn granted(self, grant: &Grant) -> Vec<String> {
        match self {
            Self::Http => grant.http.iter().map(request).collect(),
            Self::Names => grant.tcp.iter().map(|rule| rule.host.to_string()).collect(),
            Self::Tcp => grant.tcp.iter().map(ToString::to_string).collect(),
            Self::Secret(operation) => (grant.secrets.iter())
                .filter(|(_, secret)| match operation {
                    SecretOperation::Reveal => secret.reveals(),
                    _ => secret.purpose().map(SecretPurpose::operation) == Some(operation),
                })
                .map(|(name, _)| name.to_string())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A rule for requests in one line: `POST https://sts.example /v1`.
fn request(rule: &HttpRule) -> String {
    let methods: Vec<_> = rule.methods.iter().map(ToString::to_string).collect();
    let paths: Vec<_> = match &rule.paths {
        PathRules::Any => Vec::new(),
        PathRules::Prefixes(prefixes) => prefixes.iter().map(ToString::to_string).collect(),
    };
    let parts = [methods.join("|"), rule.pattern.to_string(), paths.join("|")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Imported interfaces of packages that nobody here knows.
pub(crate) fn strange(inspection: &ComponentInfo) -> impl Iterator<Item = &str> {
    let interfaces = inspection.imports.iter().map(|import| import.interface.as_str());
    interfaces.filter(|interface| !KNOWN.iter().any(|package| interface.starts_with(package)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::Digest;
    use deputy_sandbox::Import;

    fn importing(imports: &[(&str, &[&str])]) -> ComponentInfo {
        let import = |(interface, functions): &(&str, &[&str])| Import {
            interface: (*interface).to_owned(),
            functions: functions.iter().map(|function| (*function).to_owned()).collect(),
        };
        ComponentInfo {
            digest: Digest::new([0; 32]),
            size: 1,
            kind: ComponentKind::Provider,
            renews: false,
            revokes: false,
            imports: imports.iter().map(import).collect(),
        }
    }

    #[test]
    fn what_is_not_imported_can_never_be_done() {
        let nothing = importing(&[]);
        for capability in Capability::ALL {
            assert!(!capability.imported(&nothing), "{capability:?}");
        }
        // An interface that is imported for its types alone.
        let types = importing(&[("delegation:tokens/secrets@0.1.0", &[]), ("wasi:filesystem/types@0.2.12", &["x"])]);
        assert!(Capability::ALL.iter().all(|capability| !capability.imported(&types)));
    }

    #[test]
    fn each_operation_of_a_secret_is_a_capability_of_its_own() {
        let signs = importing(&[("delegation:tokens/secrets@0.1.0", &["open", "[method]secret.sigv4"])]);
        let can: Vec<_> = Capability::ALL.iter().filter(|c| c.imported(&signs)).map(|c| c.key()).collect();
        assert_eq!(can, ["sigv4"]);
        let reads = importing(&[("delegation:tokens/secret-values@0.1.0", &["reveal"])]);
        assert!(Capability::Secret(SecretOperation::Reveal).imported(&reads));
    }

    #[test]
    fn a_receiver_has_files_and_nothing_that_is_granted_and_a_provider_the_other_way_round() {
        let of = |kind, leave| Capability::ALL.into_iter().filter(|c| c.leave(kind) == leave).collect::<Vec<_>>();
        assert!(of(ComponentKind::Receiver, Permission::Granted).is_empty());
        assert!(of(ComponentKind::Receiver, Permission::Always).contains(&Capability::Outputs));
        assert!(of(ComponentKind::Provider, Permission::Never).contains(&Capability::Outputs));
        assert!(of(ComponentKind::Provider, Permission::Granted).contains(&Capability::Http));
    }

    #[test]
    fn keys_and_words_differ() {
        for (index, capability) in Capability::ALL.iter().enumerate() {
            for other in Capability::ALL.iter().skip(index + 1) {
                assert_ne!(capability.key(), other.key());
                assert_ne!(capability.words(), other.words());
            }
        }
    }

    #[test]
    fn an_import_of_another_package_is_strange() {
        let inspection = importing(&[("wasi:io/streams@0.2.12", &[]), ("evil:gpu/mine@1.0.0", &["go"])]);
        assert_eq!(strange(&inspection).collect::<Vec<_>>(), ["evil:gpu/mine@1.0.0"]);
    }
}
