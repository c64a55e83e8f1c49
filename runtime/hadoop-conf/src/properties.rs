//! All files of a folder as one set of properties, with `${…}` expanded as Hadoop does it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use deputy_files::{ambient, fill};

use crate::HadoopConfError;
use crate::xml;

/// The files in the order in which they are read: a later one wins, unless an earlier property is final.
const FILES: [&str; 5] = ["core-site.xml", "hdfs-site.xml", "yarn-site.xml", "hbase-site.xml", "hive-site.xml"];

/// The longest file. Generated ones have some hundred KiB.
const MAX_FILE: usize = 4 << 20;

/// How many variables one value may need, one after the other, as `Configuration.MAX_SUBST`.
const MAX_EXPANSIONS: usize = 20;

/// The longest value after expansion.
const MAX_VALUE: usize = 64 << 10;

/// What a folder configures.
#[derive(Debug, Clone, Default)]
pub struct HadoopProperties {
    values: BTreeMap<String, (String, bool)>,
    /// The names of the files that were read.
    files: Vec<&'static str>,
}

impl HadoopProperties {
    /// Reads the folder of a client's configuration.
    ///
    /// # Errors
    /// If it has no such file, or one that cannot be read as a client would read it.
    pub fn read(dir: &Path) -> Result<Self, HadoopConfError> {
        let mut properties = Self::default();
        for name in FILES {
            let path = dir.join(name);
            if let Some(text) = read_text(&path)? {
                properties.add(name, &path, &text)?;
            }
        }
        if properties.files.is_empty() {
            return Err(HadoopConfError::NoFile { dir: dir.to_owned(), names: FILES.join(", ") });
        }
        Ok(properties)
    }

    /// The names of the files that were read.
    pub fn files(&self) -> &[&'static str] {
        &self.files
    }

    pub(crate) fn add(&mut self, name: &'static str, path: &Path, text: &str) -> Result<(), HadoopConfError> {
        for property in xml::properties(path, text)? {
            let is_fixed = self.values.get(&property.name).is_some_and(|(_, is_final)| *is_final);
            if !is_fixed {
                self.values.insert(property.name, (property.value, property.is_final));
            }
        }
        self.files.push(name);
        Ok(())
    }

    /// A value that is not empty. `Err` has the variable that is not known here.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, String> {
        let Some((value, _)) = self.values.get(name) else { return Ok(None) };
        let value = self.expand(value).map_err(|variable| format!("{name} = {value}: {variable}"))?;
        let value = value.trim();
        Ok((!value.is_empty()).then(|| value.to_owned()))
    }

    /// The parts of a value between commas.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let value = self.get(name)?.unwrap_or_default();
        Ok(value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// A value that is `true` or `false`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        Ok(self.get(name)?.map_or(default, |value| value.eq_ignore_ascii_case("true")))
    }

    /// All names that begin so, with their unexpanded values.
    pub(crate) fn beginning<'a>(&'a self, begin: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.values.range(begin.to_owned()..).take_while(move |(name, _)| name.starts_with(begin));
        all.map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    /// Replaces each `${name}` by the value of that property. Variables of the process, which Hadoop knows as well, are not
    /// those of the workers, and are not known here.
    fn expand(&self, value: &str) -> Result<String, String> {
        let mut text = value.to_owned();
        for _ in 0..=MAX_EXPANSIONS {
            let Some((before, rest)) = text.split_once("${") else { return Ok(text) };
            let Some((name, after)) = rest.split_once('}') else { return Ok(text) };
            let Some((found, _)) = self.values.get(name) else {
                return Err(format!("${{{name}}} is not known here"));
            };
            text = format!("{before}{found}{after}");
            if text.len() > MAX_VALUE {
                return Err(format!("it expands to more than {MAX_VALUE} bytes"));
            }
        }
        Err(format!("it needs more than {MAX_EXPANSIONS} variables, or one that contains itself"))
    }
}

/// A text of at most [`MAX_FILE`] bytes; `None` if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, HadoopConfError> {
    match ambient::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(path, error)),
        // Opening anything else might not return.
        Ok(metadata) if !metadata.is_file() => {
            return Err(read_error(path, io::Error::new(io::ErrorKind::InvalidInput, "not a file")));
        }
        Ok(_) => {}
    }
    let mut bytes = vec![0; MAX_FILE + 1];
    let length =
        ambient::open_file(path).and_then(|file| fill(file, &mut bytes)).map_err(|error| read_error(path, error))?;
    if length > MAX_FILE {
        return Err(HadoopConfError::TooLong { path: path.to_owned(), limit: MAX_FILE });
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map(Some).map_err(|_| HadoopConfError::Encoding { path: path.to_owned() })
}

fn read_error(path: &Path, source: io::Error) -> HadoopConfError {
    HadoopConfError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Properties as if a file had them.
    fn of(pairs: &[(&str, &str)]) -> HadoopProperties {
        let mut properties = HadoopProperties::default();
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), ((*value).to_owned(), false)));
        properties.values = values.collect();
        properties
    }

    #[test]
    fn properties_expand_variables_with_a_bound() {
        let found = of(&[("host", "nn1.example.com"), ("port", "80${tail}"), ("tail", "20"), ("a", "${host}:${port}")]);
        assert_eq!(found.get("a"), Ok(Some("nn1.example.com:8020".to_owned())));
        let found = of(&[("a", "x${b}"), ("b", "${a}"), ("c", "${user.name}"), ("d", "${env.HOME}"), ("e", "${open")]);
        assert!(found.get("a").unwrap_err().contains("more than 20 variables"));
        assert_eq!(found.get("c").unwrap_err(), "c = ${user.name}: ${user.name} is not known here");
        assert!(found.get("d").is_err());
        assert_eq!(found.get("e"), Ok(Some("${open".to_owned())));
        let found = of(&[("long", &"x".repeat(MAX_VALUE)), ("a", "${long}${long}")]);
        assert!(found.get("a").unwrap_err().contains("more than 65536 bytes"));
    }

    #[test]
    fn properties_of_a_later_file_win_unless_final() {
        let mut properties = HadoopProperties::default();
        let first = "<configuration><property name=\"a\" value=\"1\" final=\"true\"/><property name=\"b\" value=\"1\"/></configuration>";
        let second =
            "<configuration><property name=\"a\" value=\"2\"/><property name=\"b\" value=\"2\"/></configuration>";
        properties.add("core-site.xml", Path::new("core-site.xml"), first).unwrap();
        properties.add("hdfs-site.xml", Path::new("hdfs-site.xml"), second).unwrap();
        assert_eq!(properties.get("a"), Ok(Some("1".to_owned())));
        assert_eq!(properties.get("b"), Ok(Some("2".to_owned())));
        assert_eq!(properties.files(), ["core-site.xml", "hdfs-site.xml"]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test arranges its own files")]
    fn properties_of_a_folder_need_a_file_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let error = HadoopProperties::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has none of core-site.xml, hdfs-site.xml"), "{error}");
        let path = folder.path().join("core-site.xml");
        std::fs::write(&path, vec![b' '; MAX_FILE + 1]).unwrap();
        let error = HadoopProperties::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("longer than 4194304 bytes"), "{error}");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let error = HadoopProperties::read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not UTF-8"), "{error}");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = HadoopProperties::read(folder.path()).unwrap_err();
        assert!(matches!(error, HadoopConfError::Read { .. }), "{error}");
    }
}
