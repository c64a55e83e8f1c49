//! `deputy worker status`

use deputy_local::Client;
use http::Method;
use serde_json::Value;

use crate::cli;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::print::{HEADING, harmless, painted};
use crate::table::Table;

pub(crate) async fn status(context: &Context, arguments: &cli::WorkerStatus) -> Result<Exit, CommandError> {
    let (socket, peer) = context.worker_socket(arguments.socket.as_deref())?.ok_or_else(crate::sandbox::no_state)?;
    let status: Value = Client::new(&socket, peer).json(Method::GET, "/v1/status").await?;
    if arguments.json {
        context.json(&status)?;
    } else {
        context.data(&shown(&status))?;
    }
    Ok(Exit::Done)
}

/// Each list of the status as a table, and what else it says below.
fn shown(status: &Value) -> String {
    let mut text = String::new();
    let mut rest = Table::default();
    for (name, value) in status.as_object().into_iter().flatten() {
        match value {
            Value::Array(rows) if rows.is_empty() => {}
            Value::Array(rows) => text.push_str(&list(name, rows)),
            value if name != "schema" => rest.row([name.replace('_', " "), cell(value)]),
            _ => {}
        }
    }
    text + &rest.render(0)
}

/// Objects of one kind, a line each; what one of them lacks stays empty.
fn list(name: &str, rows: &[Value]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for key in rows.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let mut table = Table::default();
    if !columns.is_empty() {
        table.row(columns.iter().map(|column| column.replace('_', " ").to_uppercase()));
    }
    for row in rows {
        // Of some things there is nothing to tell but the name.
        if row.is_string() {
            table.row([cell(row)]);
            continue;
        }
        table.row(columns.iter().map(|column| row.get(column).map(cell).unwrap_or_default()));
    }
    format!("{}\n{}\n", painted(HEADING, harmless(name)), table.render(2))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{} {}", name.replace('_', " "), cell(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => number.to_string(),
    }
}
