//! Lists keys in pages, all of one revision.

use std::collections::BTreeMap;

use deputy_etcd::EtcdError;
use deputy_etcd::message::RangeRequest;

use super::EtcdState;
use super::values::version;
use crate::{KeyPrefix, StoreError, StoreKey, Version};

/// Keys in one answer: a tenth of a mebibyte.
const PAGE: i64 = 1000;

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
        let (mut begin, end) = self.prefix.range(keys);
        let mut listed = Listed { versions: BTreeMap::new(), revision: 0 };
        loop {
            let request = RangeRequest {
                key: begin,
                range_end: end.clone(),
                limit: PAGE,
                revision: listed.revision,
                keys_only: true,
                ..RangeRequest::default()
            };
            let page = self.client.range(&request).await?;
            if listed.revision == 0 {
                listed.revision = page.header.as_ref().map_or(0, |header| header.revision);
            }
            let last = page.kvs.last().map(|found| found.key.clone());
            let found =
                page.kvs.iter().filter_map(|found| Some((self.prefix.parse(&found.key)?, version(found.mod_revision))));
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
