//! Lists keys in pages, all of one revision.

use std::collections::BTreeMap;

use deputy_etcd::EtcdError;
use deputy_etcd::message::{RangeRequest, RangeResponse};

use super::EtcdState;
use super::requests::version;
use crate::{KeyPrefix, StoreError, StoreKey, Version};

/// Keys in one answer: a tenth of a mebibyte.
const PAGE: usize = 1000;

/// Keys of one listing: several times those of a hundred thousand workers.
pub(super) const MAX_KEYS: usize = 1_000_000;

/// How often a listing begins again, since what it was reading has been compacted.
const ATTEMPTS: usize = 3;

/// The keys at one revision.
pub(super) struct Listed {
    pub(super) versions: BTreeMap<StoreKey, Version>,
    pub(super) revision: i64,
}

impl EtcdState {
    pub(super) async fn list(&self, keys: &KeyPrefix) -> Result<Listed, StoreError> {
        let mut attempts = 1;
        loop {
            match self.list_once(keys).await {
                Err(EtcdError::Refused(status)) if status.is_compacted() && attempts < ATTEMPTS => attempts += 1,
                listed => return Ok(listed?),
            }
        }
    }

    async fn list_once(&self, keys: &KeyPrefix) -> Result<Listed, EtcdError> {
        let (mut begin, end) = self.requests.prefix.range(keys);
        let mut listed = Listed { versions: BTreeMap::new(), revision: 0 };
        let mut count = 0;
        loop {
            let request = RangeRequest {
                key: begin.clone(),
                range_end: end.clone(),
                limit: i64::try_from(PAGE).unwrap_or(i64::MAX),
                revision: listed.revision,
                keys_only: true,
                ..RangeRequest::default()
            };
            let page = self.client.range(&request).await?;
            if listed.revision == 0 {
                listed.revision = page.header.as_ref().map_or(0, |header| header.revision);
            }
            check(&begin, &page)?;
            count += page.kvs.len();
            if count > MAX_KEYS {
                return Err(EtcdError::Malformed("more keys than a state has"));
            }
            let last = page.kvs.last().map(|found| found.key.clone());
            let found = page
                .kvs
                .iter()
                .filter_map(|found| Some((self.requests.prefix.parse(&found.key)?, version(found.mod_revision))));
            listed.versions.extend(found);
            match last {
                Some(mut last) if page.more => {
                    last.push(0);
                    begin = last;
                }
                _ => return Ok(listed),
            }
        }
    }
}

/// Whether a page brings a listing on: full if there are more, and with keys behind those that are known.
fn check(begin: &[u8], page: &RangeResponse) -> Result<(), EtcdError> {
    let is_full = page.kvs.len() == PAGE;
    let is_sorted = page.kvs.is_sorted_by(|one, other| one.key < other.key);
    let is_behind = page.kvs.first().is_none_or(|first| first.key.as_slice() >= begin);
    if page.kvs.len() <= PAGE && (is_full || !page.more) && is_sorted && is_behind {
        Ok(())
    } else {
        Err(EtcdError::Malformed("a page that does not follow the one before"))
    }
}

#[cfg(test)]
mod tests {
    use deputy_etcd::message::KeyValue;

    use super::*;

    fn page(names: impl IntoIterator<Item = String>, more: bool) -> RangeResponse {
        let kvs = names.into_iter().map(|name| KeyValue { key: name.into_bytes(), ..KeyValue::default() });
        RangeResponse { kvs: kvs.collect(), more, ..RangeResponse::default() }
    }

    #[test]
    fn etcd_listing_takes_no_page_that_leads_nowhere() {
        let numbers = |count: usize| (0..count).map(|number| format!("b{number:06}"));
        for good in [page([], false), page(["b".to_owned()], false), page(numbers(PAGE), true)] {
            assert!(check(b"b", &good).is_ok());
        }
        let again = ["b2".to_owned(), "b1".to_owned()];
        let same = ["b1".to_owned(), "b1".to_owned()];
        for bad in [
            page(numbers(PAGE + 1), false),
            page(numbers(PAGE - 1), true),
            page([], true),
            page(again, false),
            page(same, false),
            page(["a".to_owned()], false),
        ] {
            assert!(check(b"b", &bad).is_err(), "{} keys, more: {}", bad.kvs.len(), bad.more);
        }
    }
}
