#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::path::Path;

use super::*;
use crate::{Colour, CoordinatorFile, WorkerConfig};

fn instance(name: &str) -> InstanceTemplate {
    InstanceTemplate { name: name.parse().unwrap(), component: name.to_owned(), group: None, networks: Vec::new() }
}

/// Reads what was rendered: it has no errors and no warnings.
#[track_caller]
fn read(text: &str) -> CoordinatorFile {
    let config = CoordinatorFile::parse(text, Path::new("deputy.toml"));
    let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
    assert_eq!(config.warnings.render(Colour::Never), "", "{text}");
    config
}

fn s3(endpoint: Option<&str>, role: Option<&str>) -> S3Template {
    S3Template {
        instance: instance("s3"),
        region: "us-east-1".to_owned(),
        endpoint: endpoint.map(str::to_owned),
        role_arn: role.map(str::to_owned),
        key: "secrets/aws-key.json".to_owned(),
    }
}

#[test]
fn template_of_s3_grants_its_endpoint_alone() {
    for (endpoint, role, allowed, networks) in [
        (None, None, "https://sts.us-east-1.amazonaws.com", 0),
        (None, Some("arn:aws:iam::123456789012:role/worker"), "https://sts.us-east-1.amazonaws.com", 0),
        (Some("http://127.0.0.1:8333"), None, "http://127.0.0.1:8333", 1),
        (Some("HTTPS://MinIO.example:9000/sts"), Some("any"), "https://minio.example:9000", 0),
    ] {
        let config = read(&s3(endpoint, role).render().unwrap());
        let instance = config.instances.values().next().unwrap().component.clone().unwrap();
        let [rule] = instance.grant.http.as_slice() else { panic!("{:?}", instance.grant.http) };
        assert_eq!((rule.pattern.to_string().as_str(), rule.networks.len()), (allowed, networks));
        assert_eq!(instance.settings.get("role-arn").map(String::as_str), role);
    }
    assert!(s3(Some("minio:9000"), None).render().is_err());
    assert!(s3(Some("https://me@minio"), None).render().is_err());
}

#[test]
fn template_takes_names_and_values_as_they_are() {
    let odd = "a \"quoted\" \\ value # with ' all of it";
    let mut template = s3(None, Some(odd));
    template.instance.group = Some("analytics".parse().unwrap());
    template.instance.component = format!("./{odd}");
    let config = read(&(template.render().unwrap() + "[coordinator]\nlisten = \"127.0.0.1:8271\"\n"));
    let entry = config.instances.values().next().unwrap();
    assert_eq!(entry.component.as_ref().unwrap().settings.get("role-arn").map(String::as_str), Some(odd));
    assert_eq!(entry.deliver_to.len(), 1);
}

#[test]
fn template_of_oauth2_adds_the_secret_on_the_host() {
    let template = OAuth2Template {
        instance: instance("api"),
        token_url: "https://login.example.com/oauth/token".to_owned(),
        client_id: "deputy".to_owned(),
        scope: Some("read write".to_owned()),
        key: "secrets/client-secret".to_owned(),
    };
    let config = read(&template.render().unwrap());
    let instance = config.instances.values().next().unwrap().component.clone().unwrap();
    assert_eq!(instance.grant.http.first().unwrap().send.inject.len(), 1);
}

#[test]
fn template_of_a_worker_is_valid_with_and_without_a_receiver() {
    for receiver in [None, Some(("aws-credentials".to_owned(), vec!["s3".to_owned()]))] {
        let template = WorkerTemplate { join: "join".to_owned(), output: "published".to_owned(), receiver };
        let config = WorkerConfig::parse(&template.render(), Path::new("worker.toml"));
        let config = config.map_err(|errors| errors.render(Colour::Never)).unwrap();
        assert_eq!(config.warnings.render(Colour::Never), "");
    }
}
