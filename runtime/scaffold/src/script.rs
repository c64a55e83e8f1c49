//! The test of a new connector, for `deputy test`.

use crate::{ConnectorKind, NewConnector};

pub(crate) fn text(connector: &NewConnector) -> String {
    let name = connector.name.as_str();
    match connector.kind {
        ConnectorKind::Provider => PROVIDER.replace("NAME", name),
        ConnectorKind::Receiver => RECEIVER.replace("NAME", name),
    }
}

const PROVIDER: &str = r#"# `deputy test .` runs it: the component in its sandbox, against servers that answer as it says here.

[instance]
component = "NAME.wasm"

[instance.settings]
token-url = "https://login.example/token"
scope = "read"

[[instance.http]]
allow = "https://login.example"
methods = ["POST"]
paths = ["/token"]

[[call]]
name = "a token"

[[call.http]]
request = { method = "POST", url = "https://login.example/token", form = { grant_type = "client_credentials", scope = "read" } }
reply = { json = { access_token = "t0k3n", token_type = "Bearer", expires_in = 3600 } }

[call.expect]
kind = "bearer-token/1"
payload = "t0k3n"
expires-in = "1h"

[[call]]
name = "a refusal"

[[call.http]]
request = { method = "POST", url = "https://login.example/token" }
reply = { status = 401, json = { error = "invalid_client" } }

[call.expect]
failure = { kind = "denied", code = "invalid_client" }

[[call]]
name = "a misspelt setting"
settings = { scopes = "read" }

[call.expect]
failure = { kind = "misconfigured", setting = "scopes" }
"#;

const RECEIVER: &str = r#"# `deputy test .` runs it: the component in its sandbox, with the deliveries that stand here.

[receiver]
component = "NAME.wasm"

[[call]]
name = "a file for each instance"
function = "accept"
deliveries = [{ instance = "api", service = "oauth2", kind = "bearer-token/1", payload = "t0k3n" }]

[call.expect]
files = { "api.header" = "Authorization: Bearer t0k3n\n" }

[[call]]
name = "a token that is no word"
function = "accept"
deliveries = [{ instance = "api", service = "oauth2", kind = "bearer-token/1", payload = "t0k3n\nX-Other: 1" }]

[call.expect]
files = {}
rejected = { api = { kind = "denied" } }
"#;
