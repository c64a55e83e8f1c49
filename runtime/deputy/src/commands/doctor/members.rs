//! The members of etcd that keep the state.

use deputy_config::EtcdSection;
use deputy_core::in_one_line;
use deputy_host::state::ask_etcd_members;

use super::finding::{FindingJson, Health};
use crate::context::Context;
use crate::error::{CommandError, etcd_hint};

/// Whether each member answers, and what fixes that it does not.
pub(super) async fn check(context: &Context, etcd: &EtcdSection) -> Result<Vec<FindingJson>, CommandError> {
    let members = match ask_etcd_members(etcd, &context.platform()?).await {
        Ok(members) => members,
        Err(error) => return Ok(vec![FindingJson::new("etcd", "", Health::Failed, in_one_line(&error))]),
    };
    let has_answer = members.iter().any(|(_, answer)| answer.is_ok());
    let findings = members.into_iter().map(|(member, answer)| {
        let member = member.to_string();
        match answer {
            Ok(()) => FindingJson::new("etcd", member, Health::Ok, "answers, and etcd has a quorum"),
            Err(error) => {
                // Deputy uses another one meanwhile.
                let health = if has_answer { Health::Warning } else { Health::Failed };
                FindingJson::new("etcd", member, health, in_one_line(&error)).fix(etcd_hint(&error))
            }
        }
    });
    Ok(findings.collect())
}
