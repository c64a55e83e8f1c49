//! `deputy token`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use deputy_coordinator::NewToken;
use deputy_core::{GroupName, Span};
use deputy_link::TokenId;
use schemars::JsonSchema;
use serde::Serialize;

use super::socket_args::ControlSocketArgs;
use crate::completion;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::WARNING;
use crate::private_file::PrivateFile;
use crate::relative_time::short_time;
use crate::table::Table;

/// Create, list and revoke join tokens for new workers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy token create --group analytics
  deputy token create --group analytics --uses 20 --ttl 1h --out join
  deputy token list
  deputy token revoke 9f31c07a52d84e66")]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenSubcommand,
}

#[derive(Debug, Subcommand)]
enum TokenSubcommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeTokenArgs),
}

/// Create a join token and print its join string
///
/// With the join string, workers can enrol in the group until the token is used up, expires or is revoked. The join string is
/// shown only once; the coordinator keeps a hash of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy token create --group analytics
  deputy token create --group analytics --uses 20 --ttl 1h --out join
  deputy token create --group analytics --json | jq -r .join")]
struct CreateArgs {
    /// The group of the new workers: `deliver-to` of an instance names the groups that get its leases
    #[arg(long, add = ArgValueCompleter::new(completion::groups))]
    group: GroupName,
    /// How many workers can enrol with it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// How long it is valid, at most 30d
    #[arg(long, value_name = "TIME", default_value = "10m")]
    ttl: Span,
    /// Write the join string to a file that only its owner can read (mode 0600), and not to stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Print one JSON object, with the join string unless it is written to a file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

/// List the join tokens that can be used
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy token list
  deputy token list --json | jq -r .tokens[].id")]
struct ListArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

/// Revoke a join token; workers that enrolled with it stay enrolled
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deputy token revoke 9f31c07a52d84e66
  deputy token revoke 9f31c07a52d84e66 --json")]
struct RevokeTokenArgs {
    /// The token's ID, as printed by `deputy token list`
    token: TokenId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: ControlSocketArgs,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct NewTokenJson<'a> {
    schema: u32,
    token: &'a str,
    group: String,
    uses: u32,
    expires: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    join: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct RevokedTokenJson {
    schema: u32,
    done: &'static str,
    id: String,
}

pub(crate) async fn run(context: &Context, arguments: &TokenArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        TokenSubcommand::Create(arguments) => create(context, arguments).await?,
        TokenSubcommand::List(arguments) => list(context, arguments).await?,
        TokenSubcommand::Revoke(arguments) => revoke(context, arguments).await?,
    }
    Ok(Exit::Done)
}

async fn create(context: &Context, arguments: &CreateArgs) -> Result<(), CommandError> {
    let CreateArgs { group, uses, ttl, out, json, socket } = arguments;
    let file = out.as_deref().map(PrivateFile::prepare).transpose()?;
    let token = socket.client(context)?.create_token(group, *uses, *ttl).await?;
    if let Some(file) = file {
        file.commit(token.join_string.expose())?;
    }
    if let Some(others) = &token.other_groups {
        let text = format!(
            "nothing is delivered to the group {group}, only to {others}: `deliver-to` of an instance names the groups that \
             get its leases"
        );
        context.printer.labelled(WARNING, "warning", &text);
    }
    if *json {
        return print_json(context, arguments, &token);
    }
    if out.is_none() {
        context.payload(token.join_string.expose())?;
        context.payload(b"\n")?;
    }
    let workers = if *uses == 1 { "one worker".to_owned() } else { format!("{uses} workers") };
    let text = format!("token {}: {workers} can join the group {group} until {}\n", token.id, token.expires);
    context.printer.stderr(&text);
    Ok(())
}

fn print_json(context: &Context, arguments: &CreateArgs, token: &NewToken) -> Result<(), CommandError> {
    let join = std::str::from_utf8(token.join_string.expose()).unwrap_or_default();
    context.json(&NewTokenJson {
        schema: SCHEMA,
        token: &token.id,
        group: arguments.group.to_string(),
        uses: arguments.uses,
        expires: &token.expires,
        join: arguments.out.is_none().then_some(join),
        out: arguments.out.as_ref().map(|path| path.display().to_string()),
    })
}

async fn list(context: &Context, arguments: &ListArgs) -> Result<(), CommandError> {
    let list = arguments.socket.client(context)?.tokens().await?;
    if arguments.json {
        return context.json(&list);
    }
    let mut table = Table::default();
    table.row(["TOKEN", "GROUP", "USES", "EXPIRES IN"]);
    for token in &list.tokens {
        table.row([token.id.clone(), token.group.clone(), token.uses.to_string(), short_time(token.expires_in_ms)]);
    }
    context.stdout(&table.render_with_heading(None))
}

async fn revoke(context: &Context, arguments: &RevokeTokenArgs) -> Result<(), CommandError> {
    arguments.socket.client(context)?.revoke_token(arguments.token).await?;
    let id = arguments.token.to_string();
    if arguments.json {
        return context.json(&RevokedTokenJson { schema: SCHEMA, done: "revoke", id });
    }
    context.stdout(&format!("{id}: revoked; workers that enrolled with it stay enrolled\n"))
}
