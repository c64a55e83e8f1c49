//! `deputy init`

mod answers;

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use deputy_config::{
    COORDINATOR_SCHEMA, InstanceTemplate, OAuth2Template, S3Template, WORKER_SCHEMA, WorkerTemplate,
    coordinator_schema, worker_schema,
};
use deputy_core::grant::Network;
use deputy_core::{GroupName, InstanceName};
use deputy_files::{FileError, ambient, shell_quoted};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::private_file::create_private_file;
use answers::Answers;

/// The folder of secrets beside the configuration.
const SECRETS: &str = "secrets";

/// Write a new configuration for a provider
///
/// Writes deputy.toml (mode 0600) with one instance and its grant, the folders `state` and `secrets` (mode 0700), and the JSON
/// Schema by which editors complete keys. It replaces no file, and connects to nothing. On a terminal it asks for what is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy init s3-sts --region eu-west-1 --role-arn arn:aws:iam::123456789012:role/worker
  deputy init s3-sts --endpoint http://127.0.0.1:8333 --role-arn arn:aws:iam::seaweed:role/deputy
  deputy init s3-sts --endpoint http://minio:9000 --network private --group analytics
  deputy init oauth2 --endpoint https://login.example.com/token --client-id deputy
  deputy init --worker --config /etc/deputy/worker.toml")]
pub(crate) struct InitArgs {
    /// What to obtain. For HDFS, HBase, Hive and YARN see `deputy hadoop-conf`
    #[arg(value_enum)]
    provider: Option<InitProvider>,
    /// Write worker.toml instead
    #[arg(long, conflicts_with_all = ["provider", "endpoint", "region", "role_arn", "client_id", "scope", "group", "network"])]
    worker: bool,
    /// The name of the instance [default: s3, api]
    #[arg(long, value_name = "NAME")]
    name: Option<InstanceName>,
    /// The URL of the server [default for s3-sts: AWS]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    endpoint: Option<String>,
    /// s3-sts: the region [default: us-east-1 with --endpoint]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// s3-sts: the role to assume
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// oauth2: the client
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// oauth2: what to ask for
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// A group of workers that gets the leases
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Permit addresses of this network: loopback, private, link-local or a CIDR block
    #[arg(long, value_name = "NETWORK")]
    network: Vec<Network>,
    /// The component's name or file [default: that of the provider]
    #[arg(long, value_name = "COMPONENT", value_hint = ValueHint::FilePath)]
    component: Option<String>,
    /// Ask nothing
    #[arg(long)]
    no_input: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InitProvider {
    /// S3 credentials of AWS STS, SeaweedFS, MinIO or Ceph
    S3Sts,
    /// Bearer tokens of OAuth 2.0 with a client's own credentials
    #[value(name = "oauth2")]
    OAuth2,
}

/// A configuration, and what is left to do.
struct Rendered {
    text: String,
    steps: Vec<String>,
}

pub(crate) fn run(context: &Context, arguments: &InitArgs) -> Result<Exit, CommandError> {
    let config = context.new_config_path(arguments.worker);
    if ambient::exists(&config).map_err(|error| failed(&config, error))? {
        let error = format!("{} exists: nothing was written", config.display());
        return Err(CommandError::new(Exit::Misconfigured, error).hint("name a new file with --config FILE"));
    }
    let folder = ambient::parent(&config).to_owned();
    let rendered = if arguments.worker {
        worker(arguments, &config)
    } else {
        let mut answers = Answers::new(context.printer, arguments.no_input);
        match provider(arguments, &mut answers)? {
            InitProvider::S3Sts => s3(context, arguments, &mut answers, &config)?,
            InitProvider::OAuth2 => oauth2(context, arguments, &mut answers, &config)?,
        }
    };
    let (state, schema) = match arguments.worker {
        true => ("worker-state", (WORKER_SCHEMA, worker_schema())),
        false => ("state", (COORDINATOR_SCHEMA, coordinator_schema())),
    };
    ambient::create_private_dir(&folder.join(state)).map_err(failed_file)?;
    if !arguments.worker {
        ambient::create_private_dir(&folder.join(SECRETS)).map_err(failed_file)?;
    }
    create_private_file(&config, rendered.text.as_bytes())?;
    let schema_path = folder.join(schema.0);
    if !ambient::exists(&schema_path).map_err(|error| failed(&schema_path, error))? {
        create_private_file(&schema_path, schema.1.as_bytes())?;
    }
    let mut text = format!("{} is written. Next:\n", config.display());
    for (number, step) in (1..).zip(&rendered.steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    context.stdout(&text)?;
    Ok(Exit::Done)
}

fn provider(arguments: &InitArgs, answers: &mut Answers) -> Result<InitProvider, CommandError> {
    if let Some(provider) = arguments.provider {
        return Ok(provider);
    }
    let answer = answers.required(None, "provider (s3-sts or oauth2)", "s3-sts or oauth2", None)?;
    InitProvider::from_str(&answer, true).map_err(|_| {
        CommandError::new(Exit::Misconfigured, format!("{answer:?} is not a provider: write s3-sts or oauth2"))
    })
}

fn s3(context: &Context, arguments: &InitArgs, answers: &mut Answers, config: &Path) -> Result<Rendered, CommandError> {
    let endpoint = match arguments.endpoint.clone() {
        None if arguments.region.is_none() => answers.optional("URL of the server (empty: AWS)")?,
        endpoint => endpoint,
    };
    let default = endpoint.as_ref().map(|_| "us-east-1");
    let region = answers.required(arguments.region.clone(), "region", "--region", default)?;
    let role_arn = match arguments.role_arn.clone() {
        None => answers.optional("role to assume (empty: none)")?,
        role => role,
    };
    let name = instance_name(arguments, "s3")?;
    let key = format!("{SECRETS}/aws-key.json");
    let template =
        S3Template { instance: instance(arguments, &name, "s3-sts"), region, endpoint, role_arn, key: key.clone() };
    let text = template.render().map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
    let put = put_secret(config, &key, "{\"AccessKeyId\": \"…\", \"SecretAccessKey\": \"…\"}");
    let mut steps = vec![put];
    steps.extend(steps_of_coordinator(context, &name));
    let get = context.command(&format!("get {name} --out FILE"));
    steps.push(format!("deputy exec {name}{} -- aws s3 ls      # or: {get}", context.config_option()));
    Ok(Rendered { text, steps })
}

fn oauth2(
    context: &Context,
    arguments: &InitArgs,
    answers: &mut Answers,
    config: &Path,
) -> Result<Rendered, CommandError> {
    let token_url = answers.required(arguments.endpoint.clone(), "token URL", "--endpoint", None)?;
    let client_id = answers.required(arguments.client_id.clone(), "client id", "--client-id", None)?;
    let name = instance_name(arguments, "api")?;
    let key = format!("{SECRETS}/client-secret");
    let template = OAuth2Template {
        instance: instance(arguments, &name, "oauth2-javascript"),
        token_url,
        client_id,
        scope: arguments.scope.clone(),
        key: key.clone(),
    };
    let text = template.render().map_err(|error| CommandError::new(Exit::Misconfigured, error))?;
    let mut steps = vec![put_secret(config, &key, "the client's secret")];
    steps.extend(steps_of_coordinator(context, &name));
    steps.push(context.command(&format!("get {name} --out FILE")));
    Ok(Rendered { text, steps })
}

fn worker(arguments: &InitArgs, config: &Path) -> Rendered {
    let receiver = arguments.component.clone().map(|component| {
        let instance = arguments.name.as_ref().map_or("s3".to_owned(), ToString::to_string);
        (component, vec![instance])
    });
    let text = WorkerTemplate { join: "join".to_owned(), output: "published".to_owned(), receiver }.render();
    let (join, config) = (beside(config, "join"), shell_quoted(config));
    let steps = vec![
        format!("on the coordinator: deputy token create --group GROUP --out join; copy it to {}", join.display()),
        format!("deputy check --config {config}"),
        format!("deputy worker --config {config}"),
    ];
    Rendered { text, steps }
}

fn instance_name(arguments: &InitArgs, default: &str) -> Result<InstanceName, CommandError> {
    match &arguments.name {
        Some(name) => Ok(name.clone()),
        None => default.parse().map_err(|error| CommandError::new(Exit::Internal, error)),
    }
}

fn instance(arguments: &InitArgs, name: &InstanceName, component: &str) -> InstanceTemplate {
    InstanceTemplate {
        name: name.clone(),
        component: arguments.component.clone().unwrap_or_else(|| component.to_owned()),
        group: arguments.group.clone(),
        networks: arguments.network.clone(),
    }
}

fn put_secret(config: &Path, key: &str, contents: &str) -> String {
    let path = beside(config, key);
    format!("(umask 077; cat > {})      # {contents}", shell_quoted(&path))
}

/// A file in the folder of the configuration.
fn beside(config: &Path, name: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(name)
}

fn steps_of_coordinator(context: &Context, name: &InstanceName) -> Vec<String> {
    vec![
        format!("{}            # validates it; --online tries it", context.command("check")),
        format!("{} &            # keeps a lease of {name}, renewed in time", context.command("run")),
        context.command("status"),
    ]
}

fn failed(path: &Path, error: io::Error) -> CommandError {
    failed_file(FileError::new("create", path, error))
}

fn failed_file(error: FileError) -> CommandError {
    CommandError::new(Exit::Failed, error)
}
