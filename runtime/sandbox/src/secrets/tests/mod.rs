//! The capability as a component meets it, without a component.

mod attack;
mod canary;
mod capability;
mod scram;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deputy_audit::{Audit, AuditAction, AuditEvent, AuditOutcome, AuditSubject, CallId};
use deputy_core::grant::{ClaimGrant, Grant, JwtGrant, SecretGrant, SecretPurpose, SignatureAlgorithm, Sigv4Grant};
use deputy_core::{Limits, PolicyDenial, SecretBytes, SecretName, Span, Timestamp};
use wasmtime::component::{Resource, ResourceTable};

use super::{CallSecrets, CallValues, SecretHandle, SecretUseError, SecretsView};
use crate::bindings::delegation::tokens::secret_values::Host as _;
use crate::bindings::delegation::tokens::secrets::{self as wit, Host as _, HostSecret as _, SecretError};
use crate::call_budget::CallBudget;
use crate::redact::Redactor;
use crate::secret_provider::{SecretProvider, ValueError};
use crate::testing::stopped_at;

/// 2015-08-30T12:36:00Z
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const AWS: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Values that a test can change; a name without one fails with a reason.
#[derive(Default)]
struct Values(Mutex<BTreeMap<String, Vec<u8>>>);

impl Values {
    fn set(&self, name: &str, value: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), value.into());
    }
}

#[async_trait]
impl SecretProvider for Values {
    async fn value(&self, name: &SecretName) -> Result<Arc<SecretBytes>, ValueError> {
        let value = self.0.lock().unwrap().get(name.as_str()).cloned();
        value.map(|v| Arc::new(SecretBytes::new(v))).ok_or_else(|| ValueError("/etc/key can't be read".into()))
    }
}

struct TestCall {
    secrets: CallSecrets,
    table: ResourceTable,
    values: Arc<Values>,
    budget: Arc<CallBudget>,
    audit: Arc<Audit>,
}

impl TestCall {
    fn new(grants: &[(&str, SecretGrant)]) -> Self {
        Self::with(Limits { secret_operations: 1_000_000, ..Limits::default() }, grants)
    }

    fn with(limits: Limits, grants: &[(&str, SecretGrant)]) -> Self {
        let audit = Arc::new(Audit::memory());
        let budget = Arc::new(CallBudget::new(
            AuditSubject::Instance("s3".parse().unwrap()),
            CallId(7),
            limits,
            Arc::clone(&audit),
        ));
        let values = Arc::new(Values::default());
        let source = Arc::clone(&values) as Arc<dyn SecretProvider>;
        let call = Arc::new(CallValues::new(source, Arc::new(Redactor::new(Vec::new()))));
        let secrets = grants.iter().map(|(name, grant)| (name.parse().unwrap(), grant.clone())).collect();
        let grant = Arc::new(Grant { secrets, ..Grant::default() });
        let secrets = CallSecrets::new(grant, call, Arc::clone(&budget), stopped_at(NOW));
        Self { secrets, table: ResourceTable::new(), values, budget, audit }
    }

    fn view(&mut self) -> SecretsView<'_> {
        SecretsView { secrets: &mut self.secrets, table: &mut self.table }
    }

    /// What the component gets of an outcome.
    fn convert<T>(&mut self, result: Result<T, SecretUseError>) -> Result<T, SecretError> {
        result.map_err(|error| self.view().convert_secret_error(error).unwrap())
    }

    async fn open(&mut self, name: &str) -> Result<u32, SecretError> {
        let opened = self.view().open(name.to_owned()).await;
        self.convert(opened).map(|handle| handle.rep())
    }

    async fn sigv4(&mut self, secret: u32, text: &str) -> Result<wit::Sigv4Signature, SecretError> {
        let result = self.view().sigv4(Resource::new_borrow(secret), text.to_owned()).await;
        self.convert(result)
    }

    async fn jwt(&mut self, secret: u32, algorithm: &str, claims: &str) -> Result<String, SecretError> {
        let secret = Resource::new_borrow(secret);
        let result = self.view().jwt(secret, algorithm.to_owned(), "{}".to_owned(), claims.to_owned()).await;
        self.convert(result)
    }

    async fn hmac(&mut self, secret: u32, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let result = self.view().hmac_sha256(Resource::new_borrow(secret), data.to_vec()).await;
        self.convert(result)
    }

    async fn pbkdf2(&mut self, secret: u32, salt: &[u8], iterations: u32) -> Result<Vec<u8>, SecretError> {
        let result = self.view().pbkdf2_hmac_sha256(Resource::new_borrow(secret), salt.to_vec(), iterations).await;
        self.convert(result)
    }

    async fn sign(&mut self, secret: u32, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        let result = self.view().sign(Resource::new_borrow(secret), algorithm.to_owned(), data.to_vec()).await;
        self.convert(result)
    }

    async fn reveal(&mut self, secret: u32) -> Result<Vec<u8>, SecretError> {
        let result = self.view().reveal(Resource::<SecretHandle>::new_borrow(secret)).await;
        self.convert(result)
    }

    /// The events since the last time: operation, secret, scope, outcome and code.
    fn events(&self) -> Vec<String> {
        let shown = |event: AuditEvent| {
            let AuditAction::Secret { secret, operation, scope, .. } = event.action else {
                panic!("{:?}", event.action)
            };
            let code = event.code.unwrap_or_default();
            let outcome = match event.outcome {
                AuditOutcome::Begun => "begun",
                AuditOutcome::Cancelled => "cancelled",
                AuditOutcome::Done => "done",
                AuditOutcome::Failed => "failed",
                AuditOutcome::Refused => "refused",
            };
            [operation, secret, scope, outcome.to_owned(), code].join("|")
        };
        self.audit.take().into_iter().map(shown).collect()
    }

    fn denials(&self) -> Vec<&'static str> {
        self.budget.findings.denials().iter().map(PolicyDenial::code).collect()
    }
}

fn sigv4(services: &[&str], regions: &[&str]) -> SecretGrant {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    SecretGrant::new(Some(SecretPurpose::Sigv4(Sigv4Grant::new(texts(services), texts(regions)).unwrap())), false)
}

fn jwt_grant() -> JwtGrant {
    let (issuers, audiences) = (vec!["deputy".to_owned()], vec!["sts".to_owned()]);
    JwtGrant::new(vec![SignatureAlgorithm::EdDsa], issuers, audiences, Span::secs(600)).unwrap()
}

fn jwt() -> SecretGrant {
    only(SecretPurpose::Jwt(jwt_grant()))
}

fn only(purpose: SecretPurpose) -> SecretGrant {
    SecretGrant::new(Some(purpose), false)
}

fn reveal() -> SecretGrant {
    SecretGrant::new(None, true)
}

/// A string to sign, for the time of day that is now.
fn text(day: &str, region: &str, service: &str) -> String {
    let hash = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    format!("AWS4-HMAC-SHA256\n{day}T123600Z\n{day}/{region}/{service}/aws4_request\n{hash}")
}

const CLAIMS: &str = r#"{"iss": "deputy", "aud": "sts", "iat": 1440938160, "exp": 1440938760}"#;
