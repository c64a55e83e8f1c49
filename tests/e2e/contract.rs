//! An author needs the folder `wit/` and nothing else of this project.

use std::fs;
use std::path::Path;
use std::process::Command;

use deputy_test_harness::{TestEnvironment, exit};
use wit_component::ComponentEncoder;

const MANIFEST: &str = r#"
[workspace]

[package]
name = "author"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
wit-bindgen = { version = "0.62", default-features = false, features = ["macros", "realloc"] }

[profile.release]
opt-level = "s"
lto = true
codegen-units = 1
panic = "abort"
strip = true
"#;

/// A provider that uses a secret and renews, with the contract's own worlds included.
const PROVIDER: &str = r#"
wit_bindgen::generate!({
    path: "wit",
    inline: "
        package author:provider;
        world mine {
            include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/uses-secrets@0.2.0;
        }
    ",
    world: "author:provider/mine",
    generate_all,
});

use delegation::tokens::secrets;
use delegation::tokens::types::{Expiry, Failure, Next, Setting, Tokens};

struct Mine;
export!(Mine);

impl exports::delegation::tokens::provider::Guest for Mine {
    fn service_name(_: Vec<Setting>) -> Result<String, Failure> {
        Ok("mine".to_owned())
    }

    fn kinds(_: Vec<Setting>) -> Result<Vec<String>, Failure> {
        Ok(vec!["mine/1".to_owned()])
    }

    fn tokens_required(settings: Vec<Setting>) -> Result<bool, Failure> {
        Ok(!settings.is_empty())
    }

    fn obtain(settings: Vec<Setting>) -> Result<Tokens, Failure> {
        let user = settings.first().ok_or_else(|| failure(Next::Misconfigured, "name a user".to_owned()))?;
        let key = secrets::open("key").map_err(|error| failure(Next::Misconfigured, format!("{error:?}")))?;
        let mac = key.hmac_sha256(user.value.as_bytes());
        let mac = mac.map_err(|error| failure(Next::Unavailable, format!("{error:?}")))?;
        Ok(Tokens {
            kind: "mine/1".to_owned(),
            payload: format!("{} {:02x}{:02x}", user.value, mac[0], mac[1]).into_bytes(),
            expiry: Expiry::At(4_102_444_800_000),
            next_at: None,
            renewable_until: None,
            handle: Vec::new(),
            facts: Vec::new(),
        })
    }
}

impl exports::delegation::tokens::renewal::Guest for Mine {
    fn renew(_: Vec<Setting>, tokens: Tokens) -> Result<Tokens, Failure> {
        Ok(tokens)
    }
}

fn failure(next: Next, message: String) -> Failure {
    Failure { next, message, code: None, setting: None, retry_after_ms: None, facts: Vec::new() }
}
"#;

const SECRETS: &str = "delegation:tokens/secrets@0.2.0";

/// Builds the component in a folder that holds the contract's folder and the author's two files.
fn build(folder: &Path) -> Vec<u8> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    for name in ["wit", "src"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for file in fs::read_dir(root.join("wit")).unwrap().map(Result::unwrap) {
        assert!(file.file_type().unwrap().is_file(), "the contract is no longer one flat folder");
        fs::copy(file.path(), folder.join("wit").join(file.file_name())).unwrap();
    }
    fs::write(folder.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(folder.join("src/lib.rs"), PROVIDER).unwrap();
    // The versions that the providers are built with, which are on this machine since `cargo xtask guests`.
    fs::copy(root.join("providers/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Beside the other guests: what they share is not built again.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../wasm");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--release", "--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}\nIf crates are missing: run `cargo xtask guests`");
    let module = fs::read(target.join("wasm32-unknown-unknown/release/author.wasm")).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

#[test]
fn contract_folder_suffices_to_build_a_provider() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("author.wasm");
    fs::write(&component, build(folder.path())).unwrap();
    let lines = format!(
        r#"
        [instances.mine]
        component = "{}"
        settings = {{ user = "worker" }}

        [instances.mine.secrets.key]
        file = "secrets/key"
        hmac-sha256 = true
        "#,
        component.display()
    );
    let mut home = TestEnvironment::new().secret("key", "0123456789abcdef0123456789abcdef");
    home.append(&lines);

    let seen = home.deputy(&["inspect", component.to_str().unwrap(), "--json"]).ends_with(exit::OK).json();
    assert_eq!(seen["service"], "mine");
    assert_eq!(seen["exports"], serde_json::json!({ "renewal": true, "revocation": false }));
    let secrets =
        &seen["imports"].as_array().unwrap().iter().find(|own| own["interface"] == SECRETS).unwrap()["functions"];
    assert_eq!(*secrets, serde_json::json!(["[method]secret.hmac-sha256", "open"]), "more than the code uses");

    // The first two bytes of HMAC-SHA256 of the user, by OpenSSL.
    let run = home.deputy(&["obtain", "mine", "--reveal"]).ends_with(exit::OK);
    assert_eq!(run.stdout.trim_end(), "worker ed69");
}
