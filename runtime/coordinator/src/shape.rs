//! What a configuration has, by name, and whether another one lacks so much of it that its file was probably cut short.
//!
//! An editor, a full disk or a bad merge leaves a file that ends early, and an early end is good TOML. What such a file
//! lacks would be withdrawn and removed from every worker. So the names of the configuration in use are kept, sealed,
//! and one that lacks more than a share of them is used only if the operator says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deputy_core::{SecretBytes, Timestamp};
use deputy_store::{ExpectedVersion, Store, StoreError, StoreKey, StoreKeyError, overwrite};
use serde::{Deserialize, Serialize};

/// One removal is a change; several are suspicious if they are more than one in so many.
const SHARE: usize = 3;

/// More names than these are counted and not listed.
const LISTED: usize = 10;

/// The names in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Its instances, also those that are not enabled.
    pub instances: BTreeSet<String>,
    /// Its groups of workers.
    pub groups: BTreeMap<String, GroupShape>,
}

/// The names in a group of workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupShape {
    /// The instances that are delivered to it.
    pub instances: BTreeSet<String>,
    /// Its receivers.
    pub receivers: BTreeSet<String>,
    /// Since when each instance is delivered to it without a break, in milliseconds since 1970. A lease from before that
    /// was not obtained for this group.
    #[serde(default)]
    pub since: BTreeMap<String, u64>,
}

/// More than a share of one kind that a configuration lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    what: &'static str,
    names: Vec<String>,
    of: usize,
}

/// The names could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// By the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They can't be written down.
    #[error("the names of the configuration can't be encoded")]
    Encode(#[from] serde_json::Error),
    /// The key is no key.
    #[error(transparent)]
    Key(#[from] StoreKeyError),
}

impl Shape {
    /// The same, with the times of what was there before, and this time for what is new.
    #[must_use]
    pub fn aged(mut self, before: &Self, now: Timestamp) -> Self {
        for (name, group) in &mut self.groups {
            let old = before.groups.get(name);
            let since = |instance: &String| {
                let old = old.filter(|old| old.instances.contains(instance));
                old.map_or(now.as_millis(), |old| old.since.get(instance).copied().unwrap_or_default())
            };
            group.since = group.instances.iter().map(|instance| (instance.clone(), since(instance))).collect();
        }
        self
    }

    /// What another configuration lacks, if that is suspiciously much.
    pub fn lost(&self, next: &Self) -> Option<Lost> {
        let receivers = |shape: &Self| shape.pairs(|group| &group.receivers);
        let deliveries = |shape: &Self| shape.pairs(|group| &group.instances);
        // What is no longer delivered because its instance is gone is counted there.
        let mut delivered = deliveries(self);
        delivered.retain(|pair| pair.rsplit_once('/').is_some_and(|(_, instance)| next.instances.contains(instance)));
        // What is only renamed is not missing; a new name of an instance, though, is another instance.
        let shrunk = |before: &BTreeSet<String>, after: &BTreeSet<String>| after.len() < before.len();
        let (bound, bound_next, delivered_next) = (receivers(self), receivers(next), deliveries(next));
        Lost::of("instances", &self.instances, &next.instances)
            .or_else(|| Lost::of("receivers of groups", &bound, &bound_next).filter(|_| shrunk(&bound, &bound_next)))
            .or_else(|| {
                let lost = Lost::of("deliveries to groups", &delivered, &delivered_next);
                lost.filter(|_| shrunk(&delivered, &delivered_next))
            })
    }

    /// `group/name`, which is unique: neither has a slash.
    fn pairs(&self, names: impl Fn(&GroupShape) -> &BTreeSet<String>) -> BTreeSet<String> {
        let pairs = self
            .groups
            .iter()
            .flat_map(|(group, shape)| names(shape).iter().map(move |name| format!("{group}/{name}")));
        pairs.collect()
    }

    /// The names of the configuration that was in use last. What is damaged is set aside.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn load(store: &dyn Store) -> Result<Option<Self>, ShapeError> {
        let key = key()?;
        let entry = match store.get(&key).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "the names of the last configuration are lost: this one is not compared with them");
                store.quarantine(&key).await?;
                return Ok(None);
            }
            entry => entry?,
        };
        // Of another version, which has to do without.
        Ok(entry.and_then(|entry| serde_json::from_slice(entry.value.expose()).ok()))
    }

    /// Keeps them for the next start.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn save(&self, store: &dyn Store) -> Result<(), ShapeError> {
        let bytes = SecretBytes::new(serde_json::to_vec(self)?);
        overwrite(store, &key()?, &bytes, ExpectedVersion::Absent).await?;
        Ok(())
    }
}

fn key() -> Result<StoreKey, StoreKeyError> {
    "configuration/names".parse()
}

impl Lost {
    fn of(what: &'static str, before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<Self> {
        let names: Vec<String> = before.difference(after).cloned().collect();
        let (lost, of) = (names.len(), before.len());
        let is_much = lost > 0 && (lost == of || (lost > 1 && lost * SHARE > of));
        is_much.then_some(Self { what, names, of })
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, names, of } = self;
        write!(f, "it lacks {} of {of} {what} ({}", names.len(), names.get(..LISTED).unwrap_or(names).join(", "))?;
        match names.len().saturating_sub(LISTED) {
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

    fn shape(instances: &[&str], delivered: &[&str], receivers: &[&str]) -> Shape {
        let group = GroupShape { instances: set(delivered), receivers: set(receivers), since: BTreeMap::new() };
        Shape { instances: set(instances), groups: [("g".to_owned(), group)].into() }
    }

    #[test]
    fn removal_of_more_than_a_share_is_noticed() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let all = shape(&names, &[], &[]);
        for (kept, is_much) in [(7, false), (6, false), (5, false), (4, true), (0, true)] {
            assert_eq!(all.lost(&shape(&names[..kept], &[], &[])).is_some(), is_much, "{kept} of 7");
        }
        for (before, after, is_much) in [(1, 0, true), (2, 1, false), (2, 0, true), (3, 2, false), (3, 1, true)] {
            let lost = shape(&names[..before], &[], &[]).lost(&shape(&names[..after], &[], &[]));
            assert_eq!(lost.is_some(), is_much, "{after} of {before}");
        }
        assert_eq!(Shape::default().lost(&Shape::default()), None);
    }

    #[test]
    fn removal_of_receivers_and_deliveries_is_noticed() {
        let all = shape(&["a", "b", "c"], &["a", "b", "c"], &["r"]);
        assert!(all.lost(&shape(&["a", "b", "c"], &["a", "b", "c"], &[])).unwrap().to_string().contains("g/r"));
        assert!(all.lost(&shape(&["a", "b", "c"], &["a"], &["r"])).unwrap().to_string().contains("deliveries"));
        assert_eq!(all.lost(&shape(&["a", "b"], &["a", "b"], &["r"])), None);
        assert_eq!(all.lost(&shape(&["a", "b", "c"], &["a", "b", "c"], &["renamed"])), None);
        assert!(all.lost(&shape(&["x", "y", "z"], &["x", "y", "z"], &["r"])).is_some(), "another file altogether");
    }

    #[test]
    fn shape_tells_since_when_a_group_gets_an_instance() {
        let at = Timestamp::from_millis;
        let first = shape(&["a"], &["a"], &[]).aged(&Shape::default(), at(1));
        let second = shape(&["a", "b"], &["a", "b"], &[]).aged(&first, at(2));
        assert_eq!(second.groups["g"].since, [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
        let without = shape(&["a", "b"], &["b"], &[]).aged(&second, at(3));
        let again = shape(&["a", "b"], &["a", "b"], &[]).aged(&without, at(4));
        assert_eq!(again.groups["g"].since, [("a".to_owned(), 4), ("b".to_owned(), 2)].into());
    }

    #[test]
    fn removal_is_reported_with_a_bounded_list() {
        let names: Vec<String> = (10..40).map(|number| format!("i{number}")).collect();
        let all = Shape { instances: names.into_iter().collect(), groups: BTreeMap::new() };
        let text = all.lost(&Shape::default()).unwrap().to_string();
        assert!(text.starts_with("it lacks 30 of 30 instances (i10, i11"), "{text}");
        assert!(text.ends_with("i19 and 20 more)"), "{text}");
    }
}
