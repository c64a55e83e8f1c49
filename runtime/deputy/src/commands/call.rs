//! `deputy call`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum, ValueHint};
use deputy_audit::{Audit, AuditOutcome};
use deputy_core::grant::{Grant, HttpPattern, HttpRule, Network, PathPrefix, PathRules, RequestOptions, TcpRule};
use deputy_core::{ComponentRef, Instance, InstanceName, Limits, Principal};
use deputy_sandbox::{Call, CallUsage, LoadedProvider, Sandbox};
use schemars::JsonSchema;
use serde::Serialize;

use crate::audit_printer;
use crate::call_report::{self, CallErrorJson, DenialJson, UsageJson};
use crate::commands::obtain::token_rows;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::failed_setting::OwnSettings;
use crate::setting_arg::{SettingArg, settings};
use crate::signals::StopSignals;
use crate::table::Table;

/// Call a provider without a configuration
///
/// The component gets the settings of --set, and may reach what --allow names and nothing else; it has no secret. The audit log
/// goes to stderr, and the payload is not shown unless --reveal prints it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy call provider.wasm --set scope=read --allow https://login.example.com/token
  deputy call provider.wasm --function kinds
  deputy call provider.wasm --allow http://127.0.0.1:8080 --network loopback --json")]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) component: ComponentArgs,
    /// Print the payload, and nothing else, on stdout
    #[arg(long, conflicts_with = "json")]
    reveal: bool,
    /// Print one JSON object, without the payload
    #[arg(long)]
    json: bool,
}

/// A component, and what it gets: for `call` and `dev`.
#[derive(Debug, Args)]
pub(crate) struct ComponentArgs {
    /// The component: a file, or the name of an installed one
    #[arg(value_name = "COMPONENT", value_hint = ValueHint::FilePath)]
    component: ComponentRef,
    #[command(flatten)]
    grant: CallGrantArgs,
    /// The function to call
    #[arg(long, value_enum, default_value_t = Function::Obtain)]
    function: Function,
}

/// What a component gets without a configuration.
#[derive(Debug, Args)]
pub(crate) struct CallGrantArgs {
    /// A setting; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SettingArg>,
    /// What it may reach: a URL, whose path is a prefix, or HOST:PORT for TCP; may be given several times
    #[arg(long, value_name = "URL")]
    allow: Vec<AllowedTarget>,
    /// Networks that are permitted beside public addresses: loopback, private, or a block such as 10.0.0.0/8
    #[arg(long, value_name = "NETWORK")]
    network: Vec<Network>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Function {
    Kinds,
    Obtain,
    ServiceName,
    TokensRequired,
}

/// A rule of the command line.
#[derive(Debug, Clone)]
pub(crate) enum AllowedTarget {
    Http(HttpPattern, PathRules),
    Tcp(TcpRule),
}

/// What a call returned, for people and for programs.
pub(crate) struct Called {
    call: Call<()>,
    answer: Answer,
}

enum Answer {
    Text(String),
    Tokens(deputy_core::Tokens),
    Nothing,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct CallJson {
    schema: u32,
    function: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<usize>,
    usage: UsageJson,
    refusals: Vec<DenialJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallErrorJson>,
}

pub(crate) async fn run(context: &Context, arguments: &CallArgs) -> Result<Exit, CommandError> {
    let instance = arguments.component.instance()?;
    let audit = Arc::new(printed_trail(context));
    let sandbox = context.plain_sandbox(Arc::clone(&audit)).await?;
    let mut signals = StopSignals::new()?;
    let Some(called) = signals.unless_stopped(call(&sandbox, &instance, arguments.component.function)).await else {
        sandbox.settle().await;
        return Err(CommandError::new(Exit::Failed, "interrupted during the call"));
    };
    let called = called?;
    audit.flush().await;
    call_report::print_unconfigured(context.printer, &called.call, &instance);
    if arguments.json {
        context.json(&called.json(arguments.component.function, &instance))?;
    } else if let (true, Answer::Tokens(tokens)) = (arguments.reveal, &called.answer) {
        context.payload(tokens.payload.expose())?;
    } else {
        context.stdout(&called.text(context, &instance, "--reveal prints them"))?;
    }
    Ok(call_report::exit(&called.call))
}

/// The audit log on stderr.
pub(super) fn printed_trail(context: &Context) -> Audit {
    let printer = context.printer;
    Audit::nowhere().watched(move |event| {
        if event.outcome != AuditOutcome::Begun {
            printer.stderr(&audit_printer::line(event));
        }
    })
}

/// Loads a component and calls it once.
pub(super) async fn call(sandbox: &Sandbox, instance: &Instance, function: Function) -> Result<Called, CommandError> {
    let provider = sandbox.load(instance).await?;
    Ok(ask(&provider, function).await)
}

async fn ask(provider: &LoadedProvider, function: Function) -> Called {
    match function {
        Function::Kinds => Called::new(provider.kinds().await, |kinds| {
            Answer::Text(kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }),
        Function::Obtain => Called::new(provider.obtain().await, Answer::Tokens),
        Function::ServiceName => Called::new(provider.service_name().await, |name| Answer::Text(name.to_string())),
        Function::TokensRequired => {
            Called::new(provider.tokens_required().await, |required| Answer::Text(required.to_string()))
        }
    }
}

impl Called {
    fn new<T>(call: Call<T>, answer: impl FnOnce(T) -> Answer) -> Self {
        let Call { id, result, denials, timeouts, secret_faults, usage, requests, log_tail } = call;
        let (result, answer) = match result {
            Ok(value) => (Ok(()), answer(value)),
            Err(error) => (Err(error), Answer::Nothing),
        };
        Self { call: Call { id, result, denials, timeouts, secret_faults, usage, requests, log_tail }, answer }
    }

    pub(super) fn call(&self) -> &Call<()> {
        &self.call
    }

    /// The result for people, with what shows the payload; empty after a failure, which is on stderr.
    pub(super) fn text(&self, context: &Context, instance: &Instance, reveal: &str) -> String {
        let mut table = Table::default();
        match &self.answer {
            Answer::Text(text) => return format!("{text}\n"),
            Answer::Nothing => return String::new(),
            Answer::Tokens(tokens) => {
                let payload = format!("{} bytes, not shown: {reveal}", tokens.payload.len());
                token_rows(&mut table, tokens, &payload, context.now());
            }
        }
        table.row(["usage", &call_report::usage_text(self.usage(), &instance.limits)]);
        table.render(0)
    }

    fn usage(&self) -> CallUsage {
        self.call.usage
    }

    fn json(&self, function: Function, instance: &Instance) -> CallJson {
        let tokens = match &self.answer {
            Answer::Tokens(tokens) => Some(tokens),
            Answer::Nothing | Answer::Text(_) => None,
        };
        CallJson {
            schema: SCHEMA,
            function: function.word(),
            value: match &self.answer {
                Answer::Text(text) => Some(text.clone()),
                Answer::Nothing | Answer::Tokens(_) => None,
            },
            kind: tokens.map(|tokens| tokens.kind.to_string()),
            payload_bytes: tokens.map(|tokens| tokens.payload.len()),
            usage: self.usage().into(),
            refusals: call_report::denials(&self.call.denials, Principal::Instance(instance)),
            error: call_report::error_json(&self.call, OwnSettings::of_command_line()),
        }
    }
}

impl Function {
    fn word(self) -> &'static str {
        match self {
            Self::Kinds => "kinds",
            Self::Obtain => "obtain",
            Self::ServiceName => "service-name",
            Self::TokensRequired => "tokens-required",
        }
    }
}

impl ComponentArgs {
    pub(super) fn function(&self) -> Function {
        self.function
    }

    /// The component's file, if it is one.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.component {
            ComponentRef::File(path) => Some(path.clone()),
            ComponentRef::Installed { .. } => None,
        }
    }

    /// The instance that the command line describes.
    pub(super) fn instance(&self) -> Result<Instance, CommandError> {
        self.grant.instance(&self.component)
    }
}

impl CallGrantArgs {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.allow.is_empty() && self.network.is_empty()
    }

    /// An instance of a component with this and nothing else.
    pub(super) fn instance(&self, component: &ComponentRef) -> Result<Instance, CommandError> {
        let mut grant = Grant::default();
        for target in &self.allow {
            match target {
                AllowedTarget::Http(pattern, paths) => grant.http.push(HttpRule {
                    pattern: pattern.clone(),
                    methods: Vec::new(),
                    paths: paths.clone(),
                    overrides: Vec::new(),
                    networks: self.network.clone(),
                    send: RequestOptions::default(),
                }),
                AllowedTarget::Tcp(rule) => {
                    grant.tcp.push(TcpRule { networks: self.network.clone(), ..rule.clone() });
                }
            }
        }
        let name = "call".parse::<InstanceName>().map_err(|error| CommandError::new(Exit::Internal, error))?;
        Ok(Instance {
            name,
            component: component.clone(),
            sha256: None,
            settings: settings(&self.set),
            grant,
            sources: BTreeMap::new(),
            limits: Limits::default(),
        })
    }
}

impl std::str::FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return text.parse::<TcpRule>().map(Self::Tcp).map_err(|error| format!("{error}"));
        };
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
        let pattern = format!("{scheme}://{authority}").parse::<HttpPattern>().map_err(|error| format!("{error}"))?;
        let paths = match path.filter(|path| !path.is_empty()) {
            Some(path) => {
                let prefix = format!("/{path}").parse::<PathPrefix>().map_err(|error| format!("{error}"))?;
                PathRules::Prefixes(vec![prefix])
            }
            None => PathRules::Any,
        };
        Ok(Self::Http(pattern, paths))
    }
}
