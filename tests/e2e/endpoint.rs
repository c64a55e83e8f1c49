//! A worker's endpoint for AWS, asked by boto3 and the AWS CLI, which find it by their environment alone and read an object
//! of SeaweedFS with what they get there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::time::Clock;
use deputy_core::{Delivery, InstanceName, LeaseVersion, Revision, SecretBytes, Timestamp};
use deputy_http_server::{listen, serve};
use deputy_link::DeliveredState;
use deputy_sources::SourceContext;
use deputy_support::SystemClock;
use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::{Error, aws, boto, free_ports};
use deputy_worker::endpoint::{AwsContainerEndpoint, TokenFile};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::s3::{home_with, object};
use crate::servers;

/// Reads an object again and again, with one client, until it did so with other credentials than at first.
const ROTATION: &str = "
import boto3, os, time
session = boto3.session.Session()
s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
seen, read = [], 0
for _ in range(400):
    assert s3.get_object(Bucket='bucket', Key='endpoint')['Body'].read() == b'written with obtained credentials'
    read += 1
    key = session.get_credentials().get_frozen_credentials().access_key
    if key not in seen:
        seen.append(key)
        print(key, flush=True)
        open(os.environ['SEEN'], 'a').write(key + '\\n')
    if len(seen) == 2:
        break
    time.sleep(0.05)
print('read', read > 1)
";

/// An endpoint of a worker that holds what it is handed.
struct Endpoint {
    runtime: Runtime,
    held: watch::Sender<Arc<DeliveredState>>,
    home: TestEnvironment,
    uri: String,
    token_file: PathBuf,
}

impl Endpoint {
    fn start() -> Self {
        let home = home_with("");
        let runtime = Runtime::new().unwrap();
        let (held, receiver) = watch::channel(Arc::default());
        let [port] = free_ports().unwrap();
        let token_file = home.path("secrets/endpoint.token");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let instance: InstanceName = "s3".parse().unwrap();
        let uri = format!("http://127.0.0.1:{port}{}", AwsContainerEndpoint::path(&instance));
        runtime.block_on(async {
            let here = SourceContext::of_process();
            let token = TokenFile::open(&token_file, &SystemRandom::new(), &here, Arc::clone(&clock)).await.unwrap();
            let listener = listen(([127, 0, 0, 1], port).into()).await.unwrap();
            tokio::spawn(serve(listener, Arc::new(AwsContainerEndpoint::new(instance, token, receiver, clock))));
        });
        Self { runtime, held, home, uri, token_file }
    }

    /// Obtains, and delivers that: valid for this long, by what the worker receives.
    fn deliver(&self, revision: u64, life: Duration) -> String {
        let payload = self.home.deputy(&["obtain", "s3", "--reveal"]).ends_with(exit::OK).stdout;
        let instance: InstanceName = "s3".parse().unwrap();
        let millis = u64::try_from(life.as_millis()).unwrap();
        let delivery = Delivery {
            instance: instance.clone(),
            service: "s3".parse().unwrap(),
            kind: "aws-credential-process/1".parse().unwrap(),
            stamp: LeaseVersion { revision: Revision(revision), obtained_at: SystemClock::wall() },
            valid_until: Timestamp::from_millis(SystemClock::wall().as_millis() + millis),
            next_at: None,
            renewable_until: None,
            payload: Arc::new(SecretBytes::new(payload.clone().into_bytes())),
            trace: None,
        };
        let held = DeliveredState {
            deliveries: BTreeMap::from([(instance, delivery)]),
            complete: true,
            ..DeliveredState::default()
        };
        self.held.send(Arc::new(held)).unwrap();
        payload
    }

    /// What a program finds in its environment.
    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &self.uri),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", self.token_file.to_str().unwrap()),
        ]
    }

    fn cli(&self, environment: &[(&str, &str)]) -> Result<String, Error> {
        let endpoint = servers::seaweed().endpoint();
        aws(
            &["--endpoint-url", &endpoint, "--region", "us-east-1", "s3", "cp", "s3://bucket/endpoint", "-"],
            environment,
        )
    }
}

fn key_id(payload: &str) -> String {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    payload["AccessKeyId"].as_str().unwrap().to_owned()
}

#[test]
fn endpoint_serves_the_aws_cli() {
    let endpoint = Endpoint::start();
    let payload = endpoint.deliver(1, Duration::from_secs(3600));
    object(&payload, "endpoint").unwrap();
    assert_eq!(endpoint.cli(&endpoint.environment()).unwrap(), "written with obtained credentials");

    let without = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.uri.as_str())];
    let refused = endpoint.cli(&without).unwrap_err().to_string();
    assert!(refused.contains("401") && refused.contains("Unauthorized"), "{refused}");
    let (guessed, uri) = ("0123456789abcdef0123456789abcdef", endpoint.uri.as_str());
    let wrong = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", guessed)];
    assert!(endpoint.cli(&wrong).unwrap_err().to_string().contains("401"));
}

#[test]
fn boto3_goes_on_reading_while_credentials_are_replaced() {
    let endpoint = Endpoint::start();
    // boto3 asks again from a quarter of an hour before the end.
    let first = endpoint.deliver(1, Duration::from_secs(600));
    object(&first, "endpoint").unwrap();
    let (at, seen) = (servers::seaweed().endpoint(), endpoint.home.path("seen"));
    let mut environment = endpoint.environment();
    environment.extend([("ENDPOINT", at.as_str()), ("SEEN", seen.to_str().unwrap())]);
    let (printed, second) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| boto(ROTATION, &environment));
        while !seen.exists() {
            assert!(!reader.is_finished(), "it did not read");
            std::thread::sleep(Duration::from_millis(20));
        }
        let second = endpoint.deliver(2, Duration::from_secs(600));
        (reader.join().unwrap().unwrap(), second)
    });
    assert_eq!(printed, format!("{}\n{}\nread True\n", key_id(&first), key_id(&second)));
}

#[test]
fn endpoint_serves_no_expired_credentials() {
    let endpoint = Endpoint::start();
    endpoint.deliver(1, Duration::ZERO);
    let refused = endpoint.cli(&endpoint.environment()).unwrap_err().to_string();
    assert!(refused.contains("503") && refused.contains("Expired"), "{refused}");
    endpoint.held.send(Arc::default()).unwrap();
    let refused = endpoint.cli(&endpoint.environment()).unwrap_err().to_string();
    assert!(refused.contains("503") && refused.contains("NotHeld"), "{refused}");
    endpoint.runtime.shutdown_background();
}
