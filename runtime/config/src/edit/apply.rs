//! Merging the lines of a fix into a document.

use deputy_core::FixPlace;
use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Table, TableLike, Value};

use super::EditError;

/// Keys of rules: a list of them gets one more, or one of them changes.
const RULES: [&str; 2] = ["http", "tcp"];

pub(super) fn apply(document: &mut Table, lines: &Table, place: &FixPlace) -> Result<(), EditError> {
    if let FixPlace::InPlaceOf(key) = place {
        remove(document, lines, key);
    }
    merge(document, lines, place)
}

/// Removes a key of the table whose header the lines have.
fn remove(document: &mut dyn TableLike, lines: &Table, key: &str) {
    if !lines.is_implicit()
        && !lines.is_empty()
        && lines.position().is_some()
        && lines.iter().all(|(_, i)| !is_parent(i))
    {
        document.remove(key);
        return;
    }
    for (name, item) in lines {
        if let (Some(lines), Some(table)) = (item.as_table(), document.get_mut(name).and_then(Item::as_table_like_mut))
        {
            remove(table, lines, key);
        }
    }
}

/// Whether it is a table only on the way to another header.
fn is_parent(item: &Item) -> bool {
    item.as_table().is_some_and(|table| !table.is_dotted())
}

fn merge(old: &mut dyn TableLike, new: &dyn TableLike, place: &FixPlace) -> Result<(), EditError> {
    for (key, item) in new.iter() {
        let Some(current) = old.get_mut(key) else {
            if let FixPlace::Rule { number, table } = place
                && RULES.contains(&key)
            {
                return Err(EditError::NoRule { table: table.clone(), number: *number });
            }
            old.insert(key, unplaced(item.clone()));
            continue;
        };
        if let Some(rules) = item.as_array_of_tables().filter(|_| RULES.contains(&key)) {
            for rule in rules {
                merge_rule(current, rule, key, place)?;
            }
        } else if let Some(new) = item.as_table_like() {
            let old = current.as_table_like_mut().ok_or_else(|| EditError::Layout(key.to_owned()))?;
            merge(old, new, place)?;
        } else {
            replace(current, item);
        }
    }
    Ok(())
}

/// Adds a rule to a list, or changes the one that the place names.
fn merge_rule(list: &mut Item, rule: &Table, key: &str, place: &FixPlace) -> Result<(), EditError> {
    let FixPlace::Rule { number, table } = place else {
        return push_rule(list, rule, key);
    };
    let index = number.saturating_sub(1);
    let old: Option<&mut dyn TableLike> = match list {
        Item::ArrayOfTables(rules) => rules.get_mut(index).map(|rule| rule as &mut dyn TableLike),
        Item::Value(Value::Array(rules)) => rules
            .get_mut(index)
            .and_then(Value::as_inline_table_mut)
            .map(|rule: &mut InlineTable| rule as &mut dyn TableLike),
        _ => None,
    };
    let old = old.ok_or_else(|| EditError::NoRule { table: table.clone(), number: *number })?;
    merge(old, rule, place)
}

fn push_rule(list: &mut Item, rule: &Table, key: &str) -> Result<(), EditError> {
    match list {
        Item::ArrayOfTables(rules) => rules.push(unplaced_table(rule.clone())),
        Item::Value(Value::Array(rules)) => push(rules, Value::InlineTable(rule.clone().into_inline_table())),
        _ => return Err(EditError::Layout(key.to_owned())),
    }
    Ok(())
}

/// Replaces a value. Of a list that only grows, what is there keeps its layout and comments.
fn replace(current: &mut Item, new: &Item) {
    if let (Some(old), Some(grown)) = (current.as_array_mut(), new.as_array())
        && old.len() <= grown.len()
        && old.iter().zip(grown).all(|(old, new)| plain(old) == plain(new))
    {
        let known = old.len();
        grown.iter().skip(known).for_each(|added| push(old, added.clone()));
        return;
    }
    match (current, new) {
        (Item::Value(old), Item::Value(new)) => {
            let decor = old.decor().clone();
            *old = new.clone();
            *old.decor_mut() = decor;
        }
        (current, new) => *current = unplaced(new.clone()),
    }
}

/// A value without the space and comments around it.
fn plain(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

/// Adds a value to a list, laid out as the last one.
fn push(list: &mut Array, value: Value) {
    let last = list.len().checked_sub(1).and_then(|last| list.get_mut(last));
    let Some(last) = last else { return list.push(value) };
    let text = |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let (prefix, suffix) = (text(last.decor().prefix()), text(last.decor().suffix()));
    last.decor_mut().set_suffix("");
    // A comment before the last element is about that element.
    let prefix = match prefix.rsplit_once('\n') {
        Some((_, indent)) => format!("\n{indent}"),
        None => " ".to_owned(),
    };
    list.push_formatted(value.decorated(prefix, suffix));
}

/// An item that is laid out by its place in this document, not by the one that it comes from.
fn unplaced(item: Item) -> Item {
    match item {
        Item::Table(table) => Item::Table(unplaced_table(table)),
        Item::ArrayOfTables(tables) => {
            Item::ArrayOfTables(tables.into_iter().map(unplaced_table).collect::<ArrayOfTables>())
        }
        Item::Value(mut value) => {
            // A comment of the fix, such as the current value.
            value.decor_mut().set_suffix("");
            Item::Value(value)
        }
        Item::None => Item::None,
    }
}

fn unplaced_table(mut table: Table) -> Table {
    table.set_position(None);
    if !table.is_dotted() && !table.is_implicit() {
        table.decor_mut().set_prefix("\n");
    }
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        if let Some(item) = table.get_mut(&key) {
            let moved = unplaced(std::mem::take(item));
            *item = moved;
        }
    }
    table
}
