//! The programs of this folder, one for each client.

use deputy_test_servers::{class_path, tool};

use crate::client::{Program, installed, source};

/// Short calls, one after the other. Each starts a Python, so they are far apart.
const CALLS: &str = "while [ ! -e \"$UNTIL\" ]; do \"$@\" s3 cp \"s3://bucket/$OBJECT\" - >/dev/null; sleep 6; done";

/// The same with calls that may come too late for the key that they found.
const LATE_CALLS: &str =
    "while [ ! -e \"$UNTIL\" ]; do \"$@\" s3 cp \"s3://bucket/$OBJECT\" - >/dev/null || true; sleep 6; done";

/// JVMs that live for a minute, beside others.
const JVM: [&str; 3] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"];

/// What Spark looks into, as its `spark-submit` opens it.
const SPARK: [&str; 8] = [
    "java.lang",
    "java.lang.invoke",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "sun.nio.ch",
    "sun.security.action",
];

/// boto3, and every program that goes on with it.
pub(crate) fn boto3() -> Program {
    python("boto3", "boto3", &[])
}

/// The clients that find credentials in every way.
pub(crate) fn all() -> Vec<Program> {
    vec![
        boto3(),
        aws_cli(),
        program("AWS SDK for JavaScript, v3", "javascript", &["node", &source("javascript/read.cjs")])
            .with("NODE_PATH", tools("clients-javascript/node_modules")),
        go(),
        program("AWS SDK for Rust", "rust", &[&installed("client-rust")]),
        python("pyarrow", "pyarrow", &[("open.py", "### pyarrow", "python")]),
        python("s3fs", "s3fs", &[]),
        python("DuckDB", "duckdb", &[("secret.sql", "### DuckDB", "sql")]),
        python("rclone", "rclone", &[("rclone.conf", "### rclone", "ini")]).with("RCLONE", installed("rclone")),
    ]
}

/// AWS's SDK for Go, which starts faster than any other.
pub(crate) fn go() -> Program {
    program("AWS SDK for Go, v2", "go", &[&installed("client-go")])
}

/// AWS's SDK for Java. A JVM takes a processor for seconds.
pub(crate) fn java() -> Program {
    jvm("AWS SDK for Java, 2.x", "java", "SdkRead", &[])
}

pub(crate) fn hadoop() -> Program {
    jvm("Hadoop S3A", "hadoop", "HadoopRead", &[("core-site.xml", "### Hadoop S3A", "xml")])
}

pub(crate) fn spark() -> Program {
    jvm("Spark S3A", "spark", "SparkRead", &[("spark-defaults.conf", "### Spark", "conf")])
}

/// The AWS CLI, which starts for each call.
pub(crate) fn aws_cli() -> Program {
    program("AWS CLI, version 1", "aws-cli", &["/bin/sh", "-e", "-c", CALLS, "calls", &installed("aws")])
}

/// The same with the shared file. On a busy machine a key can end between the look into the file and the request.
pub(crate) fn short_calls() -> Program {
    program("AWS CLI, version 1", "aws-cli", &["/bin/sh", "-e", "-c", LATE_CALLS, "calls", &installed("aws")])
}

fn python(
    client: &'static str,
    name: &'static str,
    files: &'static [(&'static str, &'static str, &'static str)],
) -> Program {
    let python = match name {
        "boto3" => installed("python"),
        _ => tools("clients-python/bin/python"),
    };
    Program { files, ..program(client, name, &[&python, &source("python/read.py"), name]) }
}

fn jvm(
    client: &'static str,
    name: &'static str,
    class: &str,
    files: &'static [(&'static str, &'static str, &'static str)],
) -> Program {
    // Its own folder is the first on the class path.
    let path = format!(".:{}", class_path("clients").unwrap());
    let opens = SPARK.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
    let mut command = vec!["java"];
    command.extend(JVM);
    command.extend(opens.iter().map(String::as_str));
    command.extend(["-cp", &path, class]);
    Program { files, ..program(client, name, &command) }
}

fn program(client: &'static str, name: &'static str, command: &[&str]) -> Program {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Program { client, name, command, files: &[], environment: Vec::new() }
}

/// A path in the folder of the tools.
fn tools(path: &str) -> String {
    let python = tool("python").unwrap();
    let folder = python.ancestors().nth(3).unwrap();
    folder.join(path).to_str().unwrap().to_owned()
}

impl Program {
    fn with(mut self, variable: &'static str, value: String) -> Self {
        self.environment.push((variable, value));
        self
    }
}
