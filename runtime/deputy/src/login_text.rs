//! Kerberos logins as people read them.

use deputy_coordinator::status::KerberosLoginStatus;

use crate::print::{WARNING, sanitize, styled};
use crate::relative_time::{in_or_ago, short_time, valid_for};
use crate::table::Table;

/// A difference of clocks that is worth a warning. Most services refuse a difference of five minutes.
const MAX_CLOCK_OFFSET: u32 = 60;

/// All logins, a line each, and what mends those that failed. Empty without a login.
pub(crate) fn login_table(logins: &[KerberosLoginStatus], width: Option<usize>) -> String {
    if logins.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    table.row(["LOGIN", "PRINCIPAL", "TICKET FOR", "LAST LOGIN", "WHY"]);
    for login in logins {
        table.row([
            login.name.clone(),
            login.principal.clone(),
            login.valid_for_ms.map_or_else(|| "-".to_owned(), |left| valid_for(Some(left))),
            login.last_login_in_ms.map_or_else(|| "-".to_owned(), in_or_ago),
            match (&login.fault, login.ready) {
                (Some(fault), _) => fault.message.clone(),
                (None, true) => "held".to_owned(),
                (None, false) => "no ticket".to_owned(),
            },
        ]);
    }
    let mut text = format!("\n{}", table.render_with_heading(width));
    for login in logins {
        if let Some(fault) = &login.fault {
            text.push_str(&hint(&login.name, &fault.hint));
        }
        if let Some(warning) = clock_warning(login.clock_offset_seconds) {
            text.push_str(&hint(&login.name, &warning));
        }
    }
    text.push('\n');
    text
}

/// A difference of clocks that services may refuse. The login itself works: it counts by the KDC's clock.
pub(crate) fn clock_warning(offset_seconds: i32) -> Option<String> {
    let offset = offset_seconds.unsigned_abs();
    let side = if offset_seconds > 0 { "ahead of" } else { "behind" };
    (offset >= MAX_CLOCK_OFFSET).then(|| {
        let time = short_time(u64::from(offset) * 1000);
        format!("the KDC's clock is {time} {side} this machine's: synchronise both clocks (NTP), or services refuse")
    })
}

fn hint(login: &str, text: &str) -> String {
    format!("{}: {}: {}\n", styled(WARNING, "hint"), sanitize(login), sanitize(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_clock_warning_begins_at_a_minute() {
        assert_eq!(clock_warning(59), None);
        assert_eq!(clock_warning(-59), None);
        assert!(clock_warning(600).is_some_and(|text| text.starts_with("the KDC's clock is 10m ahead of this")));
        assert!(clock_warning(-3600).is_some_and(|text| text.starts_with("the KDC's clock is 1h behind this")));
    }

    #[test]
    fn login_table_without_a_login_is_empty() {
        assert_eq!(login_table(&[], None), "");
    }
}
