//! What a component wants to be granted, read into the types of a grant.
//!
//! Reading grants nothing: an operator looks at the result, and the configuration is read again from what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::{DescribedProperty, all, first};
use crate::grant::{
    Grant, HttpRule, Injection, InjectionEncoding, InjectionPoint, JwtGrant, KerberosTarget, PathRules, RequestOptions,
    ScramGrant, SecretGrant, SecretPurpose, Sigv4Grant, TcpRule, TlsOptions,
};
use crate::{SecretName, Span, StateGrant};

/// The longest life of a token whose request does not name one.
const JWT_LIFETIME: Span = Span::secs(600);

/// Something that a component wants, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedWant {
    /// `http`, `tcp`, `secret`, `kerberos`, `state`, or what this version does not know.
    pub kind: String,
    /// The parts, in the component's words.
    pub properties: Vec<DescribedProperty>,
}

/// What only the operator knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatorFacts<'o> {
    /// The realm of the login, for principals that are wanted without one.
    pub realm: Option<&'o str>,
    /// The user of a SCRAM login, if the component does not know it.
    pub username: Option<&'o str>,
}

/// Something that only the operator knows, and did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenQuestion {
    /// Which login: its realm stands in the principals of services.
    Login,
    /// The user of a SCRAM login.
    Username,
}

/// What stands for the answer to an open question.
const NO_REALM: &str = "REALM";
const NO_USERNAME: &str = "USERNAME";

/// What a component wants, as a grant would have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantRequest {
    /// Rules without networks, and purposes of secrets. It has no login: that is the operator's choice.
    pub grant: Grant,
    /// The services of Kerberos for which the component wants contexts.
    pub targets: Vec<KerberosTarget>,
    /// Whether it wants a login, if only for requests or for the principal's name.
    pub wants_login: bool,
    /// What the grant has a placeholder for.
    pub open: BTreeSet<OpenQuestion>,
    /// The secrets, with what is said of them.
    pub secrets: BTreeMap<SecretName, RequestedSecret>,
    /// Why, in the component's words, once each.
    pub reasons: Vec<String>,
    /// Kinds that this version does not know.
    pub unknown: Vec<String>,
}

/// What a component says of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestedSecret {
    /// What the value looks like.
    pub format: Option<String>,
    /// What for.
    pub reason: Option<String>,
}

/// A want that no grant can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A part that every want of the kind has.
    #[error("it wants `{kind}` without saying which `{part}`")]
    Missing {
        /// The kind of want.
        kind: String,
        /// The part.
        part: &'static str,
    },
    /// A part that is not what the configuration takes.
    #[error("it wants {kind} with {part} {value:?}: {problem}")]
    Part {
        /// The kind of want.
        kind: String,
        /// The part.
        part: &'static str,
        /// In the component's words.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two uses of one secret.
    #[error("it wants two uses of the secret `{0}`, and a secret serves one purpose")]
    TwoUses(SecretName),
}

impl GrantRequest {
    /// Reads what a component wants.
    ///
    /// # Errors
    /// If a want is not one that the configuration could have.
    pub fn read(wants: &[DescribedWant], facts: OperatorFacts<'_>) -> Result<Self, RequestError> {
        let mut request = Self::default();
        for want in wants {
            request.add(want, facts)?;
        }
        Ok(request)
    }

    fn add(&mut self, want: &DescribedWant, facts: OperatorFacts<'_>) -> Result<(), RequestError> {
        match want.kind.as_str() {
            "http" => self.add_http(want, facts)?,
            "tcp" => self.add_tcp(want)?,
            "secret" => self.add_secret(want, facts)?,
            "kerberos" => {
                self.need_login(facts);
                for target in want.all("target") {
                    self.targets.push(want.target("target", target, facts)?);
                }
            }
            "state" => self.grant.state = Some(StateGrant::default()),
            unknown if self.unknown.iter().any(|known| known == unknown) => {}
            unknown => self.unknown.push(unknown.to_owned()),
        }
        if let Some(reason) = want.first("reason").filter(|reason| !self.reasons.iter().any(|known| known == reason)) {
            self.reasons.push(reason.to_owned());
        }
        Ok(())
    }

    fn need_login(&mut self, facts: OperatorFacts<'_>) {
        self.wants_login = true;
        if facts.realm.is_none() {
            self.open.insert(OpenQuestion::Login);
        }
    }

    fn add_http(&mut self, want: &DescribedWant, facts: OperatorFacts<'_>) -> Result<(), RequestError> {
        let pattern = want.part("url", want.needed("url")?)?;
        let methods = want.all("method").map(|method| want.part("method", method)).collect::<Result<_, _>>()?;
        let paths: Vec<_> = want.all("path").map(|path| want.part("path", path)).collect::<Result<_, _>>()?;
        let negotiate = want.first("negotiate").map(|text| want.target("negotiate", text, facts)).transpose()?;
        if negotiate.is_some() {
            self.need_login(facts);
        }
        let inject: Vec<Injection> = want.injection()?.into_iter().collect();
        for injection in &inject {
            self.secret(&injection.secret, want);
        }
        let rule = HttpRule {
            pattern,
            methods,
            paths: if paths.is_empty() { PathRules::Any } else { PathRules::Prefixes(paths) },
            overrides: Vec::new(),
            networks: Vec::new(),
            send: RequestOptions { inject, negotiate, ..RequestOptions::default() },
        };
        // Two wants of the same are one rule.
        if !self.grant.http.contains(&rule) {
            self.grant.http.push(rule);
        }
        Ok(())
    }

    fn add_tcp(&mut self, want: &DescribedWant) -> Result<(), RequestError> {
        let rule: TcpRule = want.part("host", want.needed("host")?)?;
        let tls = (want.first("tls") == Some("yes")).then(TlsOptions::default);
        let rule = TcpRule { tls, ..rule };
        if !self.grant.tcp.contains(&rule) {
            self.grant.tcp.push(rule);
        }
        Ok(())
    }

    fn add_secret(&mut self, want: &DescribedWant, facts: OperatorFacts<'_>) -> Result<(), RequestError> {
        let name: SecretName = want.part("name", want.needed("name")?)?;
        let purpose = want.purpose(facts)?;
        if want.first("use") == Some("scram") && want.first("username").or(facts.username).is_none() {
            self.open.insert(OpenQuestion::Username);
        }
        let reveals = want.first("use") == Some("reveal");
        let old = self.grant.secrets.get(&name).cloned().unwrap_or_default();
        if old.purpose().is_some() && purpose.is_some() {
            return Err(RequestError::TwoUses(name));
        }
        self.secret(&name, want);
        let grant = SecretGrant::new(purpose.or_else(|| old.purpose().cloned()), reveals || old.reveals());
        self.grant.secrets.insert(name, grant);
        Ok(())
    }

    fn secret(&mut self, name: &SecretName, want: &DescribedWant) {
        self.grant.secrets.entry(name.clone()).or_default();
        let known = self.secrets.entry(name.clone()).or_default();
        known.format = known.format.take().or_else(|| want.first("format").map(str::to_owned));
        known.reason = known.reason.take().or_else(|| want.first("reason").map(str::to_owned));
    }
}

impl DescribedWant {
    /// The first value of a part.
    pub fn first(&self, part: &str) -> Option<&str> {
        first(&self.properties, part)
    }

    fn all(&self, part: &str) -> impl Iterator<Item = &str> {
        all(&self.properties, part)
    }

    fn needed(&self, part: &'static str) -> Result<&str, RequestError> {
        self.first(part).ok_or_else(|| RequestError::Missing { kind: self.kind.clone(), part })
    }

    fn part<T: std::str::FromStr<Err: Display>>(&self, part: &'static str, value: &str) -> Result<T, RequestError> {
        value.parse().map_err(|error: T::Err| self.wrong(part, value, &error))
    }

    fn wrong(&self, part: &'static str, value: &str, problem: &impl Display) -> RequestError {
        let value = value.chars().take(100).collect();
        RequestError::Part { kind: self.kind.clone(), part, value, problem: problem.to_string() }
    }

    /// The secret that the host shall add to a request.
    fn injection(&self) -> Result<Option<Injection>, RequestError> {
        let Some(secret) = self.first("secret") else { return Ok(None) };
        let secret = self.part("secret", secret)?;
        let place = match (self.first("header"), self.first("field")) {
            (Some(header), _) => InjectionPoint::Header(header.to_ascii_lowercase()),
            (None, Some(field)) => InjectionPoint::Field(field.to_owned()),
            (None, None) => return Err(RequestError::Missing { kind: self.kind.clone(), part: "header" }),
        };
        let form = match (self.first("basic"), self.first("oauth2-basic")) {
            (Some(user), _) => InjectionEncoding::Basic { user: user.to_owned() },
            (None, Some(client)) => InjectionEncoding::OauthBasic { client: client.to_owned() },
            (None, None) => InjectionEncoding::Plain { prefix: self.first("prefix").unwrap_or_default().to_owned() },
        };
        Ok(Some(Injection { place, secret, form }))
    }

    /// The principal of a service, in the login's realm if it has none.
    fn target(&self, part: &'static str, text: &str, facts: OperatorFacts<'_>) -> Result<KerberosTarget, RequestError> {
        let realm = facts.realm.unwrap_or(NO_REALM);
        let full = if text.contains('@') { text.to_owned() } else { format!("{text}@{realm}") };
        full.parse().map_err(|error| self.wrong(part, text, &error))
    }

    /// What a secret shall be used for by the component; none if the host alone uses it, or if it is read.
    fn purpose(&self, facts: OperatorFacts<'_>) -> Result<Option<SecretPurpose>, RequestError> {
        let texts = |part: &str| self.all(part).map(str::to_owned).collect::<Vec<String>>();
        let Some(operation) = self.first("use") else { return Ok(None) };
        let purpose = match operation {
            "reveal" => return Ok(None),
            "hmac-sha256" => Ok(SecretPurpose::HmacSha256),
            "pbkdf2" => Ok(SecretPurpose::Pbkdf2),
            "sign" => {
                // An empty list is none that the configuration takes.
                self.needed("algorithm")?;
                return Ok(Some(SecretPurpose::Sign(self.algorithms()?)));
            }
            "sigv4" => Sigv4Grant::new(texts("service"), texts("region")).map(SecretPurpose::Sigv4),
            "scram" => {
                let username = self.first("username").or(facts.username).unwrap_or(NO_USERNAME);
                ScramGrant::new(username.to_owned()).map(SecretPurpose::Scram)
            }
            "jwt" => {
                self.needed("algorithm")?;
                self.needed("issuer")?;
                let lifetime = self.first("max-lifetime").map(|text| self.part("max-lifetime", text)).transpose()?;
                let lifetime = lifetime.unwrap_or(JWT_LIFETIME);
                let (issuers, audiences) = (texts("issuer"), texts("audience"));
                JwtGrant::new(self.algorithms()?, issuers, audiences, lifetime).map(SecretPurpose::Jwt)
            }
            other => return Err(self.wrong("use", other, &"there is no such use of a secret here")),
        };
        purpose.map(Some).map_err(|error| self.wrong("use", operation, &error))
    }

    fn algorithms<T: std::str::FromStr<Err: Display>>(&self) -> Result<Vec<T>, RequestError> {
        self.all("algorithm").map(|name| self.part("algorithm", name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Widening;

    fn want(kind: &str, properties: &[(&str, &str)]) -> DescribedWant {
        let property =
            |(name, value): &(&str, &str)| DescribedProperty { name: (*name).to_owned(), value: (*value).to_owned() };
        DescribedWant { kind: kind.to_owned(), properties: properties.iter().map(property).collect() }
    }

    fn read(wants: &[DescribedWant]) -> Result<GrantRequest, RequestError> {
        GrantRequest::read(wants, OperatorFacts::default())
    }

    #[test]
    fn request_is_read_into_the_types_of_a_grant() {
        let key = want("secret", &[("name", "aws-key"), ("use", "sigv4"), ("service", "sts"), ("region", "eu-west-1")]);
        let http =
            want("http", &[("url", "https://sts.example"), ("path", "/"), ("method", "POST"), ("reason", "asks")]);
        let tcp = want("tcp", &[("host", "b1.example:9093"), ("tls", "yes")]);
        let later = want("quantum", &[("entangle", "b1")]);
        let request = read(&[key, http.clone(), tcp.clone(), later.clone(), later, http, tcp]).unwrap();
        assert_eq!((request.grant.http.len(), request.grant.tcp.len()), (1, 1));
        assert_eq!(request.grant.tcp.first().map(ToString::to_string).as_deref(), Some("b1.example:9093"));
        assert!(request.grant.tcp.iter().all(|rule| rule.tls.is_some()));
        assert_eq!(request.grant.secrets.len(), 1);
        assert_eq!(
            (request.reasons.as_slice(), request.unknown.as_slice()),
            (&["asks".to_owned()][..], &["quantum".to_owned()][..])
        );
        assert!(request.grant.widenings(&Grant::default()).is_empty());
    }

    #[test]
    fn request_that_reaches_far_is_a_widening() {
        let wildcard = want("http", &[("url", "https://*.example.com")]);
        let reveal = want("secret", &[("name", "k"), ("use", "reveal")]);
        let found = read(&[wildcard, reveal]).unwrap().grant.widenings(&Grant::default());
        assert!(matches!(found.as_slice(), [Widening::Wildcard { .. }, Widening::Reveal { .. }]), "{found:?}");
    }

    #[test]
    fn request_to_sign_names_its_algorithms() {
        let missing = |kind: &str, parts: &[(&str, &str)]| {
            let all = [&[("name", "k"), ("use", kind)][..], parts].concat();
            read(&[want("secret", &all)]).unwrap_err().to_string()
        };
        assert_eq!(missing("sign", &[]), "it wants `secret` without saying which `algorithm`");
        assert_eq!(missing("jwt", &[("issuer", "me")]), "it wants `secret` without saying which `algorithm`");
        assert_eq!(missing("jwt", &[("algorithm", "RS256")]), "it wants `secret` without saying which `issuer`");
        assert!(
            read(&[want("secret", &[("name", "k"), ("use", "sign"), ("algorithm", "ES256")])]).is_ok(),
            "with its algorithm it is complete"
        );
    }

    #[test]
    fn request_has_placeholders_for_what_only_the_operator_knows() {
        let wants =
            [want("kerberos", &[("target", "hdfs/_HOST")]), want("secret", &[("name", "password"), ("use", "scram")])];
        let open = read(&wants).unwrap();
        assert_eq!(open.open.iter().copied().collect::<Vec<_>>(), [OpenQuestion::Login, OpenQuestion::Username]);
        let facts = OperatorFacts { realm: Some("EXAMPLE.COM"), username: Some("alice") };
        let answered = GrantRequest::read(&wants, facts).unwrap();
        assert_eq!(answered.targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["hdfs/_HOST@EXAMPLE.COM"]);
        assert!(answered.open.is_empty());
    }

    #[test]
    fn request_for_a_secret_of_the_host_names_its_place() {
        let form = want("http", &[("url", "https://a.example"), ("secret", "token"), ("field", "WebIdentityToken")]);
        let request = read(&[form]).unwrap();
        assert_eq!(request.grant.http.iter().flat_map(|rule| &rule.send.inject).count(), 1);
        assert!(request.grant.secrets.values().all(|secret| !secret.opens()), "the component does not get it");
        let nowhere = want("http", &[("url", "https://a.example"), ("secret", "token")]);
        assert!(matches!(read(&[nowhere]), Err(RequestError::Missing { part: "header", .. })));
    }

    #[test]
    fn request_that_no_grant_can_have_is_an_error() {
        for (want, part) in [
            (want("http", &[("url", "*")]), "url"),
            (want("http", &[("url", "https://*")]), "url"),
            (want("http", &[("url", "https://*.com")]), "url"),
            (want("http", &[("url", "https://a.example/path")]), "url"),
            (want("http", &[("url", "https://a.example"), ("method", "CONNECT")]), "method"),
            (want("http", &[("url", "https://a.example"), ("path", "/../x")]), "path"),
            (want("tcp", &[("host", "a.example")]), "host"),
            (want("secret", &[("name", "../../etc/passwd"), ("use", "reveal")]), "name"),
            (want("secret", &[("name", "k"), ("use", "exfiltrate")]), "use"),
            (want("secret", &[("name", "k"), ("use", "sigv4"), ("service", "sts")]), "use"),
            (want("kerberos", &[("target", "krbtgt")]), "target"),
        ] {
            match read(std::slice::from_ref(&want)) {
                Err(RequestError::Part { part: wrong, .. }) => assert_eq!(wrong, part, "{want:?}"),
                other => panic!("{want:?}: {other:?}"),
            }
        }
        for kind in ["http", "tcp", "secret"] {
            assert!(matches!(read(&[want(kind, &[])]), Err(RequestError::Missing { .. })), "{kind}");
        }
        let twice = [
            want("secret", &[("name", "k"), ("use", "hmac-sha256")]),
            want("secret", &[("name", "k"), ("use", "pbkdf2")]),
        ];
        assert!(matches!(read(&twice), Err(RequestError::TwoUses(_))));
    }
}
