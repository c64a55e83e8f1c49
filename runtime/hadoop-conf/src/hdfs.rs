//! HDFS: its nameservices by RPC, and WebHDFS beside each.

use std::collections::BTreeSet;

use crate::address::{HadoopAddress, MAX_SERVERS};
use crate::principal::ServicePrincipal;
use crate::proposal::{HttpGrant, ProposalDraft, ProposedInstance, TcpGrant};

/// The default of `dfs.namenode.rpc-address`.
const RPC_PORT: u16 = 8020;
/// The default of `dfs.federation.router.rpc-address`: a server there is a router.
const ROUTER_PORT: u16 = 8888;
const HTTP_PORT: u16 = 9870;
const HTTPS_PORT: u16 = 9871;

/// One nameservice: a NameNode, an HA set, or the routers of a federation.
struct NameService {
    /// Its logical name, if clients look for its token by it: that of a set.
    set: Option<String>,
    /// What instances are named after.
    name: String,
    /// The suffix of each server's properties, and its address for RPC.
    servers: Vec<(String, HadoopAddress)>,
}

pub(crate) fn propose(draft: &mut ProposalDraft<'_>) {
    let default = draft.get("fs.defaultFS").or_else(|| draft.get("fs.default.name"));
    let mut services = Vec::new();
    for name in draft.list("dfs.nameservices") {
        services.extend(nameservice(draft, &name));
    }
    if services.is_empty()
        && let Some(address) = draft.get("dfs.namenode.rpc-address")
        && let Some(server) = draft.address("dfs.namenode.rpc-address", &address, RPC_PORT)
    {
        services.push(single(server));
    }
    for uri in default.iter().cloned().chain(mounted(draft)) {
        services.extend(of_uri(draft, &uri, &services));
    }
    let web_default = default.filter(|uri| uri.contains("webhdfs://"));
    for service in &services {
        add_rpc(draft, service);
        add_web(draft, service, web_default.is_some());
    }
    if services.is_empty() {
        draft.note(web_default.map_or_else(
            || "no HDFS: neither dfs.nameservices nor fs.defaultFS names one".to_owned(),
            |uri| format!("fs.defaultFS = {uri} names no NameNode for RPC: write an instance of `webhdfs` yourself"),
        ));
    }
}

/// A nameservice of `dfs.nameservices`, with what its properties say.
fn nameservice(draft: &mut ProposalDraft<'_>, name: &str) -> Option<NameService> {
    let ids = draft.list(&format!("dfs.ha.namenodes.{name}"));
    let suffixes =
        if ids.is_empty() { vec![format!(".{name}")] } else { ids.iter().map(|id| format!(".{name}.{id}")).collect() };
    let mut servers = Vec::new();
    for suffix in suffixes {
        let property = format!("dfs.namenode.rpc-address{suffix}");
        match draft.get(&property) {
            Some(text) => servers.extend(draft.address(&property, &text, RPC_PORT).map(|address| (suffix, address))),
            None => draft.note(format!("{property} is not set: this server of {name} is left out")),
        }
    }
    if servers.len() > MAX_SERVERS {
        draft.note(format!("{name} has {} servers: those beyond {MAX_SERVERS} are left out", servers.len()));
        servers.truncate(MAX_SERVERS);
    }
    let set = (!ids.is_empty()).then(|| name.to_owned());
    (!servers.is_empty()).then(|| NameService { set, name: name.to_owned(), servers })
}

fn single(server: HadoopAddress) -> NameService {
    let name = server.host.to_string().split('.').next().unwrap_or_default().to_owned();
    NameService { set: None, name, servers: vec![(String::new(), server)] }
}

/// A NameNode that a URI names by its address, if it is none of those that are known.
fn of_uri(draft: &mut ProposalDraft<'_>, uri: &str, known: &[NameService]) -> Option<NameService> {
    let rest = uri.strip_prefix("hdfs://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    if known.iter().any(|service| service.name == authority) {
        return None;
    }
    let server = draft.address(uri, authority, RPC_PORT)?;
    let is_known = known.iter().flat_map(|service| &service.servers).any(|(_, address)| *address == server);
    (!is_known).then(|| single(server))
}

/// The file systems behind the mount tables of viewfs, which has no tokens of its own.
fn mounted(draft: &mut ProposalDraft<'_>) -> Vec<String> {
    let links: Vec<String> = draft
        .properties
        .beginning("fs.viewfs.mounttable.")
        .filter(|(name, _)| name.contains(".link"))
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut uris = BTreeSet::new();
    for link in links {
        for target in draft.list(&link) {
            let authority = target.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
            match (target.split_once("://").map(|(scheme, _)| scheme), authority) {
                (Some("hdfs"), Some(authority)) => {
                    uris.insert(format!("hdfs://{authority}"));
                }
                (Some("file"), _) => {}
                _ => draft.note(format!("{link} leads to {target}: propose it yourself, if it needs a token")),
            }
        }
    }
    uris.into_iter().collect()
}

fn add_rpc(draft: &mut ProposalDraft<'_>, service: &NameService) {
    let is_router = service.servers.iter().all(|(_, address)| address.port == ROUTER_PORT);
    let (properties, default) = if is_router {
        (vec!["dfs.federation.router.kerberos.principal".to_owned()], "router")
    } else {
        let own = service.servers.first().map(|(suffix, _)| format!("dfs.namenode.kerberos.principal{suffix}"));
        let of_service = format!("dfs.namenode.kerberos.principal.{}", service.name);
        let all = "dfs.namenode.kerberos.principal".to_owned();
        (std::iter::once(all.clone()).chain(own).chain([of_service]).collect(), "hdfs")
    };
    let Some(principal) = ServicePrincipal::find(draft, &properties, default) else { return };
    let addresses: Vec<String> = service.servers.iter().map(|(_, address)| address.to_string()).collect();
    let mut settings = vec![("namenodes", addresses.join(","))];
    settings.extend(name_settings(draft, service));
    settings.push(("principal", principal.as_str().to_owned()));
    settings.extend(protection(draft));
    let tcp = service.servers.iter().map(|(_, address)| tcp(address)).collect();
    let instance = ProposedInstance {
        name: String::new(),
        about: about(service, is_router),
        provider: "hdfs",
        enabled: true,
        settings,
        targets: vec![principal.as_str().to_owned()],
        tcp,
        http: Vec::new(),
    };
    draft.add("hdfs", &service.name, instance);
}

fn about(service: &NameService, is_router: bool) -> String {
    let count = service.servers.len();
    match (&service.set, is_router) {
        (Some(name), true) if count == 1 => {
            format!("hdfs://{name}: a router of a federation, one token for all behind it")
        }
        (Some(name), true) => format!("hdfs://{name}: {count} routers of a federation, one token for all behind them"),
        (Some(name), false) if count == 1 => format!("hdfs://{name}: one NameNode"),
        (Some(name), false) => format!("hdfs://{name}: {count} NameNodes, one of them active"),
        (None, true) => format!("hdfs://{}: a router", first(service)),
        (None, false) => format!("hdfs://{}: one NameNode", first(service)),
    }
}

fn first(service: &NameService) -> String {
    service.servers.first().map(|(_, address)| address.to_string()).unwrap_or_default()
}

/// How clients look for the token.
fn name_settings(draft: &mut ProposalDraft<'_>, service: &NameService) -> Option<(&'static str, String)> {
    match &service.set {
        Some(name) => Some(("nameservice", name.clone())),
        None if draft.flag("hadoop.security.token.service.use_ip", true) => None,
        None => Some(("use-ip", "false".to_owned())),
    }
}

/// The qualities of protection that clients accept, if that is not the default of all three.
pub(crate) fn protection(draft: &mut ProposalDraft<'_>) -> Option<(&'static str, String)> {
    let qualities = draft.list("hadoop.rpc.protection");
    let is_known = |quality: &String| ["authentication", "integrity", "privacy"].contains(&quality.as_str());
    if let Some(other) = qualities.iter().find(|quality| !is_known(quality)) {
        draft.note(format!("hadoop.rpc.protection has {other}, which is not known: every quality is accepted"));
        return None;
    }
    // A client that offers authentication alone is content with more; so is the provider.
    let is_demanding = !qualities.is_empty() && !qualities.iter().any(|quality| quality == "authentication");
    is_demanding.then(|| ("protection", qualities.join(",")))
}

pub(crate) fn tcp(address: &HadoopAddress) -> TcpGrant {
    TcpGrant { allow: address.to_string(), networks: address.networks() }
}

fn add_web(draft: &mut ProposalDraft<'_>, service: &NameService, enabled: bool) {
    if !draft.flag("dfs.webhdfs.enabled", true) {
        return;
    }
    let policy = draft.get("dfs.http.policy");
    let (scheme, property, port) = match policy.as_deref() {
        None | Some("HTTP_ONLY") => ("http", "dfs.namenode.http-address", HTTP_PORT),
        Some("HTTPS_ONLY" | "HTTP_AND_HTTPS") => ("https", "dfs.namenode.https-address", HTTPS_PORT),
        Some(other) => return draft.note(format!("dfs.http.policy is {other}, which is not known: no WebHDFS")),
    };
    let names = ["dfs.web.authentication.kerberos.principal", "dfs.namenode.kerberos.internal.spnego.principal"];
    let names = names.map(str::to_owned);
    // `*` stands for all principals of HTTP that are in the keytab.
    let names: Vec<String> = names.into_iter().filter(|name| draft.get(name).as_deref() != Some("*")).collect();
    let Some(principal) = ServicePrincipal::find(draft, &names, "HTTP") else { return };
    let mut servers = Vec::new();
    for (suffix, rpc) in &service.servers {
        let property = format!("{property}{suffix}");
        let text = draft.get(&property).unwrap_or_else(|| rpc.host.to_string());
        // The default listens at all addresses of the NameNode's own host.
        let text = text.replacen("0.0.0.0", &rpc.host.to_string(), 1);
        servers.extend(draft.address(&property, &text, port));
    }
    let Some(first) = servers.first().cloned() else { return };
    let urls: Vec<String> = servers.iter().map(|address| format!("{scheme}://{address}")).collect();
    let name = name_settings(draft, service);
    // The name of the token has the server's IP address, which a connection's rule lets the provider look up.
    let needs_address = name.is_none();
    let http = servers.iter().map(|address| HttpGrant {
        allow: format!("{scheme}://{address}"),
        path: "/webhdfs/v1/".to_owned(),
        networks: address.networks(),
        negotiate: principal.on(&address.host.to_string()),
    });
    let instance = ProposedInstance {
        name: String::new(),
        about: format!(
            "{}webhdfs://{}: for clients that use this scheme",
            if scheme == "https" { "s" } else { "" },
            service.set.clone().unwrap_or_else(|| first.to_string())
        ),
        provider: "webhdfs",
        enabled,
        settings: std::iter::once(("urls", urls.join(","))).chain(name).collect(),
        targets: Vec::new(),
        tcp: needs_address.then(|| tcp(&first)).into_iter().collect(),
        http: http.collect(),
    };
    draft.add("webhdfs", &service.name, instance);
}
