//! Which files there are: one for each template and environment file, and one for each payload that stands alone.

use crate::env::Env;
use crate::template::Template;
use crate::value::Payloads;
use deputy_kit::outputs::Files;
use deputy_kit::settings::{Reader, misconfigured};
use deputy_kit::types::{Failure, Setting};
use std::collections::BTreeSet;

const FAMILIES: [&str; 3] = ["path", "template", "env"];

/// All settings, read.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    paths: Vec<(&'a str, &'a str)>,
    templates: Vec<(&'a str, Template)>,
    envs: Vec<(&'a str, Env)>,
    /// Instances whose payloads are in a file of templates.
    used: BTreeSet<String>,
}

impl<'a> Plan<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = Reader::with_families(settings, &[], &FAMILIES)?;
        let templates = parsed(&reader, "template", Template::parse)?;
        let envs = parsed(&reader, "env", Env::parse)?;
        let in_templates = templates.iter().flat_map(|(_, template)| template.instances());
        let used = in_templates.chain(envs.iter().flat_map(|(_, env)| env.instances())).map(str::to_owned).collect();
        Ok(Self { paths: reader.family("path").collect(), templates, envs, used })
    }

    /// What settings name and is not there, in words: they may be wrong, or it may come yet.
    pub(crate) fn missing(&self, payloads: &Payloads) -> Vec<String> {
        let templates = self.templates.iter().flat_map(|(path, it)| it.instances().map(move |name| (*path, name)));
        let envs = self.envs.iter().flat_map(|(path, it)| it.instances().map(move |name| (*path, name)));
        let missing: BTreeSet<_> = templates.chain(envs).filter(|(_, instance)| !payloads.have(instance)).collect();
        let words = |(path, instance)| format!("no file {path}: nothing of instance {instance} is delivered");
        missing.into_iter().map(words).collect()
    }

    /// Their contents. A payload has a file of its own if a setting gives it a path, or if no setting names it. A file
    /// of which an instance is missing is left out: what is no longer delivered must not stay.
    ///
    /// # Errors
    /// If a payload has not what a setting names of it, or if two files would be one.
    pub(crate) fn files(&self, payloads: &Payloads) -> Result<Files, Failure> {
        let mut files = Files::new();
        let mut add = |path: &str, setting: &str, contents| match files.insert(path.to_owned(), contents) {
            None => Ok(()),
            Some(_) => {
                Err(misconfigured(setting, &format!("another setting or instance makes the file `{path}` as well")))
            }
        };
        for (path, template) in self.templates.iter().filter(|(_, it)| it.instances().all(|name| payloads.have(name))) {
            let setting = format!("template.{path}");
            add(path, &setting, template.fill(&setting, payloads)?)?;
        }
        for (path, env) in self.envs.iter().filter(|(_, it)| it.instances().all(|name| payloads.have(name))) {
            let setting = format!("env.{path}");
            add(path, &setting, env.fill(&setting, payloads)?)?;
        }
        for (instance, payload) in payloads.all() {
            let path = self.paths.iter().find(|(name, _)| *name == instance).map(|(_, path)| *path);
            let own = || (!self.used.contains(instance)).then_some(instance);
            if let Some(path) = path.or_else(own) {
                add(path, &format!("path.{instance}"), payload.to_vec())?;
            }
        }
        Ok(files)
    }
}

/// The members of a family, each read by `parse`.
fn parsed<'a, T>(
    reader: &Reader<'a>,
    family: &'a str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Vec<(&'a str, T)>, Failure> {
    let wrong = |name: &str, problem: String| misconfigured(&format!("{family}.{name}"), &problem);
    let members = reader.family(family);
    members.map(|(name, text)| Ok((name, parse(text).map_err(|problem| wrong(name, problem))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(settings: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let payloads = [("api", r#"{"token":"t0k"}"#), ("s3-prod", "keys")];
        let payloads = payloads.map(|(name, payload)| (name.to_owned(), payload.as_bytes().to_vec()));
        let files = Plan::read(&settings)?.files(&Payloads::new(payloads.into_iter()))?;
        Ok(files.into_iter().map(|(path, text)| (path, String::from_utf8(text).unwrap())).collect())
    }

    fn paths(settings: &[(&str, &str)]) -> Vec<String> {
        files(settings).unwrap().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn without_settings_each_payload_is_a_file_of_its_instance_s_name() {
        let expected = [("api".to_owned(), r#"{"token":"t0k"}"#.to_owned()), ("s3-prod".to_owned(), "keys".to_owned())];
        assert_eq!(files(&[]).unwrap(), expected);
    }

    #[test]
    fn a_payload_that_a_template_has_stands_alone_only_where_a_path_says_so() {
        let template = ("template.conf/app.properties", "token={{ api.token }}\n");
        assert_eq!(paths(&[template]), ["conf/app.properties", "s3-prod"]);
        assert_eq!(
            paths(&[template, ("path.api", "raw/api.json")]),
            ["conf/app.properties", "raw/api.json", "s3-prod"]
        );
        assert_eq!(paths(&[("env.app.env", "T={{ api.token }}\nK={{ s3-prod.payload }}")]), ["app.env"]);
        let made = files(&[template, ("env.app.env", "T={{ api.token }}"), ("path.s3-prod", "keys")]).unwrap();
        let texts: Vec<_> = made.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(texts, [("app.env", "T=t0k\n"), ("conf/app.properties", "token=t0k\n"), ("keys", "keys")]);
    }

    #[test]
    fn a_path_of_an_instance_that_is_not_there_has_no_effect() {
        assert_eq!(paths(&[("path.other", "x")]), ["api", "s3-prod"]);
    }

    #[test]
    fn a_file_of_which_an_instance_is_missing_is_left_out_and_told_of() {
        let settings =
            [("template.a", "{{ api.token }} {{ gone.payload }}"), ("env.b", "X={{ gone.payload }}"), ("env.c", "Y=1")];
        assert_eq!(paths(&settings), ["c", "s3-prod"]);
        let setting = |(name, value): (&str, &str)| Setting { name: name.to_owned(), value: value.to_owned() };
        let settings = settings.map(setting);
        let payloads = Payloads::new([("api".to_owned(), Vec::new())].into_iter());
        let expected =
            ["no file a: nothing of instance gone is delivered", "no file b: nothing of instance gone is delivered"];
        assert_eq!(Plan::read(&settings).unwrap().missing(&payloads), expected);
    }

    #[test]
    fn two_files_are_not_one() {
        for settings in [
            [("path.api", "x"), ("path.s3-prod", "x")],
            [("template.x", "a"), ("path.api", "x")],
            [("template.x", "a"), ("env.x", "A=b")],
            [("template.s3-prod", "a"), ("env.y", "A={{ api.token }}")],
        ] {
            let Err(Failure::Misconfigured(text)) = files(&settings) else { panic!("{settings:?} passed") };
            assert!(text.contains("makes the file `"), "{text}");
        }
    }

    #[test]
    fn a_fault_is_told_by_its_setting() {
        for (name, value) in [
            ("template.a", "{{ api }}"),
            ("env.a", "A"),
            ("env.a", "A={{ api.token | upper }}"),
            ("paths.a", "x"),
            ("template.a", " "),
            ("path", "x"),
        ] {
            let Err(Failure::Misconfigured(text)) = files(&[(name, value)]) else {
                panic!("{name} = {value:?} passed")
            };
            assert!(text.starts_with(&format!("setting `{name}`: ")), "{text}");
        }
    }
}
