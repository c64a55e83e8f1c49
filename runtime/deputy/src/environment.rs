//! The environment variables of the program, read once when it starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables in which other programs look for a proxy.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

#[derive(Debug, Default)]
pub(crate) struct EnvConfig {
    /// The folder in which components are found by name first.
    pub(crate) components: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) columns: Option<usize>,
    /// The variables of a proxy that are set. None of them is used.
    pub(crate) proxies: Vec<&'static str>,
    /// Where systemd or the XDG specification puts state.
    pub(crate) default_state: Option<PathBuf>,
}

/// Looks variables up. An empty one counts as not set.
struct Variables<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn get(&self, name: &str) -> Option<OsString> {
        self.0(name).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn absolute_path(&self, name: &str) -> Option<PathBuf> {
        self.path(name).filter(|path| path.is_absolute())
    }
}

impl EnvConfig {
    pub(crate) fn read() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variables = Variables(variable);
        let systemd = variables.path("STATE_DIRECTORY").and_then(|list| {
            // A list separated by colons.
            let first = list.to_str()?.split(':').next()?;
            Some(PathBuf::from(first))
        });
        let xdg = variables.absolute_path("XDG_STATE_HOME").map(|directory| directory.join("deputy"));
        let home = variables.absolute_path("HOME").map(|directory| directory.join(".local/state/deputy"));
        Self {
            components: variables.path("DEPUTY_COMPONENTS"),
            config: variables.path("DEPUTY_CONFIG"),
            log: variables.get("DEPUTY_LOG").map(|value| value.to_string_lossy().into_owned()),
            socket: variables.path("DEPUTY_SOCKET"),
            state: variables.path("DEPUTY_STATE"),
            columns: variables.get("COLUMNS").and_then(|value| value.to_str()?.parse().ok()),
            proxies: PROXIES.into_iter().filter(|name| variables.get(name).is_some()).collect(),
            default_state: systemd.or(xdg).or(home),
        }
    }

    /// The coordinator's state directory: of the command line, the environment, the configuration, or the default.
    pub(crate) fn state_dir(&self, flag: Option<&Path>, configured: Option<&Path>) -> Option<PathBuf> {
        let chosen = flag.or(self.state.as_deref()).or(configured).or(self.default_state.as_deref());
        chosen.map(Path::to_owned)
    }

    /// The worker's. Its default is another one than that of a coordinator on the same machine.
    pub(crate) fn worker_state_dir(&self, flag: Option<&Path>, configured: Option<&Path>) -> Option<PathBuf> {
        let chosen = flag.or(self.state.as_deref()).or(configured).map(Path::to_owned);
        chosen.or_else(|| Some(self.default_state.as_ref()?.join("worker")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> EnvConfig {
        EnvConfig::of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
    }

    fn default(variables: &[(&str, &str)]) -> Option<PathBuf> {
        with(variables).state_dir(None, None)
    }

    #[test]
    fn state_dir_default_is_of_systemd_then_xdg_then_home() {
        let all = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(default(&all), Some("/var/lib/a".into()));
        assert_eq!(default(&all[1..]), Some("/x/deputy".into()));
        assert_eq!(default(&all[2..]), Some("/h/.local/state/deputy".into()));
        assert_eq!(default(&[]), None);
    }

    #[test]
    fn environment_has_the_names_of_proxy_variables() {
        assert_eq!(with(&[("https_proxy", "http://p:3128"), ("HTTP_PROXY", "")]).proxies, ["https_proxy"]);
    }

    #[test]
    fn environment_ignores_empty_and_relative_paths() {
        assert_eq!(default(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), ("HOME", "")]), None);
    }

    #[test]
    fn state_dir_prefers_flag_then_variable_then_configuration() {
        let environment = with(&[("DEPUTY_STATE", "/e"), ("HOME", "/h")]);
        let flag = Some(Path::new("/f"));
        let configured = Some(Path::new("/c"));
        assert_eq!(environment.state_dir(flag, configured), Some("/f".into()));
        assert_eq!(environment.state_dir(None, configured), Some("/e".into()));
        assert_eq!(with(&[("HOME", "/h")]).state_dir(None, configured), Some("/c".into()));
    }

    #[test]
    fn state_dir_of_a_worker_is_its_own_unless_named() {
        let environment = with(&[("HOME", "/h")]);
        let configured = Some(Path::new("/c"));
        assert_eq!(environment.worker_state_dir(None, None), Some("/h/.local/state/deputy/worker".into()));
        assert_eq!(environment.worker_state_dir(None, configured), Some("/c".into()));
        assert_eq!(environment.worker_state_dir(Some(Path::new("/f")), configured), Some("/f".into()));
        assert_eq!(with(&[("DEPUTY_STATE", "/e")]).worker_state_dir(None, configured), Some("/e".into()));
        assert_eq!(with(&[]).worker_state_dir(None, None), None);
    }
}
