//! What a store holds: the state of one call, and how the capabilities reach their part of it.

use std::sync::Arc;

use deputy_core::grant::Grant;
use deputy_core::{Limits, Outputs};
use deputy_kerberos::Login;
use tokio::sync::Semaphore;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::delegation::tokens::types;
use crate::call_budget::CallBudget;
use crate::guest_log::GuestLog;
use crate::http::{HttpHooks, HttpPolicy};
use crate::kerberos::{self, CallKerberos, ConnectedHosts, KerberosView};
use crate::limiter::Limiter;
use crate::logging;
use crate::network::{Resolver, lookup_slots};
use crate::outputs::{self, OutputMode, OutputStage};
use crate::redact::Redactor;
use crate::secret_values;
use crate::secrets::{self, CallSecrets, CallValues, SecretStore, SecretsView};
use crate::shared::SandboxShared;
use crate::sockets::{self, Sockets, SocketsView, TcpPolicy};
use crate::stand_in::World;
use crate::state::{self, StateAccess, StateSource};

/// What all calls of an instance share.
pub(crate) struct InstanceContext {
    pub(crate) grant: Arc<Grant>,
    pub(crate) http: HttpPolicy,
    pub(crate) login: Option<Arc<Login>>,
    /// Concurrent look-ups, by HTTP and by sockets.
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) outputs: OutputMode,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) secrets: Arc<SecretStore>,
    pub(crate) state: StateSource,
    pub(crate) tcp: TcpPolicy,
    pub(crate) world: World,
}

impl InstanceContext {
    /// A context without any grant.
    pub(crate) fn ungranted(shared: &SandboxShared, secrets: &Arc<SecretStore>, outputs: OutputMode) -> Self {
        let http = HttpPolicy::nothing(Arc::clone(secrets) as _);
        let tcp = TcpPolicy::nothing(Arc::clone(secrets) as _);
        Self {
            grant: Arc::default(),
            http,
            login: None,
            lookups: lookup_slots(),
            outputs,
            resolver: Arc::clone(&shared.resolver),
            secrets: Arc::clone(secrets),
            state: StateSource::Denied,
            tcp,
            world: shared.world.clone(),
        }
    }
}

/// The state of one call.
pub(crate) struct CallState {
    pub(crate) limiter: Limiter,
    hooks: HttpHooks,
    http: WasiHttpCtx,
    kerberos: CallKerberos,
    log: GuestLog,
    outputs: OutputStage,
    secrets: CallSecrets,
    sockets: Sockets,
    state: StateAccess,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl CallState {
    pub(crate) fn new(
        context: &InstanceContext,
        budget: &Arc<CallBudget>,
        log: &GuestLog,
        redactor: &Arc<Redactor>,
    ) -> Self {
        let limits = budget.limits();
        let grant = &context.grant;
        let values = Arc::new(CallValues::new(Arc::clone(&context.secrets) as _, Arc::clone(redactor)));
        let policy = Arc::new(context.http.for_call(Arc::clone(&values) as _));
        let tcp = context.tcp.for_call(Arc::clone(&values) as _);
        let connected = ConnectedHosts::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize);
        let mut http = WasiHttpCtx::new();
        // This limit counts memory, several times the bytes on the wire that `headers` limits.
        http.set_field_size_limit(limits.headers.as_usize().saturating_mul(4));
        Self {
            limiter: Limiter::new(Arc::clone(budget)),
            hooks: HttpHooks::new(
                Arc::clone(grant),
                policy,
                Arc::clone(budget),
                Arc::clone(&context.resolver),
                Arc::clone(&context.lookups),
                context.world.clone(),
            ),
            http,
            kerberos: CallKerberos::new(
                Arc::clone(grant),
                context.login.clone(),
                Arc::clone(budget),
                connected.clone(),
            ),
            log: log.clone(),
            outputs: OutputStage::new(context.outputs, Arc::clone(budget)),
            secrets: CallSecrets::new(Arc::clone(grant), values, Arc::clone(budget), context.world.clone()),
            sockets: Sockets::new(
                Arc::clone(grant),
                Arc::clone(budget),
                Arc::clone(&context.resolver),
                tcp,
                Arc::clone(&context.lookups),
                context.world.clone(),
            )
            .noting(connected),
            state: StateAccess::new(context.state.clone(), Arc::clone(budget), Arc::clone(redactor)),
            table,
            wasi: wasi(limits, log, &context.world),
        }
    }

    /// The files put by the call.
    pub(crate) fn take_outputs(&mut self) -> Outputs {
        self.outputs.take()
    }
}

/// WASI without arguments, environment, files and network; output goes to the log. Its own sockets are not linked, and
/// would be denied: they know addresses and no names.
fn wasi(limits: &Limits, log: &GuestLog, world: &World) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(log.stdout()).stderr(log.stderr());
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(limits.argument.as_u64());
    world.replace_in(&mut wasi);
    wasi.build()
}

/// Adds every interface that a component may import: WASI 0.2, and the contract's capabilities.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    sockets::link(linker, |state| SocketsView { sockets: &mut state.sockets, table: &mut state.table })?;
    secrets::link(linker, secrets_view)?;
    secret_values::link(linker, secrets_view)?;
    secrets::scram::link(linker, secrets_view)?;
    kerberos::link(linker, |state| KerberosView { kerberos: &mut state.kerberos, table: &mut state.table })?;
    logging::link(linker, |state| &mut state.log)?;
    outputs::link(linker, |state| &mut state.outputs)?;
    state::link(linker, |state| &mut state.state)?;
    types::add_to_linker::<CallState, HasTypes>(linker, |_| HasTypes)
}

fn secrets_view(state: &mut CallState) -> SecretsView<'_> {
    SecretsView { secrets: &mut state.secrets, table: &mut state.table }
}

/// The contract's `types` have no functions, but components import them.
struct HasTypes;

impl HasData for HasTypes {
    type Data<'a> = HasTypes;
}

impl types::Host for HasTypes {}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}
