//! What the health port serves: probes and metrics to all, the page to browsers with a session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_audit::Audit;
use deputy_coordinator::status::StatusQuery;
use deputy_coordinator::{CoordinatorHandle, Workers};
use deputy_http_server::{EventStream, HealthCheck, HttpHandler, probe};
use deputy_local::Parameters;
use deputy_support::timer_now;
use http::{Method, Request, Response, header};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::access::PageAccess;
use crate::assets;
use crate::client::PageClient;
use crate::query::PageQuery;
use crate::recent_events::RecentEvents;
use crate::refusal::PageRefusal;
use crate::view::{CoordinatorRow, GroupRow, InstanceRow, InstanceTable, View, WorkerTable};

/// Pages that are open at once.
const MAX_PAGES: usize = 16;

/// Instances that are looked at. Beyond that, the names at the end are missing.
const MAX_INSTANCES: usize = 10_000;

/// How long all pages share one look at the coordinator.
const SAMPLE_LIFE: Duration = Duration::from_millis(900);

/// Events of the page.
const EVENTS: &str = "/events";

/// Serves the health port.
pub struct LivePage<H> {
    health: H,
    state: Arc<PageState>,
    places: Arc<Semaphore>,
}

/// What all pages share.
pub(crate) struct PageState {
    pub(crate) access: Arc<PageAccess>,
    pub(crate) events: Arc<RecentEvents>,
    handle: CoordinatorHandle,
    /// `None` if the coordinator serves no workers.
    workers: Option<Workers>,
    audit: Arc<Audit>,
    sample: Mutex<Option<(Instant, Arc<Sample>)>>,
}

/// What is the same for all pages.
pub(crate) struct Sample {
    pub(crate) now: String,
    coordinator: CoordinatorRow,
    /// First those that need attention.
    instances: Vec<InstanceRow>,
    groups: Vec<GroupRow>,
}

impl<H: HealthCheck + 'static> LivePage<H> {
    pub fn new(
        health: H,
        access: Arc<PageAccess>,
        events: Arc<RecentEvents>,
        handle: CoordinatorHandle,
        workers: Option<Workers>,
        audit: Arc<Audit>,
    ) -> Self {
        let state = PageState { access, events, handle, workers, audit, sample: Mutex::default() };
        Self { health, state: Arc::new(state), places: Arc::new(Semaphore::new(MAX_PAGES)) }
    }

    /// The page's answer. The checks are in this order so that a request without a session learns nothing.
    fn page(&self, request: &Request<()>) -> Result<Response<Bytes>, PageRefusal> {
        self.check_origin(request)?;
        let path = request.uri().path();
        if let Some(token) = token(request) {
            let session = self.state.access.open(&token).ok_or(PageRefusal::Url)?;
            let address = &self.state.access.address;
            return Ok(assets::begin_session(&address.cookie_name(), &session, address.has_tls()));
        }
        self.session(request)?;
        if path == EVENTS {
            // Those that may have events get them below.
            PageQuery::decode(request.uri().query()).map_err(|error| PageRefusal::Query(error.to_string()))?;
            return Err(PageRefusal::Full);
        }
        assets::asset(path).ok_or(PageRefusal::Path)
    }

    fn check_origin(&self, request: &Request<()>) -> Result<(), PageRefusal> {
        let address = &self.state.access.address;
        if !address.is_open() {
            return Err(PageRefusal::Closed(address.closed_reason()));
        }
        if !address.is_meant_by(request) {
            return Err(PageRefusal::Host(address.hosts()));
        }
        // Another port of this host is the same site, so its pages could send the cookie.
        let site = request.headers().get("sec-fetch-site").map(|site| site.as_bytes());
        if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
            return Err(PageRefusal::Site);
        }
        if request.method() != Method::GET {
            return Err(PageRefusal::Method);
        }
        Ok(())
    }

    /// The token of the request's session.
    fn session(&self, request: &Request<()>) -> Result<String, PageRefusal> {
        let name = self.state.access.address.cookie_name();
        let cookies = request.headers().get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut values = cookies.flat_map(|cookies| cookies.split("; ")).filter_map(|cookie| cookie.split_once('='));
        let session = values.find(|(known, session)| *known == name && self.state.access.admits(session));
        session.map(|(_, session)| session.to_owned()).ok_or(PageRefusal::Session)
    }
}

impl<H: HealthCheck + 'static> HttpHandler for LivePage<H> {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        match request.uri().path() {
            "/livez" | "/readyz" | "/metrics" => probe(&self.health, &request).await,
            _ => self.page(&request).unwrap_or_else(|refusal| refusal.response()),
        }
    }

    fn events(&self, request: &Request<()>) -> Option<EventStream> {
        if request.uri().path() != EVENTS {
            return None;
        }
        self.check_origin(request).ok()?;
        let session = self.session(request).ok()?;
        let query = PageQuery::decode(request.uri().query()).ok()?;
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(PageClient::new(Arc::clone(&self.state), query, session, place).events())
    }
}

/// The token of a URL to the page.
fn token(request: &Request<()>) -> Option<String> {
    let parameters = Parameters::decode(request.uri().query().filter(|_| request.uri().path() == "/"));
    parameters.get("token").ok().flatten()
}

impl PageState {
    /// What is the same for all pages, from the last look if that is new enough. `None` if the coordinator stops.
    pub(crate) async fn sample(&self) -> Option<Arc<Sample>> {
        let mut last = self.sample.lock().await;
        if let Some((taken, sample)) = &*last
            && timer_now().saturating_duration_since(*taken) < SAMPLE_LIFE
        {
            return Some(Arc::clone(sample));
        }
        let sample = Arc::new(self.look().await?);
        *last = Some((timer_now(), Arc::clone(&sample)));
        Some(sample)
    }

    async fn look(&self) -> Option<Sample> {
        let mut status = self.handle.status(StatusQuery::default()).await.ok()?;
        let mut coordinator = CoordinatorRow::of(&status);
        let audit = self.audit.status();
        (coordinator.audit_trouble, coordinator.audit_lost) = (audit.trouble, audit.lost);
        let mut instances: Vec<_> = status.instances.into_iter().map(InstanceRow::of).collect();
        while let Some(after) = status.next.and_then(|next| next.parse().ok())
            && instances.len() < MAX_INSTANCES
        {
            status = self.handle.status(StatusQuery { after: Some(after), ..StatusQuery::default() }).await.ok()?;
            instances.extend(status.instances.into_iter().map(InstanceRow::of));
        }
        instances.sort_by(|one, other| one.order().cmp(&other.order()));
        let groups = match &self.workers {
            Some(workers) => GroupRow::all(workers.group_counts().await.ok()?),
            None => Vec::new(),
        };
        Some(Sample { now: status.now, coordinator, instances, groups })
    }

    /// What one page shows.
    pub(crate) async fn view(&self, sample: &Sample, query: &PageQuery) -> Option<View> {
        let workers = match &self.workers {
            Some(workers) => {
                let page = workers.worker_page(&query.workers).await.ok()?;
                Some(WorkerTable::of(sample.groups.clone(), page))
            }
            None => None,
        };
        let coordinator = sample.coordinator.clone();
        Some(View { coordinator, instances: InstanceTable::of(&sample.instances, query), workers })
    }
}
