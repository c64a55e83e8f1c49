//! Lists a bucket in a loop while its credentials are replaced.
//!
//! ```sh
//! deputy token create --group analytics --out join
//! cargo run --example list -- --join join --instance s3-prod --bucket events --endpoint http://127.0.0.1:8333
//! ```
//!
//! Each line of its output has the number of objects and the public half of the key that signed the request.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints and waits"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use deputy_link::client::Engine;
use deputy_object_store::AwsLease;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;

#[tokio::main]
async fn main() -> ExitCode {
    match run(arguments()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: BTreeMap<String, String>) -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| arguments.get(name).ok_or_else(|| format!("--{name} is missing"));
    // One TLS library for the whole program: HTTP uses the one that the link uses.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();

    let instance: deputy_core::InstanceName = argument("instance")?.parse()?;
    let join = std::fs::read_to_string(argument("join")?)?.parse()?;
    let link = Engine::new("list-0.1").with_instance(instance.clone()).join(&join).await?;
    let lease = AwsLease::new(&link, instance);
    let store = AmazonS3Builder::new()
        .with_bucket_name(argument("bucket")?)
        .with_endpoint(argument("endpoint")?)
        .with_region("us-east-1")
        .with_allow_http(true)
        .with_credentials(lease.credentials())
        .build()?;

    let credentials = lease.credentials();
    loop {
        let objects: Vec<_> = store.list(None).try_collect().await?;
        println!("{} objects with {}", objects.len(), credentials.get_credential().await?.key_id);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Pairs of `--name value`.
fn arguments() -> BTreeMap<String, String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let pairs = words.chunks_exact(2).filter_map(|pair| match pair {
        [name, value] => Some((name.strip_prefix("--")?.to_owned(), value.clone())),
        _ => None,
    });
    pairs.collect()
}
