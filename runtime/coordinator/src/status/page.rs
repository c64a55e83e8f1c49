//! A page of instances, so that the reply stays small however many are configured.

use deputy_core::InstanceName;
use deputy_core::schedule::{InstanceSnapshot, Lease, Readiness};
use deputy_core::time::Now;

/// Selects instances. All conditions have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusQuery {
    /// Only instances with a greater name.
    pub after: Option<InstanceName>,
    pub limit: Option<usize>,
    /// Only instances whose name begins with this text.
    pub prefix: Option<String>,
    /// Only instances that are ready, or that are not.
    pub ready: Option<bool>,
}

/// An instance before its status is made.
pub(crate) enum ListedInstance<'s> {
    /// With its published lease.
    Loading(&'s InstanceName, Option<&'s Lease>),
    /// The same of an instance whose lease another coordinator obtains.
    Followed {
        name: &'s InstanceName,
        lease: Option<&'s Lease>,
        is_on_demand: bool,
    },
    Scheduled(InstanceSnapshot<'s>),
}

/// The selected instances in the order of their names.
pub(crate) struct StatusPage<'s> {
    pub(crate) instances: Vec<ListedInstance<'s>>,
    /// The last name of the page, if there are more.
    pub(crate) next: Option<InstanceName>,
    /// All instances, whatever is selected.
    pub(crate) total: usize,
    pub(crate) ready: usize,
}

/// Instances of a page, upstreams and orphans of a reply. The texts of an instance have bounds of some 20 KiB together, so
/// that a page stays below the [64 MiB](deputy_local) that the client reads.
pub(crate) const MAX_LISTED: usize = 1000;

impl StatusQuery {
    fn selects(&self, listed: &ListedInstance<'_>, now: Now) -> bool {
        let name = listed.name();
        self.after.as_ref().is_none_or(|after| after < name)
            && self.prefix.as_ref().is_none_or(|prefix| name.as_str().starts_with(prefix.as_str()))
            && self.ready.is_none_or(|ready| ready == listed.is_ready(now))
    }
}

impl ListedInstance<'_> {
    pub(crate) fn name(&self) -> &InstanceName {
        match self {
            Self::Followed { name, .. } | Self::Loading(name, _) => name,
            Self::Scheduled(snapshot) => snapshot.name,
        }
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Followed { lease, .. } | Self::Loading(_, lease) => *lease,
            Self::Scheduled(snapshot) => snapshot.lease,
        }
    }

    fn is_ready(&self, now: Now) -> bool {
        match self {
            Self::Followed { lease, is_on_demand, .. } => {
                *is_on_demand || lease.is_some_and(|lease| lease.is_valid(now.wall))
            }
            Self::Loading(_, lease) => lease.is_some_and(|lease| lease.is_valid(now.wall)),
            Self::Scheduled(snapshot) => is_ready(snapshot.readiness),
        }
    }
}

impl<'s> StatusPage<'s> {
    /// The first page of the selected instances.
    pub(crate) fn of(all: impl Iterator<Item = ListedInstance<'s>>, query: &StatusQuery, now: Now) -> Self {
        let limit = query.limit.unwrap_or(MAX_LISTED).clamp(1, MAX_LISTED);
        let mut total = 0;
        let mut ready = 0;
        let mut instances = Vec::new();
        for listed in all {
            total += 1;
            ready += usize::from(listed.is_ready(now));
            if query.selects(&listed, now) {
                instances.push(listed);
            }
        }
        instances.sort_by(|one, other| one.name().cmp(other.name()));
        let is_complete = instances.len() <= limit;
        instances.truncate(limit);
        let next = instances.last().filter(|_| !is_complete).map(|last| last.name().clone());
        Self { instances, next, total, ready }
    }
}

pub(super) fn is_ready(readiness: Readiness) -> bool {
    matches!(readiness, Readiness::Ready | Readiness::NotNeeded)
}

#[cfg(test)]
mod tests {
    use deputy_core::Timestamp;
    use deputy_core::time::MonotonicTime;

    use super::*;

    fn now() -> Now {
        Now { wall: Timestamp::from_millis(0), mono: MonotonicTime::from_millis(0) }
    }

    fn names(prefix: &str, count: usize) -> Vec<InstanceName> {
        (0..count).map(|number| format!("{prefix}-{number:05}").parse().unwrap()).collect()
    }

    /// The names of all pages, one after the other.
    fn pages(names: &[InstanceName], query: &StatusQuery) -> Vec<Vec<String>> {
        let (mut pages, mut query) = (Vec::new(), query.clone());
        loop {
            let all = names.iter().rev().map(|name| ListedInstance::Loading(name, None));
            let page = StatusPage::of(all, &query, now());
            assert_eq!((page.total, page.ready), (names.len(), 0));
            pages.push(page.instances.iter().map(|listed| listed.name().to_string()).collect());
            match page.next {
                Some(next) => query.after = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn status_pages_have_each_instance_once_and_in_order() {
        let names = names("i", 2500);
        let pages = pages(&names, &StatusQuery::default());
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert_eq!(pages.concat(), names.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn status_page_has_a_limit_that_no_request_raises() {
        let names = names("i", 2000);
        let sizes = |limit| pages(&names, &StatusQuery { limit: Some(limit), ..StatusQuery::default() });
        assert_eq!(sizes(1500).iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000]);
        assert_eq!((sizes(0).len(), sizes(1).len()), (2000, 2000));
    }

    #[test]
    fn status_of_a_follower_counts_on_demand_instances_as_ready() {
        let names = names("i", 2);
        let listed = names.iter().enumerate().map(|(at, name)| ListedInstance::Followed {
            name,
            lease: None,
            is_on_demand: at == 0,
        });
        let page = StatusPage::of(listed, &StatusQuery { ready: Some(false), ..StatusQuery::default() }, now());
        let unready: Vec<_> = page.instances.iter().map(ListedInstance::name).collect();
        assert_eq!((page.total, page.ready, unready), (2, 1, vec![&names[1]]));
    }

    #[test]
    fn status_is_filtered_by_prefix_and_readiness() {
        let names = [names("a", 3), names("ab", 2), names("b", 4)].concat();
        let query = |prefix: &str, ready| StatusQuery { prefix: Some(prefix.into()), ready, ..StatusQuery::default() };
        let found = |prefix: &str, ready| pages(&names, &query(prefix, ready)).concat().len();
        assert_eq!((found("a", None), found("ab", None), found("b-", None), found("c", None)), (5, 2, 4, 0));
        assert_eq!((found("a", Some(false)), found("a", Some(true))), (5, 0));
    }
}
