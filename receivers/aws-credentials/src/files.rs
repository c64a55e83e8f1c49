//! The files: `credentials`, `config`, and `<instance>.json`.

use crate::credentials::Credentials;
use crate::settings::Config;
use deputy_kit::outputs::Files;
use deputy_kit::settings::misconfigured;
use deputy_kit::types::Failure;
use std::collections::BTreeMap;

const HEAD: &str = "# Deputy writes this file anew whenever its credentials change.\n";

/// All files of these settings and credentials.
///
/// # Errors
/// If two instances would be one profile.
pub(crate) fn all<'a>(config: &Config<'a>, held: &'a [Credentials<'a>]) -> Result<Files, Failure> {
    let profiles = profiles(config, held)?;
    let mut files = Files::new();
    let sections = profiles.iter().map(|(profile, held)| credentials(profile, held));
    files.insert("credentials".to_owned(), file(sections));
    if config.has_config() {
        let sections = profiles.iter().map(|(profile, held)| section(profile, config, held.instance));
        files.insert("config".to_owned(), file(sections));
    }
    for held in held {
        files.insert(format!("{}.json", held.instance), process(held).into_bytes());
    }
    Ok(files)
}

/// Each profile's name and credentials.
fn profiles<'a>(
    config: &Config<'a>,
    held: &'a [Credentials<'a>],
) -> Result<BTreeMap<&'a str, &'a Credentials<'a>>, Failure> {
    let mut profiles: BTreeMap<&str, &Credentials> = BTreeMap::new();
    for held in held {
        let names = [Some(config.profile(held.instance)), config.is_default(held.instance).then_some("default")];
        for name in names.into_iter().flatten() {
            // An instance that is called so, and is said to be so, is no conflict.
            if let Some(other) = profiles.insert(name, held).filter(|other| other.instance != held.instance) {
                let setting =
                    if name == "default" { "default".to_owned() } else { format!("profile.{}", held.instance) };
                let problem = format!("profile `{name}` would be that of `{}` and `{}`", other.instance, held.instance);
                return Err(misconfigured(&setting, &problem));
            }
        }
    }
    Ok(profiles)
}

fn file(sections: impl Iterator<Item = String>) -> Vec<u8> {
    std::iter::once(HEAD.to_owned()).chain(sections).collect::<Vec<_>>().join("\n").into_bytes()
}

fn credentials(profile: &str, held: &Credentials) -> String {
    let mut section = format!(
        "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        held.held.access_key_id(),
        held.held.secret_access_key()
    );
    if let Some(token) = held.held.session_token() {
        section.push_str(&format!("aws_session_token = {token}\n"));
    }
    section
}

/// The config file calls all profiles but one by two words.
fn section(profile: &str, config: &Config, instance: &str) -> String {
    let mut section = if profile == "default" { "[default]\n".to_owned() } else { format!("[profile {profile}]\n") };
    let lines = [("region", config.region(instance)), ("endpoint_url", config.endpoint(instance))];
    for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        section.push_str(&format!("{name} = {value}\n"));
    }
    section
}

/// What a program prints that the config file names as `credential_process`.
fn process(held: &Credentials) -> String {
    held.held.to_json() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;
    use deputy_payloads::AwsCredentials;

    fn held(instance: &str) -> Credentials<'_> {
        let key_id = format!("AKIA-{instance}").leak();
        let held = AwsCredentials::new(key_id, "a/b\"c", Some("t=="), Some("2026-11-22T18:00:00Z")).unwrap();
        Credentials { instance, held }
    }

    fn written(settings: &[(&str, &str)], held: &[Credentials]) -> Result<BTreeMap<String, String>, Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let files = all(&Config::read(&settings).unwrap(), held)?;
        Ok(files.into_iter().map(|(path, contents)| (path, String::from_utf8(contents).unwrap())).collect())
    }

    #[test]
    fn several_leases_are_merged_into_one_file_with_a_profile_each() {
        let files = written(&[("profile.s3-prod", "prod"), ("default", "s3-lab")], &[held("s3-prod"), held("s3-lab")]);
        let files = files.unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["credentials", "s3-lab.json", "s3-prod.json"]);
        let section = |profile: &str, instance: &str| {
            format!(
                "\n[{profile}]\naws_access_key_id = AKIA-{instance}\naws_secret_access_key = a/b\"c\naws_session_token = t==\n"
            )
        };
        let expected = [section("default", "s3-lab"), section("prod", "s3-prod"), section("s3-lab", "s3-lab")].concat();
        assert_eq!(files["credentials"], format!("{HEAD}{expected}"));
        assert_eq!(
            files["s3-prod.json"],
            "{\"Version\":1,\"AccessKeyId\":\"AKIA-s3-prod\",\"SecretAccessKey\":\"a/b\\\"c\",\"SessionToken\":\"t==\",\
             \"Expiration\":\"2026-11-22T18:00:00Z\"}\n"
        );
    }

    #[test]
    fn a_config_file_is_written_where_there_is_something_to_say() {
        let settings = [("region", "us-east-1"), ("endpoint.s3-lab", "http://127.0.0.1:8333"), ("default", "s3-lab")];
        let files = written(&settings, &[held("s3-prod"), held("s3-lab")]).unwrap();
        let lab = "region = us-east-1\nendpoint_url = http://127.0.0.1:8333\n";
        let expected =
            format!("{HEAD}\n[default]\n{lab}\n[profile s3-lab]\n{lab}\n[profile s3-prod]\nregion = us-east-1\n");
        assert_eq!(files["config"], expected);
    }

    #[test]
    fn without_leases_there_is_a_file_without_profiles() {
        let files = written(&[("default", "s3-prod")], &[]).unwrap();
        assert_eq!(files, BTreeMap::from([("credentials".to_owned(), HEAD.to_owned())]));
    }

    #[test]
    fn credentials_without_a_token_are_written_without_one() {
        let held =
            [Credentials { instance: "old", held: AwsCredentials::new("AKIA-old", "a/b\"c", None, None).unwrap() }];
        let files = written(&[], &held).unwrap();
        assert!(!files["credentials"].contains("aws_session_token"));
        assert_eq!(
            files["old.json"],
            "{\"Version\":1,\"AccessKeyId\":\"AKIA-old\",\"SecretAccessKey\":\"a/b\\\"c\"}\n"
        );
    }

    #[test]
    fn two_instances_are_not_one_profile() {
        let held = [held("a"), held("b")];
        for settings in [
            [("profile.a", "x"), ("profile.b", "x")],
            [("profile.a", "b"), ("region", "eu")],
            [("profile.a", "default"), ("default", "b")],
        ] {
            let Err(Failure::Misconfigured(text)) = written(&settings, &held) else { panic!("{settings:?} passed") };
            assert!(text.contains("would be that of `a` and `b`"), "{text}");
        }
        assert!(written(&[("profile.a", "default"), ("default", "a")], &held).is_ok());
    }
}
