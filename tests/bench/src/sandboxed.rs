//! The sandbox as the program has it: a cache in a folder, an audit log in a file, the system's resolver.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use deputy_audit::Audit;
use deputy_core::grant::{Grant, HttpRule, PathRules, RequestOptions, SecretGrant, SecretPurpose, Sigv4Grant};
use deputy_core::{Instance, Limits, SecretBytes, SecretSource};
use deputy_sandbox::{
    CacheKey, CodeCache, Compiler, ComponentFolders, LoadedProvider, Sandbox, SandboxOptions, SystemResolver,
};
use deputy_test_servers::guest;

use crate::Result;

/// A sandbox whose state is in this folder.
pub(crate) fn sandbox(folder: &Path) -> Result<Sandbox> {
    let audit = Audit::file(&folder.join("audit.jsonl"))?;
    Ok(Sandbox::new(SandboxOptions {
        cache: Some(CodeCache { state_dir: folder.join("state"), key: CacheKey::new(&SecretBytes::new(vec![1; 32])) }),
        compiler: Compiler::new(env::current_exe()?, vec!["compile-child".into()]),
        audit: Arc::new(audit),
        resolver: Arc::new(SystemResolver::default()),
        folders: ComponentFolders::default(),
        stand_in: None,
    })?)
}

/// An instance of a component that may do nothing.
pub(crate) fn instance(component: &str, settings: &[(&str, &str)]) -> Result<Instance> {
    Ok(Instance {
        name: component.parse()?,
        component: guest(component)?.into(),
        sha256: None,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        grant: Grant::default(),
        sources: BTreeMap::new(),
        limits: Limits::default(),
    })
}

/// The S3 provider, which assumes a role at a local server: one signature, one request.
pub(crate) async fn s3(sandbox: &Sandbox, folder: &Path, port: u16) -> Result<LoadedProvider> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut instance = instance("s3-sts", &[ROLE, REGION, ("endpoint", &endpoint)])?;
    let key = folder.join("aws-key");
    if !key.exists() {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
        file.write_all(br#"{"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "bench"}"#)?;
    }
    let sigv4 = Sigv4Grant::new(vec!["sts".to_owned()], vec![REGION.1.to_owned()])?;
    instance.grant.secrets.insert("aws-key".parse()?, SecretGrant::new(Some(SecretPurpose::Sigv4(sigv4)), false));
    instance.sources.insert("aws-key".parse()?, SecretSource::File(key));
    instance.grant.http.push(rule(&endpoint)?);
    Ok(sandbox.load(&instance).await?)
}

/// An OAuth 2.0 provider of this language.
pub(crate) async fn oauth2(sandbox: &Sandbox, component: &str, port: u16) -> Result<LoadedProvider> {
    let host = format!("http://127.0.0.1:{port}");
    let mut instance = instance(component, &[("token-url", &format!("{host}/token"))])?;
    instance.grant.http.push(rule(&host)?);
    Ok(sandbox.load(&instance).await?)
}

pub(crate) const ROLE: (&str, &str) = ("role-arn", "arn:aws:iam::123456789012:role/worker");
pub(crate) const REGION: (&str, &str) = ("region", "us-east-1");

fn rule(host: &str) -> Result<HttpRule> {
    Ok(HttpRule {
        pattern: host.parse()?,
        methods: vec!["POST".parse()?],
        paths: PathRules::Any,
        overrides: Vec::new(),
        networks: vec!["loopback".parse()?],
        send: RequestOptions::default(),
    })
}
