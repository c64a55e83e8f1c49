//! Configuration as programs in Java read it: names and values, in XML or as properties.

use std::fs;
use std::path::Path;

use crate::Error;

/// Beginnings of the names that belong into `core-site.xml`.
const CORE: [&str; 4] = ["fs.", "hadoop.", "io.", "ipc."];

/// A configuration.
#[derive(Clone, Default)]
pub struct Site(Vec<(String, String)>);

impl Site {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value, instead of an earlier one of the same name.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets all values of another one.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        other.0.iter().fold(self, |site, (name, value)| site.set(name, value))
    }

    /// What is set under names that begin in one of these ways.
    #[must_use]
    pub fn only(&self, beginnings: &[&str]) -> Self {
        Self(
            self.0.iter().filter(|(name, _)| beginnings.iter().any(|begin| name.starts_with(begin))).cloned().collect(),
        )
    }

    /// Writes `core-site.xml` and the file of one service, such as `hdfs-site.xml`, as an operator divides them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path, service: &str) -> Result<(), Error> {
        self.write_file(&folder.join("core-site.xml"), is_core)?;
        self.write_file(&folder.join(service), |name| !is_core(name))
    }

    /// Writes all of it into one file, for programs that do not look for anything in `core-site.xml`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_whole(&self, file: &Path) -> Result<(), Error> {
        self.write_file(file, |_| true)
    }

    /// Writes all of it as Java properties, as Kafka reads them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_properties(&self, file: &Path) -> Result<(), Error> {
        let line = |(name, value): &(String, String)| format!("{name}={}\n", value.replace('\\', "\\\\"));
        let text: String = self.0.iter().map(line).collect();
        fs::write(file, text).map_err(|error| Error::new(format!("writing {}: {error}", file.display())))
    }

    fn write_file(&self, file: &Path, belongs: fn(&str) -> bool) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(format!("writing {}: {error}", file.display()));
        let mut xml = "<?xml version=\"1.0\"?>\n<configuration>\n".to_owned();
        for (name, value) in self.0.iter().filter(|(name, _)| belongs(name)) {
            let (name, value) = (escape(name), escape(value));
            xml.push_str(&format!("  <property><name>{name}</name><value>{value}</value></property>\n"));
        }
        xml.push_str("</configuration>\n");
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(file, xml).map_err(failed)
    }
}

fn is_core(name: &str) -> bool {
    CORE.iter().any(|begin| name.starts_with(begin))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
