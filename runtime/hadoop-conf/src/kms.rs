//! Hadoop KMS: the servers of the key provider.

use crate::address::{HadoopAddress, MAX_SERVERS};
use crate::principal::ServicePrincipal;
use crate::proposal::{HttpGrant, ProposalDraft, ProposedInstance};

/// Where clients find the key provider, newer names first.
const PROPERTIES: [&str; 3] =
    ["hadoop.security.key.provider.path", "dfs.encryption.key.provider.uri", "dfs.encryption.key.provider.path"];

pub(crate) fn propose(draft: &mut ProposalDraft<'_>) {
    let Some((property, uri)) = PROPERTIES.iter().find_map(|name| Some((*name, draft.get(name)?))) else { return };
    if !uri.starts_with("kms://") {
        return draft.note(format!("{property} = {uri}: not a KMS, so it needs no token"));
    }
    let servers = servers(&uri).map_err(|problem| format!("{property} = {uri}: {problem}"));
    let Some((scheme, path, servers)) = draft.known(servers) else { return };
    let Some(principal) = ServicePrincipal::find(draft, &[], "HTTP") else { return };
    let http = servers.iter().map(|address| HttpGrant {
        allow: format!("{scheme}://{address}"),
        path: format!("{path}/v1/"),
        networks: address.networks(),
        negotiate: principal.on(&address.host.to_string()),
    });
    let instance = ProposedInstance {
        name: String::new(),
        about: match servers.len() {
            1 => "the keys of encryption zones, at one KMS server".to_owned(),
            count => format!("the keys of encryption zones, at {count} KMS servers"),
        },
        provider: "kms",
        enabled: true,
        settings: vec![("provider", uri)],
        targets: Vec::new(),
        tcp: Vec::new(),
        http: http.collect(),
    };
    draft.add("kms", "", instance);
}

/// Scheme, path and servers of `kms://https@kms1;kms2:9600/kms`, where the port is that of all.
fn servers(uri: &str) -> Result<(String, String, Vec<HadoopAddress>), String> {
    let wrong = "not of the form kms://https@kms1.example.com;kms2.example.com:9600/kms";
    let (scheme, rest) = uri.trim_start_matches("kms://").split_once('@').ok_or(wrong)?;
    let (authority, path) = rest.split_once('/').ok_or(wrong)?;
    let (hosts, port) = match authority.split_once(':') {
        Some((hosts, port)) => (hosts, port.parse::<u16>().map_err(|_| wrong)?),
        None if scheme == "https" => (authority, 443),
        None => (authority, 80),
    };
    if !matches!(scheme, "http" | "https") || path.contains(['?', '#', '"', '\\']) {
        return Err(wrong.to_owned());
    }
    let servers: Vec<HadoopAddress> =
        hosts.split(';').map(|host| HadoopAddress::parse(host, port)).collect::<Result<_, String>>()?;
    if servers.len() > MAX_SERVERS {
        return Err(format!("{} servers, of at most {MAX_SERVERS}", servers.len()));
    }
    Ok((scheme.to_owned(), format!("/{}", path.trim_end_matches('/')), servers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kms_servers_share_scheme_port_and_path() {
        let (scheme, path, found) = servers("kms://https@h1;h2:9600/kms").unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            (scheme.as_str(), path.as_str(), found),
            ("https", "/kms", vec!["h1:9600".to_owned(), "h2:9600".to_owned()])
        );
        assert_eq!(servers("kms://http@h1/kms/").unwrap().2.first().unwrap().port, 80);
        for uri in [
            "kms://h1:9600/kms",
            "kms://ftp@h1:9600/kms",
            "kms://https@h1:x/kms",
            "kms://https@h1:9600",
            "kms://https@;h1:1/k",
        ] {
            assert!(servers(uri).is_err(), "{uri}");
        }
        assert!(servers(&format!("kms://https@{}:1/kms", ["h"; 9].join(";"))).unwrap_err().contains("of at most 8"));
    }
}
