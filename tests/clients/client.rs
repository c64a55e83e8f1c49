//! A client that runs until a file is there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use deputy_test_servers::tool;

use crate::site::Site;

/// How a client gets its credentials: a section of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The worker's endpoint for AWS libraries.
    Endpoint,
    /// Variables that never change.
    Exec,
    /// Variables of a program that is started again.
    Restarted,
    /// The shared file.
    File,
    /// The receiver's configuration with its `credential_process`.
    Process,
    /// A configuration of one's own with `deputy get`.
    OwnProcess,
}

/// What runs.
pub(crate) struct Program {
    /// The row of the page's table.
    pub(crate) client: &'static str,
    /// As a name of files and objects.
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
    /// Files of its folder, with the heading and the language of their block on the page.
    pub(crate) files: &'static [(&'static str, &'static str, &'static str)],
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// A running client. It is killed when this is dropped.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) object: String,
    folder: PathBuf,
    child: Child,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Exec => "exec",
            Self::Restarted => "restarted",
            Self::File => "file",
            Self::Process => "process",
            Self::OwnProcess => "own-process",
        }
    }

    /// A script that has the environment of the page and then becomes the program.
    fn script(self, site: &Site, folder: &Path) -> String {
        let place = site.place();
        let s3 = place.block("## Where S3 is", "sh", 0);
        let run = "exec \"$@\"\n";
        match self {
            Self::Endpoint => s3 + &place.block("## Endpoint", "sh", 0) + run,
            Self::File => s3 + &place.block("## File", "sh", 0) + run,
            Self::Process => s3 + &place.block("## Process", "sh", 0) + run,
            Self::OwnProcess => {
                let config = folder.join("config");
                fs::write(&config, place.block("## Process", "ini", 0)).unwrap();
                let published = site.run().join("aws/config");
                s3 + &place.block("## Process", "sh", 0).replace(published.to_str().unwrap(), config.to_str().unwrap())
                    + run
            }
            Self::Exec => s3 + &place.block("## Exec", "sh", 0).replace("aws s3 cp s3://bucket/object -", "\"$@\""),
            Self::Restarted => s3 + &place.block("## Exec", "sh", 2).replace("./job", "\"$@\""),
        }
    }
}

impl Client {
    /// Starts a program in a folder of its own.
    pub(crate) fn start(site: &Site, program: &Program, way: Way) -> Self {
        let name = format!("{}-{}", program.name, way.name());
        // Some programs keep what they were given: it is not searched for secrets.
        let folder = site.home.path("secrets").join(&name);
        fs::create_dir(&folder).unwrap();
        for (file, heading, language) in program.files {
            fs::write(folder.join(file), site.place().block(heading, language, 0)).unwrap();
        }
        let object = object(program, way);
        let log = File::create(folder.join("log")).unwrap();
        let child = Command::new("/bin/sh")
            .args(["-e", "-c", &way.script(site, &folder), "client"])
            .args(&program.command)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("OBJECT", &object)
            .env("UNTIL", until(site))
            .envs(program.environment.iter().map(|(name, value)| (*name, value)))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { name, object, folder, child }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program reads.
pub(crate) fn object(program: &Program, way: Way) -> String {
    format!("{}-{}", program.name, way.name())
}

/// The file that ends all clients.
pub(crate) fn until(site: &Site) -> PathBuf {
    site.home.path("secrets/until")
}

/// An installed program.
pub(crate) fn installed(name: &str) -> String {
    tool(name).unwrap().to_str().unwrap().to_owned()
}

/// A file of this folder.
pub(crate) fn source(file: &str) -> String {
    format!("{}/../../tests/clients/{file}", env!("CARGO_MANIFEST_DIR"))
}
