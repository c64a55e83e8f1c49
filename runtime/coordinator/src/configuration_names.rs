//! The names in a configuration, and whether the next configuration lacks more of them than an edit would remove, so that its
//! file was probably cut short.
//!
//! An editor, a full disk or a bad merge leaves a file that ends early, and an early end is valid TOML. Everything that such
//! a file lacks would be withdrawn and removed from every worker. So the names of the configuration in use are saved, and a
//! configuration that lacks more than a share of them needs the operator's confirmation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deputy_core::{SecretBytes, Timestamp};
use deputy_store::{Store, StoreError, StoreKey, StoreKeyError, StoreLock, replace};
use serde::{Deserialize, Serialize};

/// One missing name is a change. Several are suspicious if they are more than one in this many.
const SUSPICIOUS_SHARE: usize = 3;

/// Missing names beyond this are counted and not listed.
const MAX_LISTED: usize = 10;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationNames {
    /// All instances, also disabled ones.
    pub instances: BTreeSet<String>,
    pub groups: BTreeMap<String, GroupNames>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNames {
    /// The instances that are delivered to the group.
    pub instances: BTreeSet<String>,
    pub receivers: BTreeSet<String>,
    /// Since when each instance is delivered to the group without a break, in milliseconds since 1970. A lease from before
    /// that was not obtained for this group.
    #[serde(default)]
    pub since: BTreeMap<String, u64>,
    /// The components of the receivers that were loaded.
    #[serde(default)]
    pub components: BTreeMap<String, ReceiverComponentName>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverComponentName {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Since when the receiver has this component without a break, in milliseconds since 1970.
    pub since: u64,
}

/// The names of one kind that a configuration lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingNames {
    kind: &'static str,
    names: Vec<String>,
    total: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigurationNamesError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot encode the names in the configuration")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] StoreKeyError),
}

impl ConfigurationNames {
    /// Fills in since when each instance is delivered and each receiver has its component: as in `previous`, or since
    /// `now`. A receiver without a component here, since it is not loaded yet, keeps the previous one.
    #[must_use]
    pub fn with_delivery_times(mut self, previous: &Self, now: Timestamp) -> Self {
        for (name, group) in &mut self.groups {
            let previous = previous.groups.get(name);
            let since = group.instances.iter().map(|instance| {
                let since = previous.filter(|group| group.instances.contains(instance));
                let since =
                    since.map_or(now.as_millis(), |group| group.since.get(instance).copied().unwrap_or_default());
                (instance.clone(), since)
            });
            group.since = since.collect();
            for (receiver, component) in &mut group.components {
                let same = previous.and_then(|group| group.components.get(receiver));
                let same = same.filter(|previous| previous.sha256 == component.sha256);
                component.since = same.map_or(now.as_millis(), |previous| previous.since);
            }
            for (receiver, component) in previous.iter().flat_map(|group| &group.components) {
                if group.receivers.contains(receiver) {
                    group.components.entry(receiver.clone()).or_insert_with(|| component.clone());
                }
            }
        }
        self
    }

    /// What the next configuration lacks, if that is suspiciously much.
    pub fn missing_in(&self, next: &Self) -> Option<MissingNames> {
        let receivers = self.pairs(|group| &group.receivers);
        let next_receivers = next.pairs(|group| &group.receivers);
        // A delivery that ends with its instance counts as a missing instance only.
        let mut deliveries = self.pairs(|group| &group.instances);
        deliveries.retain(|pair| pair.rsplit_once('/').is_some_and(|(_, instance)| next.instances.contains(instance)));
        let next_deliveries = next.pairs(|group| &group.instances);
        MissingNames::compare("instances", &self.instances, &next.instances)
            .or_else(|| MissingNames::compare_renamable("receivers of groups", &receivers, &next_receivers))
            .or_else(|| MissingNames::compare_renamable("deliveries to groups", &deliveries, &next_deliveries))
    }

    /// `group/name`. Neither part has a slash.
    fn pairs(&self, names: impl Fn(&GroupNames) -> &BTreeSet<String>) -> BTreeSet<String> {
        self.groups
            .iter()
            .flat_map(|(group, group_names)| names(group_names).iter().map(move |name| format!("{group}/{name}")))
            .collect()
    }

    /// The saved names of the configuration that was in use last. A damaged record is set aside.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn load(store: &dyn Store) -> Result<Option<Self>, ConfigurationNamesError> {
        let key = key()?;
        let entry = match store.get(&key).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "names of the last configuration lost; this one is not compared with them");
                store.quarantine(&key).await?;
                return Ok(None);
            }
            entry => entry?,
        };
        // A record that another version wrote in another form counts as absent.
        Ok(entry.and_then(|entry| serde_json::from_slice(entry.value.expose()).ok()))
    }

    /// Saves the names for the next start, under the coordinator's lock.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn save(&self, store: &dyn Store, lock: &StoreLock) -> Result<(), ConfigurationNamesError> {
        let bytes = SecretBytes::new(serde_json::to_vec(self)?);
        replace(store, &key()?, &bytes, lock).await?;
        Ok(())
    }
}

fn key() -> Result<StoreKey, StoreKeyError> {
    "configuration/names".parse()
}

impl MissingNames {
    fn compare(kind: &'static str, before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<Self> {
        let names: Vec<String> = before.difference(after).cloned().collect();
        let missing = names.len();
        let total = before.len();
        let is_suspicious = missing > 0 && (missing == total || (missing > 1 && missing * SUSPICIOUS_SHARE > total));
        is_suspicious.then_some(Self { kind, names, total })
    }

    /// As [`compare`](Self::compare), for names whose change alone loses nothing: there have to be fewer than before. A
    /// renamed instance, though, is another instance.
    fn compare_renamable(kind: &'static str, before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<Self> {
        Self::compare(kind, before, after).filter(|_| after.len() < before.len())
    }
}

impl fmt::Display for MissingNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, names, total } = self;
        let listed = names.get(..MAX_LISTED).unwrap_or(names).join(", ");
        write!(f, "it lacks {} of {total} {kind} ({listed}", names.len())?;
        match names.len().saturating_sub(MAX_LISTED) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn names(instances: &[&str], delivered: &[&str], receivers: &[&str]) -> ConfigurationNames {
        let group = GroupNames { instances: set(delivered), receivers: set(receivers), ..GroupNames::default() };
        ConfigurationNames { instances: set(instances), groups: [("g".to_owned(), group)].into() }
    }

    #[test]
    fn removal_of_more_than_a_share_is_noticed() {
        let instances = ["a", "b", "c", "d", "e", "f", "g"];
        let all = names(&instances, &[], &[]);
        for (kept, is_suspicious) in [(7, false), (6, false), (5, false), (4, true), (0, true)] {
            assert_eq!(all.missing_in(&names(&instances[..kept], &[], &[])).is_some(), is_suspicious, "{kept} of 7");
        }
        for (before, after, is_suspicious) in [(1, 0, true), (2, 1, false), (2, 0, true), (3, 2, false), (3, 1, true)] {
            let missing = names(&instances[..before], &[], &[]).missing_in(&names(&instances[..after], &[], &[]));
            assert_eq!(missing.is_some(), is_suspicious, "{after} of {before}");
        }
        assert_eq!(ConfigurationNames::default().missing_in(&ConfigurationNames::default()), None);
    }

    #[test]
    fn removal_of_receivers_and_deliveries_is_noticed() {
        let abc = &["a", "b", "c"];
        let all = names(abc, abc, &["r"]);
        assert!(all.missing_in(&names(abc, abc, &[])).unwrap().to_string().contains("g/r"));
        assert!(all.missing_in(&names(abc, &["a"], &["r"])).unwrap().to_string().contains("deliveries"));
        assert_eq!(all.missing_in(&names(&["a", "b"], &["a", "b"], &["r"])), None);
        assert_eq!(all.missing_in(&names(abc, abc, &["renamed"])), None);
        let xyz = &["x", "y", "z"];
        assert!(all.missing_in(&names(xyz, xyz, &["r"])).is_some(), "another file altogether");
    }

    #[test]
    fn configuration_names_know_since_when_a_group_gets_an_instance() {
        let at = Timestamp::from_millis;
        let first = names(&["a"], &["a"], &[]).with_delivery_times(&ConfigurationNames::default(), at(1));
        let second = names(&["a", "b"], &["a", "b"], &[]).with_delivery_times(&first, at(2));
        assert_eq!(second.groups["g"].since, [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
        let without = names(&["a", "b"], &["b"], &[]).with_delivery_times(&second, at(3));
        let again = names(&["a", "b"], &["a", "b"], &[]).with_delivery_times(&without, at(4));
        assert_eq!(again.groups["g"].since, [("a".to_owned(), 4), ("b".to_owned(), 2)].into());
    }

    #[test]
    fn configuration_names_date_the_component_of_a_receiver() {
        let at = Timestamp::from_millis;
        let with_component = |sha256: &str| {
            let mut names = names(&[], &[], &["r"]);
            let component = ReceiverComponentName { sha256: sha256.to_owned(), since: 0 };
            names.groups.get_mut("g").unwrap().components.insert("r".to_owned(), component);
            names
        };
        let component = |names: &ConfigurationNames| {
            names.groups["g"].components.get("r").map(|component| (component.sha256.clone(), component.since))
        };
        let first = with_component("aa").with_delivery_times(&ConfigurationNames::default(), at(1));
        assert_eq!(component(&first), Some(("aa".to_owned(), 1)));
        let not_loaded = names(&[], &[], &["r"]).with_delivery_times(&first, at(2));
        assert_eq!(component(&not_loaded), Some(("aa".to_owned(), 1)));
        assert_eq!(
            component(&with_component("aa").with_delivery_times(&not_loaded, at(3))),
            Some(("aa".to_owned(), 1))
        );
        assert_eq!(component(&with_component("bb").with_delivery_times(&first, at(4))), Some(("bb".to_owned(), 4)));
        assert_eq!(component(&names(&[], &[], &["other"]).with_delivery_times(&first, at(5))), None);
    }

    #[test]
    fn removal_is_reported_with_a_bounded_list() {
        let instances = (10..40).map(|number| format!("i{number}")).collect();
        let all = ConfigurationNames { instances, groups: BTreeMap::new() };
        let text = all.missing_in(&ConfigurationNames::default()).unwrap().to_string();
        assert!(text.starts_with("it lacks 30 of 30 instances (i10, i11"), "{text}");
        assert!(text.ends_with("i19 and 20 more)"), "{text}");
    }
}
