//! Which files are written: one for each template and environment file, and one for each payload with a file of its own.

use crate::FilesReceiver;
use crate::environment_file::EnvironmentFile;
use crate::payloads::Payloads;
use crate::reference::Reference;
use crate::template::Template;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::outputs::OutputFiles;
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use std::collections::{BTreeMap, BTreeSet};

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 3] = [
    SettingSpec::new("path.*", "text", "the file with an instance's payload, unchanged: path.INSTANCE")
        .default("the instance's name, if no other setting names the instance"),
    SettingSpec::new("template.*", "text", "the text of a file, with placeholders for payloads: template.FILE"),
    SettingSpec::new(
        "env.*",
        "text",
        "the lines NAME=value of an environment file, whose values may have placeholders: env.FILE",
    ),
];

/// The parsed settings.
#[derive(Debug)]
pub(crate) struct OutputPlan<'a> {
    paths: Vec<(&'a str, &'a str)>,
    templates: Vec<(&'a str, Template)>,
    environment_files: Vec<(&'a str, EnvironmentFile)>,
    /// Instances that a template or environment file names.
    used: BTreeSet<String>,
}

impl<'a> OutputPlan<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = SettingsReader::described(settings, &[&SETTINGS])?;
        let templates = parsed(&reader, "template", Template::parse)?;
        let environment_files = parsed(&reader, "env", EnvironmentFile::parse)?;
        let mut plan =
            Self { paths: reader.family("path").collect(), templates, environment_files, used: BTreeSet::new() };
        plan.used = plan.references().map(|(_, reference)| reference.instance.clone()).collect();
        Ok(plan)
    }

    /// All placeholders, with the setting of each.
    pub(crate) fn references(&self) -> impl Iterator<Item = (String, &Reference)> {
        let templates = self
            .templates
            .iter()
            .flat_map(|(path, it)| it.references().map(move |reference| (format!("template.{path}"), reference)));
        let files = self
            .environment_files
            .iter()
            .flat_map(|(path, it)| it.references().map(move |reference| (format!("env.{path}"), reference)));
        templates.chain(files)
    }

    /// The instances with a path of their own, with the setting of each.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (String, &str)> {
        self.paths.iter().map(|(instance, _)| (format!("path.{instance}"), *instance))
    }

    /// The deliveries whose payload lacks what a setting names, or holds what the file cannot.
    pub(crate) fn unusable<'b>(&'b self, payloads: &Payloads) -> BTreeMap<&'b str, Failure> {
        let mut found = BTreeMap::new();
        for (setting, reference) in self.references().filter(|(_, it)| payloads.contain(&it.instance)) {
            let problem = match reference.resolve(payloads) {
                Err(problem) => Some(problem),
                Ok(value) if setting.starts_with("env.") => EnvironmentFile::value_fault(&value),
                Ok(_) => None,
            };
            if let Some(problem) = problem {
                found.entry(reference.instance.as_str()).or_insert_with(|| reference.unusable(&setting, &problem));
            }
        }
        found
    }

    /// A warning for each file that is left out because a lease is missing: it may come later.
    pub(crate) fn left_out(&self, payloads: &Payloads) -> Vec<String> {
        let missing: BTreeSet<_> = self
            .references()
            .filter(|(_, reference)| !payloads.contain(&reference.instance))
            .filter_map(|(setting, reference)| Some((setting.split_once('.')?.1.to_owned(), &reference.instance)))
            .collect();
        missing
            .into_iter()
            .map(|(path, instance)| format!("file {path} is left out: no lease of instance {instance} is delivered"))
            .collect()
    }

    /// The path of each file if all of these instances are delivered, with the setting that it is from.
    ///
    /// # Errors
    /// If two files have the same path.
    pub(crate) fn written<'b>(
        &self,
        instances: impl Iterator<Item = &'b str>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let templates = self.templates.iter().map(|(path, _)| ((*path).to_owned(), format!("template.{path}")));
        let files = self.environment_files.iter().map(|(path, _)| ((*path).to_owned(), format!("env.{path}")));
        let own = instances.filter_map(|it| Some((self.own_path(it)?.to_owned(), format!("path.{it}"))));
        let mut written = BTreeMap::new();
        for (path, setting) in templates.chain(files).chain(own) {
            add(&mut written, &path, &setting, setting.clone())?;
        }
        Ok(written)
    }

    /// The contents of the files. A payload has a file of its own if a setting gives it a path, or if no setting names it. A
    /// file that lacks an instance is left out, so that no withdrawn lease stays in it.
    ///
    /// # Errors
    /// If a payload lacks what a setting names, or two files have the same path.
    pub(crate) fn files(&self, payloads: &Payloads) -> Result<OutputFiles, Failure> {
        let mut files = OutputFiles::new();
        for (path, template) in self.templates.iter().filter(|(_, it)| has_all(payloads, it.references())) {
            let setting = format!("template.{path}");
            let contents = template.fill(&setting, payloads)?;
            add(&mut files, path, &setting, contents)?;
        }
        for (path, file) in self.environment_files.iter().filter(|(_, it)| has_all(payloads, it.references())) {
            let setting = format!("env.{path}");
            let contents = file.fill(&setting, payloads)?;
            add(&mut files, path, &setting, contents)?;
        }
        for (instance, payload) in payloads.iter() {
            if let Some(path) = self.own_path(instance) {
                add(&mut files, path, &format!("path.{instance}"), payload.to_vec())?;
            }
        }
        Ok(files)
    }

    /// The file of an instance's payload alone, if it has one.
    fn own_path<'b>(&'b self, instance: &'b str) -> Option<&'b str> {
        let configured = self.paths.iter().find(|(name, _)| *name == instance).map(|(_, path)| *path);
        configured.or_else(|| (!self.used.contains(instance)).then_some(instance))
    }
}

impl Describe for FilesReceiver {
    const TITLE: &'static str = "Payloads of any service as files";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    /// A receiver is granted nothing.
    fn wants(_: &[Setting]) -> Result<Vec<Want>, Failure> {
        Ok(Vec::new())
    }
}

fn has_all<'a>(payloads: &Payloads, mut references: impl Iterator<Item = &'a Reference>) -> bool {
    references.all(|reference| payloads.contain(&reference.instance))
}

fn add<T>(files: &mut BTreeMap<String, T>, path: &str, setting: &str, contents: T) -> Result<(), Failure> {
    match files.insert(path.to_owned(), contents) {
        None => Ok(()),
        Some(_) => {
            Err(wrong_setting(setting, &format!("another setting or instance writes the file `{path}` as well")))
        }
    }
}

/// The members of a family of settings, parsed.
fn parsed<'a, T>(
    reader: &SettingsReader<'a>,
    family: &'a str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Vec<(&'a str, T)>, Failure> {
    let members = reader.family(family).map(|(name, text)| {
        let value = parse(text).map_err(|problem| wrong_setting(&format!("{family}.{name}"), &problem))?;
        Ok((name, value))
    });
    members.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Next;

    fn files(settings: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        let settings: Vec<Setting> = settings.iter().map(setting).collect();
        let payloads = [("api", r#"{"token":"t0k"}"#), ("s3-prod", "keys")];
        let payloads = payloads.map(|(name, payload)| (name.to_owned(), payload.as_bytes().to_vec()));
        let files = OutputPlan::read(&settings)?.files(&Payloads::new(payloads.into_iter()))?;
        Ok(files.into_iter().map(|(path, text)| (path, String::from_utf8(text).unwrap())).collect())
    }

    fn paths(settings: &[(&str, &str)]) -> Vec<String> {
        files(settings).unwrap().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn plan_without_settings_names_files_after_instances() {
        let expected = [("api".to_owned(), r#"{"token":"t0k"}"#.to_owned()), ("s3-prod".to_owned(), "keys".to_owned())];
        assert_eq!(files(&[]).unwrap(), expected);
    }

    #[test]
    fn plan_writes_a_template_s_payload_alone_only_with_a_path() {
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
    fn plan_ignores_the_path_of_an_absent_instance() {
        assert_eq!(paths(&[("path.other", "x")]), ["api", "s3-prod"]);
    }

    #[test]
    fn plan_leaves_out_a_file_that_lacks_an_instance_and_warns() {
        let settings =
            [("template.a", "{{ api.token }} {{ gone.payload }}"), ("env.b", "X={{ gone.payload }}"), ("env.c", "Y=1")];
        assert_eq!(paths(&settings), ["c", "s3-prod"]);
        let setting = |(name, value): (&str, &str)| Setting { name: name.to_owned(), value: value.to_owned() };
        let settings = settings.map(setting);
        let payloads = Payloads::new([("api".to_owned(), Vec::new())].into_iter());
        let expected = [
            "file a is left out: no lease of instance gone is delivered",
            "file b is left out: no lease of instance gone is delivered",
        ];
        assert_eq!(OutputPlan::read(&settings).unwrap().left_out(&payloads), expected);
    }

    #[test]
    fn plan_refuses_two_files_with_one_path() {
        for settings in [
            [("path.api", "x"), ("path.s3-prod", "x")],
            [("template.x", "a"), ("path.api", "x")],
            [("template.x", "a"), ("env.x", "A=b")],
            [("template.s3-prod", "a"), ("env.y", "A={{ api.token }}")],
        ] {
            let Err(failure) = files(&settings) else { panic!("{settings:?} passed") };
            assert!(failure.message.contains("writes the file `"), "{failure:?}");
        }
    }

    #[test]
    fn plan_errors_name_the_setting() {
        for (name, value) in [
            ("template.a", "{{ api }}"),
            ("env.a", "A"),
            ("env.a", "A={{ api.token | upper }}"),
            ("paths.a", "x"),
            ("template.a", " "),
            ("path", "x"),
        ] {
            let Err(failure) = files(&[(name, value)]) else { panic!("{name} = {value:?} passed") };
            assert_eq!((failure.next, failure.setting.as_deref()), (Next::Misconfigured, Some(name)));
            assert!(failure.message.starts_with(&format!("setting `{name}`: ")), "{failure:?}");
        }
    }

    #[test]
    fn plan_finds_each_delivery_with_a_bad_payload() {
        let settings = [
            ("template.a", "{{ good.token }} {{ bad.token }}"),
            ("env.b", "A={{ bad.payload }}\nB={{ lines.payload }}"),
            ("template.c", "{{ lines.payload }} {{ gone.x }}"),
        ];
        let settings = settings.map(|(name, value)| Setting { name: name.to_owned(), value: value.to_owned() });
        let payloads = [("good", r#"{"token":"t0k"}"#), ("bad", "hunter2"), ("lines", "hunter2\nb"), ("own", "x\ny")];
        let payloads = payloads.map(|(name, payload)| (name.to_owned(), payload.as_bytes().to_vec()));
        let plan = OutputPlan::read(&settings).unwrap();
        let unusable = plan.unusable(&Payloads::new(payloads.into_iter()));
        let unusable: Vec<_> = unusable.iter().map(|(name, failure)| (*name, failure.message.as_str())).collect();
        assert_eq!(
            unusable,
            [
                ("bad", "setting `template.a`: instance `bad`: its payload is not JSON"),
                (
                    "lines",
                    "setting `env.b`: instance `lines`: its value contains line breaks or other control characters: \
                     add `| base64`"
                ),
            ]
        );
    }
}
