//! `deputy token` and `deputy workers`

use deputy_coordinator::{AppliedStatus, WorkerList, WorkerQuery, WorkerStatus};
use serde::Serialize;

use crate::cli;
use crate::context::{Context, SCHEMA};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::lease_commands::client;
use crate::output::PayloadFile;
use crate::print::{HEADING, WARNING, styled};
use crate::status::brief;
use crate::table::Table;

#[derive(Serialize)]
struct TokenJson<'a> {
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

#[derive(Serialize)]
struct DoneJson {
    schema: u32,
    done: &'static str,
    id: String,
}

pub(crate) async fn token(context: &Context, arguments: &cli::TokenArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        cli::TokenCommand::Create(arguments) => create(context, arguments).await,
        cli::TokenCommand::List(arguments) => tokens(context, arguments).await,
        cli::TokenCommand::Revoke(arguments) => {
            client(context, &arguments.socket)?.revoke_token(arguments.token).await?;
            let text = "nobody can join with it any longer; workers that did stay";
            done(context, arguments.json, "revoke", &arguments.token.to_string(), text)
        }
    }
}

pub(crate) async fn workers(context: &Context, arguments: &cli::WorkersArgs) -> Result<Exit, CommandError> {
    match &arguments.command {
        None => list(context, &arguments.list).await,
        Some(cli::WorkersCommand::Ban(arguments)) => {
            client(context, &arguments.socket)?.ban_worker(arguments.worker).await?;
            let text = "cut off, and its key is never let in again";
            done(context, arguments.json, "ban", &arguments.worker.to_string(), text)
        }
        Some(cli::WorkersCommand::Remove(arguments)) => {
            client(context, &arguments.socket)?.remove_worker(arguments.worker).await?;
            let text = "cut off; with a new token it may join again";
            done(context, arguments.json, "remove", &arguments.worker.to_string(), text)
        }
    }
}

fn done(context: &Context, json: bool, done: &'static str, id: &str, text: &str) -> Result<Exit, CommandError> {
    if json {
        context.json(&DoneJson { schema: SCHEMA, done, id: id.to_owned() })?;
    } else {
        context.data(&format!("{id}: {text}\n"))?;
    }
    Ok(Exit::Done)
}

async fn create(context: &Context, arguments: &cli::CreateTokenArgs) -> Result<Exit, CommandError> {
    let output = arguments.out.as_deref().map(PayloadFile::prepare).transpose();
    let output = output.map_err(|error| CommandError::new(Exit::Failed, error))?;
    let token =
        client(context, &arguments.socket)?.create_token(&arguments.group, arguments.uses, arguments.ttl).await?;
    let kept = output.is_some();
    if let Some(output) = output {
        output.commit(token.join.expose()).map_err(|error| CommandError::new(Exit::Failed, error))?;
    }
    if let Some(others) = &token.other_groups {
        let group = &arguments.group;
        let text = format!(
            "nothing is delivered to the group {group}, only to {others}: `deliver-to` of an instance names the groups \
             that get it"
        );
        context.printer.labelled(WARNING, "warning", &text);
    }
    let join = std::str::from_utf8(token.join.expose()).unwrap_or_default();
    if arguments.json {
        context.json(&TokenJson {
            schema: SCHEMA,
            token: &token.id,
            group: arguments.group.to_string(),
            uses: arguments.uses,
            expires: &token.expires,
            join: (!kept).then_some(join),
            out: arguments.out.as_ref().map(|path| path.display().to_string()),
        })?;
        return Ok(Exit::Done);
    }
    if !kept {
        context.payload(join.as_bytes())?;
        context.payload(b"\n")?;
    }
    let uses = if arguments.uses == 1 { "one worker".to_owned() } else { format!("{} workers", arguments.uses) };
    context.printer.stderr(&format!(
        "token {}: {uses} of the group {} can join until {}\n",
        token.id, arguments.group, token.expires
    ));
    Ok(Exit::Done)
}

async fn tokens(context: &Context, arguments: &cli::CoordinatorArgs) -> Result<Exit, CommandError> {
    let list = client(context, &arguments.socket)?.tokens().await?;
    if arguments.json {
        context.json(&list)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::default();
    table.row(["TOKEN", "GROUP", "USES", "EXPIRES IN"]);
    for token in &list.tokens {
        table.row([token.id.clone(), token.group.clone(), token.uses.to_string(), brief(token.expires_in_ms)]);
    }
    context.data(&headed(&table))?;
    Ok(Exit::Done)
}

async fn list(context: &Context, arguments: &cli::ListWorkers) -> Result<Exit, CommandError> {
    let client = client(context, &arguments.of.socket)?;
    let (group, instance) = (arguments.group.clone(), arguments.instance.clone());
    let mut query = WorkerQuery { group, instance, state: arguments.state, ..WorkerQuery::default() };
    let (mut connected, mut all) = (0, 0);
    loop {
        let page = client.workers(&query).await?;
        let is_first = query.after.is_none();
        let text = if arguments.of.json { objects(&page, is_first)? } else { rows(&page.workers, is_first) };
        if !context.shown(&text)? {
            return Ok(Exit::Done);
        }
        connected += page.workers.iter().filter(|worker| worker.connected).count();
        all += page.workers.len();
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let end = if arguments.of.json { "]}\n".to_owned() } else { format!("{connected} of {all} connected\n") };
    context.data(&end)?;
    Ok(Exit::Done)
}

/// A page as a part of one object, which is printed as its parts come: all workers need not be in memory at once.
fn objects(page: &WorkerList, is_first: bool) -> Result<String, CommandError> {
    let mut text = if is_first { format!("{{\"schema\":{SCHEMA},\"workers\":[") } else { String::new() };
    for (number, worker) in page.workers.iter().enumerate() {
        if number > 0 || !is_first {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(worker).map_err(|error| CommandError::new(Exit::Internal, error))?);
    }
    Ok(text)
}

fn rows(workers: &[WorkerStatus], is_first: bool) -> String {
    let mut table = Table::default();
    table.row(["WORKER", "GROUP", "STATE", "ADDRESS", "HOST", "VERSION", "SEEN", "APPLIED"]);
    for worker in workers {
        let text =
            |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
        let applied: Vec<String> = worker.applied.iter().map(applied).collect();
        table.row([
            worker.id.clone(),
            worker.group.clone(),
            worker.state().word().to_owned(),
            text(&worker.address),
            text(&worker.host),
            text(&worker.version),
            worker.seen_ago_ms.map_or_else(|| "-".to_owned(), |millis| format!("{} ago", brief(millis))),
            if applied.is_empty() { "-".to_owned() } else { applied.join(", ") },
        ]);
    }
    let text = headed(&table);
    // Each page is a table of its own, and all of them are one to read.
    if is_first { text } else { text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default() }
}

/// `s3-prod 7`, and what is wrong with it.
fn applied(applied: &AppliedStatus) -> String {
    let revision = applied.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
    let instance = &applied.instance;
    match (&applied.failure, applied.newest) {
        (Some(failure), _) => format!("{instance} {revision} failed: {failure}"),
        (None, Some(newest)) if !applied.current => format!("{instance} {revision} of {newest}"),
        (None, _) => format!("{instance} {revision}"),
    }
}

fn headed(table: &Table) -> String {
    let text = table.render(0);
    let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
    format!("{}\n{rows}", styled(HEADING, head))
}
