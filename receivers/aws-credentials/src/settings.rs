//! The settings: the profile of each instance, and its region and endpoint in the config file.

use crate::AwsCredentialsReceiver;
use deputy_kit::description::{Describe, SettingSpec, Want};
use deputy_kit::settings::{SettingsReader, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;

/// The settings, as they are read and described.
const SETTINGS: [SettingSpec; 6] = [
    SettingSpec::new("profile.*", "text", "the profile of an instance: profile.INSTANCE")
        .default("the instance's name"),
    SettingSpec::new("default", "text", "the instance that is the default profile as well"),
    SettingSpec::new("region", "text", "the region of all profiles in the config file"),
    SettingSpec::new("region.*", "text", "the region of one instance's profile: region.INSTANCE"),
    SettingSpec::new("endpoint.*", "url", "the URL of an instance's S3, if it is not that of AWS: endpoint.INSTANCE"),
    SettingSpec::new(
        "process",
        "text",
        "the command that prints the credentials of {instance}, for programs that read them again, or none",
    )
    .default("prints this receiver's file, where its directory is known"),
];

const FAMILIES: [&str; 3] = ["profile", "region", "endpoint"];

/// What stands for the instance's name in a command.
const INSTANCE: &str = "{instance}";

/// Instead of a command: there is none.
const NO_PROCESS: &str = "none";

/// The checked settings. Those of an instance without a lease have no effect: the lease may come later.
pub(crate) struct ProfileSettings<'a>(SettingsReader<'a>);

impl<'a> ProfileSettings<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let reader = SettingsReader::described(settings, &[&SETTINGS])?;
        check_family(&reader, "profile", check_profile)?;
        check_family(&reader, "region", check_region)?;
        check_family(&reader, "endpoint", |url| Url::parse(url).map(|_| ()))?;
        reader.parsed("region", check_region)?;
        reader.parsed("process", check_process)?;
        Ok(Self(reader))
    }

    /// Whether all instances that the settings name are bound: one that is not is misspelt, or forgotten in the binding.
    pub(crate) fn check_instances(&self, bound: &[&str]) -> Result<(), Failure> {
        let members = FAMILIES.iter().flat_map(|family| self.0.family(family).map(move |(name, _)| (*family, name)));
        let named = members.map(|(family, name)| (format!("{family}.{name}"), name));
        let default = self.0.optional("default").map(|name| ("default".to_owned(), name));
        match named.chain(default).find(|(_, instance)| !bound.contains(instance)) {
            None => Ok(()),
            Some((setting, instance)) => Err(wrong_setting(
                &setting,
                &format!("no instance `{instance}` is bound to this receiver; there are: {}", bound.join(", ")),
            )),
        }
    }

    pub(crate) fn profile(&self, instance: &'a str) -> &'a str {
        self.member("profile", instance).unwrap_or(instance)
    }

    /// Whether an instance is also the default profile.
    pub(crate) fn is_default(&self, instance: &str) -> bool {
        self.0.optional("default") == Some(instance)
    }

    pub(crate) fn region(&self, instance: &str) -> Option<&'a str> {
        self.member("region", instance).or_else(|| self.0.optional("region"))
    }

    /// The URL of the instance's S3, if it is not that of AWS.
    pub(crate) fn endpoint(&self, instance: &str) -> Option<&'a str> {
        self.member("endpoint", instance)
    }

    /// The command that prints the instance's credentials. By default it prints the file of this receiver, where its
    /// directory is known and can be written without quotes.
    pub(crate) fn process(&self, instance: &str, directory: Option<&str>) -> Option<String> {
        match self.0.optional("process") {
            Some(NO_PROCESS) => None,
            Some(command) => Some(command.replace(INSTANCE, instance)),
            None => {
                let directory = directory.filter(|directory| is_plain_path(directory))?;
                Some(format!("cat {directory}/{instance}.json"))
            }
        }
    }

    fn member(&self, family: &'a str, instance: &str) -> Option<&'a str> {
        self.0.family(family).find(|(name, _)| *name == instance).map(|(_, value)| value)
    }
}

impl Describe for AwsCredentialsReceiver {
    const TITLE: &'static str = "S3 credentials in the files that AWS tools and SDKs read";
    const SETTINGS: &'static [&'static [SettingSpec]] = &[&SETTINGS];

    /// A receiver is granted nothing.
    fn wants(_: &[Setting]) -> Result<Vec<Want>, Failure> {
        Ok(Vec::new())
    }
}

fn check_family<'a>(
    reader: &SettingsReader<'a>,
    family: &'a str,
    check: fn(&str) -> Result<(), String>,
) -> Result<(), Failure> {
    reader.family(family).try_for_each(|(name, value)| {
        check(value).map_err(|problem| wrong_setting(&format!("{family}.{name}"), &problem))
    })
}

/// A profile's name is written in brackets and used in environment variables.
fn check_profile(name: &str) -> Result<(), String> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+/".contains(&byte));
    if is_plain && (1..=128).contains(&name.len()) {
        Ok(())
    } else {
        Err("must be 1 to 128 ASCII letters, digits and characters of -_.@+/".to_owned())
    }
}

/// A command is a line of a file, at whose end some readers see comments.
fn check_process(command: &str) -> Result<(), String> {
    let is_line = command.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic() && byte != b'#' && byte != b';');
    if is_line && (1..=1024).contains(&command.len()) && command.trim() == command {
        Ok(())
    } else {
        Err("must be a command of printable ASCII without `#` and `;`, or `none`".to_owned())
    }
}

/// Whether neither a shell nor a reader of the file sees more in a path than a path.
fn is_plain_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./+@:,=".contains(&byte))
}

fn check_region(name: &str) -> Result<(), String> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_plain && (1..=63).contains(&name.len()) { Ok(()) } else { Err("not a region, such as eu-west-1".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::settings::settings_of;
    use deputy_kit::types::Next;

    #[test]
    fn settings_default_to_the_instance_s_name() {
        let config = ProfileSettings::read(&[]).unwrap();
        assert_eq!(config.profile("s3-prod"), "s3-prod");
        assert!(!config.is_default("s3-prod") && config.region("s3-prod").is_none());
    }

    #[test]
    fn settings_choose_the_process_of_a_profile() {
        fn process(pairs: &[(&str, &str)], directory: Option<&str>) -> Option<String> {
            ProfileSettings::read(&settings_of(pairs)).unwrap().process("s3", directory)
        }
        assert_eq!(process(&[], Some("/run/deputy/aws")).as_deref(), Some("cat /run/deputy/aws/s3.json"));
        for directory in [None, Some("/run/my deputy"), Some("/run/$(x)"), Some("/run/'"), Some("/run/#")] {
            assert_eq!(process(&[], directory), None, "{directory:?}");
        }
        let own = [("process", "deputy get {instance} --format aws-process")];
        assert_eq!(process(&own, None).as_deref(), Some("deputy get s3 --format aws-process"));
        assert_eq!(process(&[("process", "none")], Some("/run")), None);
    }

    #[test]
    fn settings_of_an_instance_win_over_general_ones() {
        let written = settings_of(&[
            ("region", "us-east-1"),
            ("region.s3-prod", "eu-west-1"),
            ("profile.s3-prod", "prod"),
            ("default", "s3-prod"),
            ("endpoint.s3-lab", "http://127.0.0.1:8333"),
        ]);
        let config = ProfileSettings::read(&written).unwrap();
        assert_eq!((config.region("s3-prod"), config.region("s3-lab")), (Some("eu-west-1"), Some("us-east-1")));
        assert_eq!((config.profile("s3-prod"), config.profile("s3-lab")), ("prod", "s3-lab"));
        assert_eq!((config.endpoint("s3-prod"), config.endpoint("s3-lab")), (None, Some("http://127.0.0.1:8333")));
        assert!(config.is_default("s3-prod") && !config.is_default("s3-lab"));
    }

    #[test]
    fn settings_refuse_values_that_could_begin_a_line() {
        for (name, value) in [
            ("profile.a", "x]\n[default"),
            ("profile.a", "two words"),
            ("profile.a", "é"),
            ("region", "eu\nrole_arn = x"),
            ("region.a", "EU"),
            ("endpoint.a", "https://h/\nx = y"),
            ("endpoint.a", "h:80"),
            ("default", " "),
            ("process", "cat x\nrole_arn = y"),
            ("process", "cat x # y"),
            ("process", "cat é"),
            ("regoin", "x"),
            ("profile", "x"),
            ("profile.", "x"),
        ] {
            let written = settings_of(&[(name, value)]);
            let Err(failure) = ProfileSettings::read(&written) else { panic!("{name} = {value:?} passed") };
            let text = failure.message;
            assert_eq!((failure.next, failure.setting.as_deref()), (Next::Misconfigured, Some(name)));
            assert!(text.starts_with(&format!("setting `{name}`: ")) && !text.contains('\n'), "{text:?}");
        }
    }

    #[test]
    fn settings_of_an_instance_that_is_not_bound_are_found() {
        for name in ["profile.s3-prd", "region.s3-prd", "endpoint.s3-prd", "default"] {
            let value = if name == "default" { "s3-prd" } else { "http://h" };
            let value = if name.starts_with("endpoint") || name == "default" { value } else { "prd" };
            let written = settings_of(&[(name, value)]);
            let config = ProfileSettings::read(&written).unwrap();
            let failure = config.check_instances(&["s3-prod", "s3-lab"]).unwrap_err();
            assert_eq!(failure.setting.as_deref(), Some(name));
            assert_eq!(
                failure.message,
                format!("setting `{name}`: no instance `s3-prd` is bound to this receiver; there are: s3-prod, s3-lab")
            );
            config.check_instances(&["s3-prod", "s3-prd"]).unwrap();
        }
    }
}
