//! What `deputy check` asks: whether the plan fits the bound instances and the kinds of their payloads.

use crate::kinds;
use crate::plan::OutputPlan;
use crate::reference::Reference;
use deputy_kit::outputs::is_path;
use deputy_kit::settings::wrong_setting;
use deputy_kit::types::Failure;
use std::collections::BTreeMap;

/// The kinds of each bound instance's payload.
pub(crate) type BoundKinds = BTreeMap<String, Vec<String>>;

/// # Errors
/// `misconfigured` with the setting that names an instance that is not bound, a field that no payload of its instance has,
/// or a file that cannot be written.
pub(crate) fn check(plan: &OutputPlan, bound: &BoundKinds) -> Result<(), Failure> {
    for (setting, reference) in plan.references() {
        is_bound(&setting, &reference.instance, bound)?;
        has_field(reference, bound).map_err(|problem| wrong_setting(&setting, &problem))?;
    }
    for (setting, instance) in plan.paths() {
        is_bound(&setting, instance, bound)?;
    }
    let paths = plan.written(bound.keys().map(String::as_str))?;
    match paths.into_iter().find(|(path, _)| !is_path(path)) {
        None => Ok(()),
        Some((path, setting)) => Err(wrong_setting(&setting, &format!("`{path}` is not a path of plain names"))),
    }
}

fn is_bound(setting: &str, instance: &str, bound: &BoundKinds) -> Result<(), Failure> {
    if bound.contains_key(instance) {
        return Ok(());
    }
    let names: Vec<&str> = bound.keys().map(String::as_str).collect();
    let problem = format!("no instance `{instance}` is bound to this receiver; there are: {}", names.join(", "));
    Err(wrong_setting(setting, &problem))
}

/// Whether a payload of at least one of the instance's kinds can have the field.
fn has_field(reference: &Reference, bound: &BoundKinds) -> Result<(), String> {
    let Some(path) = reference.field_path() else { return Ok(()) };
    let kinds = bound.get(&reference.instance).map(Vec::as_slice).unwrap_or_default();
    let lacks: Option<Vec<String>> = kinds.iter().map(|kind| kinds::lack(kind, path)).collect();
    match lacks {
        Some(lacks) if !lacks.is_empty() => Err(format!(
            "instance `{}`: its payload has no field `{}`; {}",
            reference.instance,
            path.join("."),
            lacks.join("; ")
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::{Next, Setting};

    fn checked(settings: &[(&str, &str)]) -> Result<(), Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let bound = [("s3", vec!["aws-credential-process/1"]), ("api", vec!["bearer-token/1", "own/1"])];
        let bound = bound.map(|(name, kinds)| (name.to_owned(), kinds.into_iter().map(str::to_owned).collect()));
        check(&OutputPlan::read(&settings)?, &bound.into())
    }

    #[test]
    fn check_finds_nothing_in_a_plan_that_fits() {
        for settings in [
            vec![],
            vec![("template.a", "{{ s3.AccessKeyId }} {{ s3.payload | json }} {{ api.any.thing }}")],
            vec![("env.conf/a.env", "K={{ s3.SecretAccessKey }}\nT={{ api.payload }}"), ("path.s3", "keys.json")],
        ] {
            checked(&settings).unwrap();
        }
    }

    #[test]
    fn check_names_the_setting_and_what_is_wrong_with_it() {
        for (name, value, problem) in [
            (
                "template.a",
                "{{ s3.AccesKeyId }}",
                "its payload has no field `AccesKeyId`; aws-credential-process/1 has",
            ),
            ("template.a", "{{ s33.AccessKeyId }}", "no instance `s33` is bound to this receiver; there are: api, s3"),
            ("env.a", "A={{ s3.Token }}", "its payload has no field `Token`"),
            ("env.a", "A={{ gone.payload }}", "no instance `gone`"),
            ("path.gone", "x", "no instance `gone`"),
            ("path.s3", "../x", "`../x` is not a path of plain names"),
            ("path.s3", "api", "writes the file `api` as well"),
            ("template..hidden", "x", "is not a path of plain names"),
            ("env.a", "A=it's", "its text contains"),
        ] {
            let failure = checked(&[(name, value)]).unwrap_err();
            assert_eq!((failure.next, failure.setting.as_deref()), (Next::Misconfigured, Some(name)), "{failure:?}");
            assert!(failure.message.contains(problem), "{failure:?}");
        }
    }
}
