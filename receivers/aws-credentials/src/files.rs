//! The files `credentials`, `config` and `<instance>.json`.

use crate::credentials::InstanceCredentials;
use crate::profiles::profiles;
use crate::settings::ProfileSettings;
use deputy_kit::failure::misconfigured;
use deputy_kit::outputs::OutputFiles;
use deputy_kit::types::Failure;
use deputy_payloads::AwsCredentials;

const HEAD: &str = "# Deputy replaces this file whenever its credentials change.\n";

/// # Errors
/// If two instances have the same profile.
pub(crate) fn all<'a>(
    settings: &ProfileSettings<'a>,
    held: &'a [InstanceCredentials<'a>],
) -> Result<OutputFiles, Failure> {
    let instances: Vec<&str> = held.iter().map(|held| held.instance).collect();
    let sections: Vec<(&str, &InstanceCredentials)> = profiles(settings, &instances)?
        .into_iter()
        .filter_map(|(profile, instance)| Some((profile, held.iter().find(|held| held.instance == instance)?)))
        .collect();
    let mut files = OutputFiles::new();
    let credentials = sections.iter().map(|(profile, held)| credentials_section(profile, held));
    files.insert("credentials".to_owned(), file(credentials));
    let config = sections.iter().filter_map(|(profile, held)| config_section(profile, settings, held));
    let config: Vec<String> = config.collect();
    if !config.is_empty() {
        files.insert("config".to_owned(), file(config.into_iter()));
    }
    for held in held {
        files.insert(format!("{}.json", held.instance), credential_process(held)?.into_bytes());
    }
    Ok(files)
}

fn file(sections: impl Iterator<Item = String>) -> Vec<u8> {
    std::iter::once(HEAD.to_owned()).chain(sections).collect::<Vec<_>>().join("\n").into_bytes()
}

fn credentials_section(profile: &str, credentials: &InstanceCredentials) -> String {
    let mut section = format!(
        "[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        credentials.aws.access_key_id(),
        credentials.aws.secret_access_key()
    );
    if let Some(token) = credentials.aws.session_token() {
        section.push_str(&format!("aws_session_token = {token}\n"));
    }
    section
}

/// In the config file all profiles but `default` have the prefix `profile`. None if there is nothing to say of one.
fn config_section(profile: &str, settings: &ProfileSettings, held: &InstanceCredentials) -> Option<String> {
    let head = if profile == "default" { "[default]\n".to_owned() } else { format!("[profile {profile}]\n") };
    let lines = [
        ("credential_process", settings.process(held.instance, held.directory)),
        ("region", settings.region(held.instance).map(str::to_owned)),
        ("endpoint_url", settings.endpoint(held.instance).map(str::to_owned)),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}\n", value?)));
    let lines: String = lines.collect();
    (!lines.is_empty()).then(|| head + &lines)
}

/// The output of a program that is configured as `credential_process`. It ends with the lease: a program that refreshes by the
/// expiry reads the next one in time.
fn credential_process(held: &InstanceCredentials) -> Result<String, Failure> {
    let aws = &held.aws;
    let parts = (aws.access_key_id(), aws.secret_access_key(), aws.session_token());
    let aws = AwsCredentials::new(parts.0, parts.1, parts.2, Some(&held.expiration));
    let aws = aws.map_err(|error| misconfigured(format!("instance `{}`: {error}", held.instance)))?;
    Ok(aws.to_json() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;
    use std::collections::BTreeMap;

    fn credentials(instance: &str) -> InstanceCredentials<'_> {
        let key_id = format!("AKIA-{instance}").leak();
        let aws = AwsCredentials::new(key_id, "a/b\"c", Some("t=="), Some("2026-11-22T18:00:00Z")).unwrap();
        InstanceCredentials { instance, aws, expiration: "2026-11-22T17:00:00Z".to_owned(), directory: None }
    }

    fn written(settings: &[(&str, &str)], held: &[InstanceCredentials]) -> Result<BTreeMap<String, String>, Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let files = all(&ProfileSettings::read(&settings).unwrap(), held)?;
        Ok(files.into_iter().map(|(path, contents)| (path, String::from_utf8(contents).unwrap())).collect())
    }

    #[test]
    fn files_have_a_profile_for_each_lease() {
        let files = written(
            &[("profile.s3-prod", "prod"), ("default", "s3-lab")],
            &[credentials("s3-prod"), credentials("s3-lab")],
        );
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
             \"Expiration\":\"2026-11-22T17:00:00Z\"}\n",
            "it ends with the lease"
        );
    }

    #[test]
    fn files_include_a_config_with_what_settings_say() {
        let settings = [("region", "us-east-1"), ("endpoint.s3-lab", "http://127.0.0.1:8333"), ("default", "s3-lab")];
        let files = written(&settings, &[credentials("s3-prod"), credentials("s3-lab")]).unwrap();
        let lab = "region = us-east-1\nendpoint_url = http://127.0.0.1:8333\n";
        let expected =
            format!("{HEAD}\n[default]\n{lab}\n[profile s3-lab]\n{lab}\n[profile s3-prod]\nregion = us-east-1\n");
        assert_eq!(files["config"], expected);
    }

    #[test]
    fn files_have_programs_read_their_credentials_again() {
        let mut held = credentials("s3-prod");
        held.directory = Some("/run/deputy/aws");
        let files = written(&[("profile.s3-prod", "prod"), ("region", "eu-west-1")], &[held]).unwrap();
        let process = "credential_process = cat /run/deputy/aws/s3-prod.json\n";
        assert_eq!(files["config"], format!("{HEAD}\n[profile prod]\n{process}region = eu-west-1\n"));
    }

    #[test]
    fn files_without_leases_have_no_profiles() {
        let files = written(&[("default", "s3-prod")], &[]).unwrap();
        assert_eq!(files, BTreeMap::from([("credentials".to_owned(), HEAD.to_owned())]));
    }

    #[test]
    fn files_omit_an_absent_session_token() {
        let held = [InstanceCredentials {
            instance: "old",
            aws: AwsCredentials::new("AKIA-old", "a/b\"c", None, None).unwrap(),
            expiration: "9999-12-31T23:59:59Z".to_owned(),
            directory: None,
        }];
        let files = written(&[], &held).unwrap();
        assert!(!files["credentials"].contains("aws_session_token"));
        assert_eq!(
            files["old.json"],
            "{\"Version\":1,\"AccessKeyId\":\"AKIA-old\",\"SecretAccessKey\":\"a/b\\\"c\",\
             \"Expiration\":\"9999-12-31T23:59:59Z\"}\n"
        );
    }
}
