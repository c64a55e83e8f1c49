//! The machine that the page describes: an S3 whose keys end, a coordinator, and a worker with all ways to its leases.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use deputy_test_harness::{TestEnvironment, exit};
use deputy_test_servers::{ExpiringKeys, Reads, Seaweed, boto, free_ports, guest};

use crate::client::Client;
use crate::page::Place;

/// How long each key is good.
const LIFE: Duration = Duration::from_secs(20);

/// How long Deputy says that it is good. The rest is for a request on its way on a busy machine.
const LIFETIME: &str = "19s";

/// What all clients read.
pub(crate) const CONTENT: &str = "what all clients read";

pub(crate) struct Site {
    /// It ends with this.
    _seaweed: Seaweed,
    pub(crate) s3: ExpiringKeys,
    pub(crate) home: TestEnvironment,
    /// Where the endpoint for AWS listens.
    listen: String,
}

impl Site {
    /// The buckets are there, and the objects of these clients.
    pub(crate) fn new(objects: &[String]) -> Self {
        let seaweed = Seaweed::start().unwrap();
        let s3 = ExpiringKeys::start(seaweed.port(), LIFE, &[Seaweed::ACCESS_KEY]).unwrap();
        let script = "
import boto3, os
s3 = boto3.client('s3')
for bucket in 'bucket', 'engine':
    s3.create_bucket(Bucket=bucket)
for key in os.environ['OBJECTS'].split():
    s3.put_object(Bucket='bucket', Key=key, Body=os.environ['CONTENT'].encode())
";
        let environment = [
            ("AWS_ACCESS_KEY_ID", Seaweed::ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", Seaweed::SECRET_KEY),
            ("AWS_ENDPOINT_URL_S3", &seaweed.endpoint()),
            ("OBJECTS", &objects.join(" ")),
            ("CONTENT", CONTENT),
        ];
        boto(script, &environment).unwrap();
        let [coordinator, endpoint] = free_ports().unwrap();
        let site = Self {
            home: home(&s3.endpoint(), coordinator),
            _seaweed: seaweed,
            s3,
            listen: format!("127.0.0.1:{endpoint}"),
        };
        site.configure_worker();
        site
    }

    /// Where the worker publishes: `/run/deputy` on the page. It is not searched for secrets, since they are there.
    pub(crate) fn run(&self) -> PathBuf {
        self.home.path("secrets/run")
    }

    /// A join string of a group.
    pub(crate) fn join(&self, group: &str) -> PathBuf {
        let file = self.home.path(&format!("secrets/join-{group}"));
        let args = ["token", "create", "--group", group, "--out", file.to_str().unwrap()];
        self.home.deputy(&args).ends_with(exit::OK);
        file
    }

    /// What was seen of the object of a client.
    pub(crate) fn reads(&self, client: &Client) -> Reads {
        self.s3.reads(&format!("/bucket/{}", client.object))
    }

    /// What the page's names stand for.
    pub(crate) fn place(&self) -> Place {
        let endpoint = self.s3.endpoint();
        let text = |text: &str| text.to_owned();
        Place {
            replacements: vec![
                ("/run/deputy", self.run().to_str().unwrap().to_owned()),
                ("127.0.0.1:9911", self.listen.clone()),
                ("USE_SSL true", text("USE_SSL false")),
                ("'s3.example.com'", format!("'{}'", endpoint.trim_start_matches("http://"))),
                ("https://s3.example.com", endpoint),
                ("eu-west-1", text("us-east-1")),
                ("deputy exec", format!("{} exec", env!("CARGO_BIN_EXE_deputy"))),
                ("deputy get", format!("{} get", env!("CARGO_BIN_EXE_deputy"))),
            ],
        }
    }

    fn configure_worker(&self) {
        fs::create_dir(self.run()).unwrap();
        let (run, listen) = (self.run(), &self.listen);
        let text = format!(
            "[worker]\noutput = {run:?}\n[endpoints.socket]\npath = {:?}\n\
             [[endpoints.aws]]\nlisten = \"{listen}\"\ninstance = \"s3-prod\"\ntoken-file = {:?}\n",
            run.join("worker.sock"),
            run.join("s3-prod.token"),
        );
        fs::write(self.home.path("worker.toml"), text).unwrap();
    }
}

/// A coordinator whose only instance assumes the role again and again, by way of the proxy, which so learns of each key.
fn home(endpoint: &str, port: u16) -> TestEnvironment {
    let (id, secret, role) = (Seaweed::ACCESS_KEY, Seaweed::SECRET_KEY, Seaweed::ROLE_ARN);
    let home = TestEnvironment::new()
        .secret("aws-key", &format!(r#"{{"AccessKeyId": "{id}", "SecretAccessKey": "{secret}"}}"#));
    let receiver = guest("aws-credentials").unwrap();
    let mut home = home.instance(
        "s3-prod",
        "s3-sts",
        &format!(
            r#"
            lifetime = "{LIFETIME}"
            deliver-to = ["jobs", "engines"]
            [instances.s3-prod.settings]
            region = "us-east-1"
            endpoint = "{endpoint}"
            role-arn = "{role}"
            role-session-name = "clients"
            duration = "15m"

            # Each is good for half of its life yet when the next one is there.
            [instances.s3-prod.renew]
            ratio = 0.5

            [instances.s3-prod.secrets.aws-key]
            file = "secrets/aws-key"
            sigv4 = {{ services = ["sts"], regions = ["us-east-1"] }}

            [[instances.s3-prod.http]]
            allow = "{endpoint}"
            methods = ["POST"]
            paths = ["/"]
            networks = ["loopback"]

            [groups.jobs.receivers.aws]
            component = {receiver:?}
            instances = ["s3-prod"]
            settings = {{ region = "us-east-1", "endpoint.s3-prod" = "{endpoint}" }}
            "#
        ),
    );
    home.append(&format!("[coordinator]\nlisten = \"127.0.0.1:{port}\"\n"));
    home
}
