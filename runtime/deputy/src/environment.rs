//! What the program takes from its environment, read once at its start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What other programs take a proxy from.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Environment variables.
#[derive(Debug, Default)]
pub(crate) struct EnvConfig {
    /// `DEPUTY_CONFIG`
    pub(crate) config: Option<PathBuf>,
    /// `DEPUTY_LOG`
    pub(crate) log: Option<String>,
    /// `DEPUTY_SOCKET`
    pub(crate) socket: Option<PathBuf>,
    /// `DEPUTY_STATE`
    pub(crate) state: Option<PathBuf>,
    /// `COLUMNS`
    pub(crate) columns: Option<usize>,
    /// Those variables of a proxy that are set. None of them is used.
    pub(crate) proxies: Vec<&'static str>,
    /// Where systemd or the desktop wants state to be.
    pub(crate) default_state: Option<PathBuf>,
}

impl EnvConfig {
    pub(crate) fn read() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        // systemd gives a list with colons between.
        let service = path("STATE_DIRECTORY").and_then(|list| {
            let first = list.to_str()?.split(':').next()?;
            Some(PathBuf::from(first))
        });
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let desktop = path("XDG_STATE_HOME").and_then(absolute).map(|folder| folder.join("deputy"));
        let home = path("HOME").and_then(absolute).map(|folder| folder.join(".local/state/deputy"));
        Self {
            config: path("DEPUTY_CONFIG"),
            log: set("DEPUTY_LOG").map(|value| value.to_string_lossy().into_owned()),
            socket: path("DEPUTY_SOCKET"),
            state: path("DEPUTY_STATE"),
            columns: set("COLUMNS").and_then(|value| value.to_str()?.parse().ok()),
            proxies: PROXIES.into_iter().filter(|name| set(name).is_some()).collect(),
            default_state: service.or(desktop).or(home),
        }
    }

    /// The state directory: what the command line says, the environment, the configuration, and then the default.
    pub(crate) fn state_dir(&self, flag: Option<&Path>, configured: Option<&Path>) -> Option<PathBuf> {
        let chosen = flag.or(self.state.as_deref()).or(configured).or(self.default_state.as_deref());
        chosen.map(Path::to_owned)
    }

    /// The same of a worker. By default it is a folder of its own: a coordinator on the same machine has another one.
    pub(crate) fn worker_state_dir(&self, flag: Option<&Path>, configured: Option<&Path>) -> Option<PathBuf> {
        let chosen = flag.or(self.state.as_deref()).or(configured).map(Path::to_owned);
        chosen.or_else(|| Some(self.default_state.as_ref()?.join("worker")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> EnvConfig {
        EnvConfig::of(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).into()))
    }

    fn default(variables: &[(&str, &str)]) -> Option<PathBuf> {
        with(variables).state_dir(None, None)
    }

    #[test]
    fn the_default_is_systemds_folder_then_the_desktops_then_the_homes() {
        let all = [("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(default(&all), Some("/var/lib/a".into()));
        assert_eq!(default(&all[1..]), Some("/x/deputy".into()));
        assert_eq!(default(&all[2..]), Some("/h/.local/state/deputy".into()));
        assert_eq!(default(&[]), None);
    }

    #[test]
    fn proxy_variables_that_are_set_are_known_by_name() {
        assert_eq!(with(&[("https_proxy", "http://p:3128"), ("HTTP_PROXY", "")]).proxies, ["https_proxy"]);
    }

    #[test]
    fn an_empty_or_relative_variable_is_none() {
        assert_eq!(default(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), ("HOME", "")]), None);
    }

    #[test]
    fn the_nearest_choice_wins() {
        let surroundings = with(&[("DEPUTY_STATE", "/e"), ("HOME", "/h")]);
        let (flag, configured) = (Some(Path::new("/f")), Some(Path::new("/c")));
        assert_eq!(surroundings.state_dir(flag, configured), Some("/f".into()));
        assert_eq!(surroundings.state_dir(None, configured), Some("/e".into()));
        assert_eq!(with(&[("HOME", "/h")]).state_dir(None, configured), Some("/c".into()));
    }

    #[test]
    fn a_worker_has_a_folder_of_its_own_unless_one_is_named() {
        let surroundings = with(&[("HOME", "/h")]);
        let configured = Some(Path::new("/c"));
        assert_eq!(surroundings.worker_state_dir(None, None), Some("/h/.local/state/deputy/worker".into()));
        assert_eq!(surroundings.worker_state_dir(None, configured), Some("/c".into()));
        assert_eq!(surroundings.worker_state_dir(Some(Path::new("/f")), configured), Some("/f".into()));
        assert_eq!(with(&[("DEPUTY_STATE", "/e")]).worker_state_dir(None, configured), Some("/e".into()));
        assert_eq!(with(&[]).worker_state_dir(None, None), None);
    }
}
