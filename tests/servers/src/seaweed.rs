//! SeaweedFS: a real S3 with a real STS, which checks signatures and session tokens.

use std::path::Path;

use crate::{Error, Lasting, Server, Start, free_ports, get, lasting_ports, tool};

/// Who may do what there: an administrator with a key, and a role that anyone with a key may assume.
const IAM: &str = r#"{
  "identities": [{
    "name": "admin",
    "credentials": [{"accessKey": "ACCESS_KEY", "secretKey": "SECRET_KEY"}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"]
  }],
  "sts": {
    "tokenDuration": "1h",
    "maxSessionLength": "12h",
    "issuer": "deputy-tests",
    "signingKey": "dGhpcyBrZXkgc2lnbnMgdG9rZW5zIG9mIHRlc3Qgc2VydmVycw=="
  },
  "policies": [{
    "name": "all-of-s3",
    "document": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}]}
  }],
  "roles": [{
    "roleName": "worker",
    "roleArn": "ROLE_ARN",
    "trustPolicy": {
      "Version": "2012-10-17",
      "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]}]
    },
    "attachedPolicies": ["all-of-s3"]
  }]
}
"#;

/// Where it puts its sockets, whatever its options say.
const SOCKETS: &str = "/tmp";

/// Where a SeaweedFS is that is stopped and started again: its ports, and the folder of its data.
pub struct Place {
    ports: [u16; PORTS],
    data: Lasting,
}

/// How many ports it needs.
const PORTS: usize = 8;

pub struct Seaweed {
    server: Server,
    port: u16,
}

impl Place {
    /// A place where none was yet.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { ports: lasting_ports()?, data: Lasting::new("seaweedfs-data")? })
    }
}

impl Seaweed {
    /// The administrator's access key.
    pub const ACCESS_KEY: &'static str = "AKIADEPUTYTESTSEAWEED";
    /// The administrator's secret key, which must never be seen outside the host.
    pub const SECRET_KEY: &'static str = "seaweed/test/key/that/must/never/be/seen";
    /// The role to assume.
    pub const ROLE_ARN: &'static str = "arn:aws:iam::role/worker";
    /// A region: any will do.
    pub const REGION: &'static str = "us-east-1";

    /// Starts one. It takes a few seconds.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self, Error> {
        let start = Start::new("seaweedfs", &tool("weed")?)?;
        let data = start.folder().to_owned();
        Self::begin(start, &data, free_ports()?)
    }

    /// Starts one at its place, where its data is that it had there before.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_at(place: &Place) -> Result<Self, Error> {
        Self::begin(Start::new("seaweedfs", &tool("weed")?)?, place.data.path(), place.ports)
    }

    fn begin(mut start: Start, data: &Path, ports: [u16; PORTS]) -> Result<Self, Error> {
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, port, s3_grpc] = ports;
        let iam = IAM
            .replace("ACCESS_KEY", Self::ACCESS_KEY)
            .replace("SECRET_KEY", Self::SECRET_KEY)
            .replace("ROLE_ARN", Self::ROLE_ARN);
        let iam = start.file("iam.json", &iam)?;
        let ports = [
            ("master.port", master),
            ("master.port.grpc", master_grpc),
            ("volume.port", volume),
            ("volume.port.grpc", volume_grpc),
            ("filer.port", filer),
            ("filer.port.grpc", filer_grpc),
            ("s3.port", port),
            ("s3.port.grpc", s3_grpc),
            // Not needed, and on fixed ports if not told otherwise.
            ("s3.port.iceberg", 0),
            ("s3.port.lance", 0),
        ];
        for (kind, port) in [
            ("master-grpc", master_grpc),
            ("volume-grpc", volume_grpc),
            ("filer-grpc", filer_grpc),
            ("filer", filer),
            ("s3-grpc", s3_grpc),
            ("s3", port),
        ] {
            start = start.leaves(&format!("{SOCKETS}/seaweedfs-{kind}-{port}.sock"));
        }
        let server = start
            .args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=8", "-volume.minFreeSpace=0"])
            // It is alone, and need not wait for others' votes when it comes back.
            .args(["-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-master.electionTimeout=1s"])
            .args([format!("-dir={}", data.display()), format!("-s3.iam.config={}", iam.display())])
            .args(ports.map(|(name, port)| format!("-{name}={port}")))
            .until(|| {
                // The last to be ready are the place for an object's bytes, and the gateway.
                get(master, "/dir/assign").is_some_and(|answer| answer.body.contains("\"fid\""))
                    && get(port, "/").is_some_and(|answer| answer.status == 403)
            })?;
        Ok(Self { server, port })
    }

    /// Where S3 and STS are.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of S3 and STS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }
}
