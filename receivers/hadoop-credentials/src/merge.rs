//! One token file out of those of all instances.

use std::collections::BTreeMap;

use crate::bindings::exports::delegation::tokens::receiver::Rejection;
use crate::settings::MergeSettings;
use deputy_kit::failure;
use deputy_kit::types::Failure;
use deputy_kit_hadoop::token::HadoopToken;
use deputy_kit_hadoop::token_file::HadoopTokenFile;

/// The tokens and secret keys of one instance, with their names in the merged file.
pub(crate) struct InstanceTokens<'a> {
    instance: &'a str,
    file: HadoopTokenFile,
}

impl<'a> InstanceTokens<'a> {
    /// Reads a payload of either version. The error quotes nothing of it.
    pub(crate) fn read(settings: &MergeSettings<'_>, instance: &'a str, payload: &[u8]) -> Result<Self, Failure> {
        let wrong = |problem: &str| failure::misconfigured(format!("instance `{instance}`: {problem}"));
        let file = HadoopTokenFile::parse(payload).map_err(|error| wrong(&error.to_string()))?;
        let aliases = settings.aliases(instance);
        let service = settings.service(instance);
        if aliases.is_none() && service.is_none() {
            return Ok(Self { instance, file });
        }
        let given: Vec<(String, HadoopToken)> =
            file.tokens().map(|(alias, token)| (alias.to_owned(), token.clone())).collect();
        let [(alias, token)] = given.as_slice() else {
            return Err(wrong("its payload has not exactly one token, so that `alias` and `service` cannot name it"));
        };
        let service = service.map_or_else(|| token.service.clone(), str::to_owned);
        let token = HadoopToken { service, ..token.clone() };
        let mut renamed = HadoopTokenFile::default();
        for alias in aliases.unwrap_or_else(|| vec![alias]) {
            renamed.put_token(alias, token.clone());
        }
        for (alias, secret) in file.secrets() {
            renamed.put_secret(alias, secret.to_owned());
        }
        Ok(Self { instance, file: renamed })
    }
}

/// The file of all. Of two entries of one alias, or two tokens that a client cannot distinguish, that of the preferred
/// instance stays.
///
/// # Errors
/// The rejections of both without a preference, since a client would take either. The others are as they should be.
pub(crate) fn merge(
    settings: &MergeSettings<'_>,
    mut instances: Vec<InstanceTokens<'_>>,
) -> Result<HadoopTokenFile, Vec<Rejection>> {
    instances.sort_by_key(|tokens| settings.rank(tokens.instance));
    let mut merged = HadoopTokenFile::default();
    let mut taken: Vec<Taken<'_>> = Vec::new();
    let mut ties = BTreeMap::new();
    for InstanceTokens { instance, file } in &instances {
        for (alias, token) in file.tokens() {
            let entry = Taken { instance, alias, token: Some(token) };
            if entry.is_free(settings, &taken, &mut ties) {
                merged.put_token(alias, token.clone());
                taken.push(entry);
            }
        }
        for (alias, secret) in file.secrets() {
            let entry = Taken { instance, alias, token: None };
            if entry.is_free(settings, &taken, &mut ties) {
                merged.put_secret(alias, secret.to_owned());
                taken.push(entry);
            }
        }
    }
    if ties.is_empty() {
        return Ok(merged);
    }
    Err(ties.into_iter().map(|(instance, failure)| Rejection { instance: instance.to_owned(), failure }).collect())
}

/// An entry of the merged file, and whose it is.
struct Taken<'f> {
    instance: &'f str,
    alias: &'f str,
    /// `None`: a secret key.
    token: Option<&'f HadoopToken>,
}

impl<'f> Taken<'f> {
    /// Whether no other instance has this entry. Those of a tie are noted.
    fn is_free(
        &self,
        settings: &MergeSettings<'_>,
        taken: &[Taken<'f>],
        ties: &mut BTreeMap<&'f str, Failure>,
    ) -> bool {
        let rival = taken.iter().find(|other| other.instance != self.instance && other.collides(self));
        let Some(rival) = rival else { return true };
        if settings.rank(rival.instance) == settings.rank(self.instance) {
            let problem = format!(
                "instances `{}` and `{}` have tokens of the same name: set `prefer` to the one that wins",
                rival.instance, self.instance
            );
            for instance in [rival.instance, self.instance] {
                ties.entry(instance).or_insert_with(|| failure::misconfigured(&problem).setting("prefer"));
            }
        }
        false
    }

    fn collides(&self, other: &Taken<'_>) -> bool {
        match (self.token, other.token) {
            (Some(token), Some(theirs)) => {
                self.alias == other.alias || (token.kind == theirs.kind && token.service == theirs.service)
            }
            (None, None) => self.alias == other.alias,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;
    use deputy_kit_hadoop::token_file::FileVersion;

    fn token(kind: &str, service: &str, password: u8) -> HadoopToken {
        HadoopToken {
            identifier: vec![1],
            password: vec![password],
            kind: kind.to_owned(),
            service: service.to_owned(),
        }
    }

    fn payload(token: &HadoopToken) -> Vec<u8> {
        HadoopTokenFile::single(&token.service, token.clone()).to_bytes(FileVersion::Writable)
    }

    fn merged(pairs: &[(&str, &str)], payloads: &[(&str, Vec<u8>)]) -> Result<Vec<(String, HadoopToken)>, Failure> {
        let settings: Vec<Setting> = pairs
            .iter()
            .map(|(name, value)| Setting { name: (*name).to_owned(), value: (*value).to_owned() })
            .collect();
        let settings = MergeSettings::read(&settings)?;
        let read = payloads.iter().map(|(instance, payload)| InstanceTokens::read(&settings, instance, payload));
        let file = merge(&settings, read.collect::<Result<_, _>>()?);
        let file = file.map_err(|mut rejected| rejected.remove(0).failure)?;
        Ok(file.tokens().map(|(alias, token)| (alias.to_owned(), token.clone())).collect())
    }

    #[test]
    fn merge_has_the_tokens_of_all_instances() {
        let (hdfs, kms) = (token("HDFS_DELEGATION_TOKEN", "ha-hdfs:prod", 1), token("kms-dt", "kms://x", 2));
        let tokens = merged(&[], &[("hdfs", payload(&hdfs)), ("kms", payload(&kms))]).unwrap();
        assert!(tokens == [("ha-hdfs:prod".to_owned(), hdfs), ("kms://x".to_owned(), kms)]);
        assert!(merged(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn merge_has_the_names_that_each_client_looks_up() {
        // YARN's clients look for a part of the service, those of HBase for the cluster's id, and those of Hive for their
        // signature, or for none. The kind tells them apart.
        let given = [
            ("yarn", token("RM_DELEGATION_TOKEN", "10.0.0.1:8032,10.0.0.2:8032", 1)),
            ("hbase", token("HBASE_AUTH_TOKEN", "0f8b7c1e-2b0a-4f55-9a43-1d1f5c3f6d11", 2)),
            ("hive", token("HIVE_DELEGATION_TOKEN", "", 3)),
            ("hive-signed", token("HIVE_DELEGATION_TOKEN", "signature", 4)),
        ];
        let payloads: Vec<_> = given.iter().map(|(instance, token)| (*instance, payload(token))).collect();
        let tokens = merged(&[("alias.hive", "hive.server2.delegation.token")], &payloads).unwrap();
        for (_, token) in &given {
            assert!(tokens.iter().any(|(_, merged)| merged == token), "{}", token.kind);
        }
        let (alias, _) = tokens.iter().find(|(_, token)| token.service.is_empty()).unwrap();
        assert_eq!(alias, "hive.server2.delegation.token");
        let twice = [("a", payload(&given[2].1)), ("b", payload(&token("HIVE_DELEGATION_TOKEN", "", 9)))];
        assert_eq!(merged(&[], &twice).map(drop).unwrap_err().setting.as_deref(), Some("prefer"));
    }

    #[test]
    fn merge_names_tokens_as_the_settings_say() {
        let kms = token("kms-dt", "kms://x", 2);
        let settings = [("alias.kms", "10.0.0.1:9600, 10.0.0.2:9600"), ("service.kms", "kms://y")];
        let tokens = merged(&settings, &[("kms", payload(&kms))]).unwrap();
        let names: Vec<_> = tokens.iter().map(|(alias, token)| (alias.as_str(), token.service.as_str())).collect();
        assert_eq!(names, [("10.0.0.1:9600", "kms://y"), ("10.0.0.2:9600", "kms://y")]);
    }

    #[test]
    fn merge_keeps_the_token_of_the_preferred_instance() {
        let (ours, theirs) = (token("k", "s", 1), token("k", "s", 2));
        let mut other_alias = HadoopTokenFile::default();
        other_alias.put_token("other", theirs.clone());
        for file in [payload(&theirs), other_alias.to_bytes(FileVersion::Protobuf)] {
            let payloads = [("ours", payload(&ours)), ("file", file)];
            assert!(merged(&[("prefer", "ours")], &payloads).unwrap().iter().all(|(_, token)| *token == ours));
            assert!(merged(&[("prefer", "file")], &payloads).unwrap().iter().all(|(_, token)| *token == theirs));
            let failure = merged(&[], &payloads).map(drop).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some("prefer"));
            assert!(failure.message.starts_with("instances `ours` and `file` have tokens of the same name"));
        }
    }

    #[test]
    fn merge_rejects_both_of_a_tie_and_no_other() {
        let settings = MergeSettings::read(&[]).unwrap();
        let given = [
            ("a", payload(&token("k", "s", 1))),
            ("b", payload(&token("k", "s", 2))),
            ("third", payload(&token("k", "other", 3))),
        ];
        let read = given.iter().map(|(instance, payload)| InstanceTokens::read(&settings, instance, payload).unwrap());
        let rejected = merge(&settings, read.collect()).map(drop).unwrap_err();
        let instances: Vec<_> = rejected.iter().map(|rejection| rejection.instance.as_str()).collect();
        assert_eq!(instances, ["a", "b"]);
        assert!(rejected.iter().all(|rejection| rejection.failure.setting.as_deref() == Some("prefer")));
    }

    #[test]
    fn merge_rejects_a_payload_that_is_no_token_file() {
        for payload in [b"hunter2".to_vec(), b"HDTS\0\x05hunter2".to_vec(), b"HDTS\x07".to_vec()] {
            let failure = merged(&[], &[("hdfs", payload)]).map(drop).unwrap_err();
            assert!(failure.message.starts_with("instance `hdfs`: ") && !failure.message.contains("hunter2"));
        }
        let two = HadoopTokenFile::default().to_bytes(FileVersion::Writable);
        assert!(merged(&[("service.a", "x")], &[("a", two)]).is_err());
    }
}
