//! `[logins.NAME]`, and `[instances.NAME.kerberos]`, which refers to one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use deputy_core::grant::{Grant, KerberosGrant, KerberosTarget};
use deputy_core::{KdcAddress, KerberosPrincipal, KerberosRealm, Krb5Conf, LoginName, LoginPlan, TicketSource};

use crate::diagnostic::DiagnosticSink;
use crate::negotiate::LoginUse;
use crate::suggest::nearest;
use crate::value::{Key, Located, TableReader, join_quoted, truncated};

/// What the library reads if a login names neither a file nor KDCs.
const SYSTEM_KRB5_CONF: &str = "/etc/krb5.conf";

const PRINCIPAL: &str = "\"alice@EXAMPLE.COM\"";
const KDCS: &str = "[\"kdc.example.com\"]";
const TARGETS: &str = "[\"hdfs/nn1.example.com@EXAMPLE.COM\"]";

/// All logins, including invalid ones, so that a reference to one is not a second error.
#[derive(Debug, Default)]
pub(crate) struct LoginTable {
    list: Vec<WrittenLogin>,
}

#[derive(Debug)]
struct WrittenLogin {
    at: Range<usize>,
    written: String,
    plan: Option<LoginPlan>,
}

impl LoginTable {
    pub(crate) fn read(sink: &mut DiagnosticSink, base: &Path, value: Located<'_>) -> Self {
        let entries = value.entries(sink, "[logins.NAME]");
        let read = entries.into_iter().map(|(key, value)| WrittenLogin {
            plan: login(sink, base, &key, value),
            at: key.at,
            written: key.name.to_owned(),
        });
        Self { list: read.collect() }
    }

    /// Warns of logins that no instance uses.
    pub(crate) fn check(&self, sink: &mut DiagnosticSink, used: &BTreeSet<LoginName>) {
        for login in &self.list {
            if login.plan.as_ref().is_some_and(|plan| !used.contains(&plan.name)) {
                sink.warning(login.at.clone(), format!("the login `{}` is not used", login.written))
                    .expected("no instance has it in its `kerberos`");
            }
        }
    }

    /// The valid ones.
    pub(crate) fn into_plans(self) -> Vec<LoginPlan> {
        self.list.into_iter().filter_map(|login| login.plan).collect()
    }

    fn named(&self, sink: &mut DiagnosticSink, value: Located<'_>) -> Option<LoginPlan> {
        let text = value.text(sink, "\"NAME\"")?;
        if let Some(login) = self.list.iter().find(|login| login.written == text) {
            return login.plan.clone();
        }
        let known: Vec<_> = self.list.iter().map(|login| login.written.as_str()).collect();
        let error = sink.error(value.at(), format!("there is no login `{}`", truncated(text)));
        match (nearest(text, known.iter().copied()), known.as_slice()) {
            (Some(meant), _) => error.expected(format!("did you mean `{meant}`?")),
            (None, []) => error.expected("define it under [logins.NAME]"),
            (None, known) => error.expected(format!("one of {}", truncated(&join_quoted(known)))),
        };
        None
    }
}

fn login(sink: &mut DiagnosticSink, base: &Path, key: &Key<'_>, value: Located<'_>) -> Option<LoginPlan> {
    let name = key.parsed::<LoginName>(sink);
    let mut fields = value.table(sink, "{ principal = \"alice@EXAMPLE.COM\", keytab = \"alice.keytab\" }")?;
    let principal = fields.required(sink, "principal", PRINCIPAL);
    let principal = principal.and_then(|value| value.parsed::<KerberosPrincipal>(sink, PRINCIPAL));
    let tickets = tickets(sink, base, &mut fields);
    let krb5_conf = krb5_conf(sink, base, &mut fields, principal.as_ref());
    fields.finish(sink);
    Some(LoginPlan { name: name?, principal: principal?, tickets: tickets?, krb5_conf: krb5_conf? })
}

/// Reads the source of tickets; exactly one has to be set.
fn tickets(sink: &mut DiagnosticSink, base: &Path, fields: &mut TableReader<'_>) -> Option<TicketSource> {
    match (fields.optional("keytab"), fields.optional("credential-cache")) {
        (Some(keytab), None) => keytab.path(sink, base).map(TicketSource::Keytab),
        (None, Some(cache)) => {
            let text = cache.text(sink, "\"/run/etl/krb5cc\"")?;
            // `KCM:1000` and the like are names for the library; the rest is a path.
            let is_name = text.contains(':');
            let name = if is_name { Some(text.to_owned()) } else { base.join(text).to_str().map(str::to_owned) };
            name.map(TicketSource::Cache)
        }
        (None, None) => {
            sink.error(fields.at(), "this login has no source of tickets")
                .expected("needs one of `keytab` and `credential-cache`");
            None
        }
        (Some(first), Some(second)) => {
            sink.error(second.at(), "this login has two sources of tickets, `keytab` and `credential-cache`")
                .expected("remove one of them")
                .also(first.at(), "the first");
            None
        }
    }
}

fn krb5_conf(
    sink: &mut DiagnosticSink,
    base: &Path,
    fields: &mut TableReader<'_>,
    principal: Option<&KerberosPrincipal>,
) -> Option<Krb5Conf> {
    let file = fields.optional("krb5-conf");
    let kdcs = fields.optional("kdcs");
    let others = fields.optional("realms");
    let own = kdcs.map(|value| value.parsed_list::<KdcAddress>(sink, KDCS));
    let others = others.map(|value| realms(sink, value));
    match (file, own) {
        (Some(file), None) if others.is_none() => file.path(sink, base).map(Krb5Conf::File),
        (None, None) if others.is_none() => Some(Krb5Conf::File(PathBuf::from(SYSTEM_KRB5_CONF))),
        (None, Some(own)) => {
            let realm = principal?.realm().parse::<KerberosRealm>().ok()?;
            let mut realms = others.unwrap_or_default();
            realms.insert(realm, own?);
            Some(Krb5Conf::Realms(realms))
        }
        (None, None) => {
            sink.error(fields.at(), "`realms` names the KDCs of other realms, and `kdcs` is missing")
                .expected(format!("needs kdcs = {KDCS}, those of the principal's own realm"));
            None
        }
        (Some(file), _) => {
            sink.error(file.at(), "`krb5-conf` has no effect beside `kdcs` and `realms`")
                .expected("either a file, in which everything holds, or the realms with their KDCs");
            None
        }
    }
}

fn realms(sink: &mut DiagnosticSink, value: Located<'_>) -> BTreeMap<KerberosRealm, Vec<KdcAddress>> {
    let entries = value.entries(sink, "{ \"OTHER.COM\" = [\"kdc.other.com\"] }");
    let read = entries.into_iter().filter_map(|(key, value)| {
        Some((key.parsed::<KerberosRealm>(sink)?, value.parsed_list::<KdcAddress>(sink, KDCS)?))
    });
    read.collect()
}

/// `[instances.NAME.kerberos]`. `grant` has the instance's network rules. The component opens contexts with the targets alone:
/// an instance whose rules have `negotiate` needs none.
pub(crate) fn kerberos(
    sink: &mut DiagnosticSink,
    logins: &LoginTable,
    grant: &Grant,
    login_use: &LoginUse,
    value: Located<'_>,
) -> Option<KerberosGrant> {
    let mut fields = value.table(sink, &format!("{{ login = \"NAME\", targets = {TARGETS} }}"))?;
    let login = fields.required(sink, "login", "\"NAME\"").and_then(|value| logins.named(sink, value));
    let negotiates = login_use.negotiates;
    let written = if negotiates { fields.optional("targets") } else { fields.required(sink, "targets", TARGETS) };
    let targets = written.map(|value| value.unique_list::<KerberosTarget>(sink, TARGETS));
    fields.finish(sink);
    let targets = match targets {
        Some(read) => read?,
        None if negotiates => Vec::new(),
        None => return None,
    };
    for (target, at) in &targets {
        if let Some(host) = target.host().filter(|host| !grant.has_host(host)) {
            sink.error(at.clone(), format!("no rule of this instance leads to {host}"))
                .expected("the host of a target is one of its `tcp` or `http` rules");
        }
    }
    Some(KerberosGrant { login: login?, targets: targets.into_iter().map(|(target, _)| target).collect() })
}
