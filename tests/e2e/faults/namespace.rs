//! A small file system in a folder, or a network stack, for the processes in a namespace of their own. It goes with the last of
//! them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What to do where no namespace can be made.
pub(super) const HELP: &str = "this test makes a file system or a network in a namespace of its own, which neither root nor a user may do \
    here: run it as root, in a container with `--cap-add SYS_ADMIN`, or allow users their own namespaces \
    (`sysctl kernel.unprivileged_userns_clone=1`, or `kernel.apparmor_restrict_unprivileged_userns=0`)";

/// The namespace, held by a shell that runs commands there. It ends when its input is closed.
pub(crate) struct Namespace {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    own: Own,
    is_users: bool,
}

/// What the processes there have for themselves.
#[derive(Debug, Clone, Copy)]
enum Own {
    Mounts,
    Network,
}

impl Own {
    /// As `unshare` and `nsenter` name it.
    fn flag(self) -> &'static str {
        match self {
            Self::Mounts => "--mount",
            Self::Network => "--net",
        }
    }
}

impl Namespace {
    /// With an empty file system of this size at a folder, which is made.
    pub(crate) fn with_small_disk(folder: &Path, size: &str) -> Self {
        std::fs::create_dir(folder).unwrap();
        let mount = format!("mount -t tmpfs -o size={size},mode=700 deputy-test {}", folder.display());
        Self::made_by(&mount, folder, Own::Mounts)
    }

    /// With a network of its own, in which there is loopback alone.
    pub(crate) fn with_loopback() -> Self {
        Self::with_network("ip link set lo up")
    }

    /// With a network of its own, which these commands set up.
    pub(super) fn with_network(script: &str) -> Self {
        Self::made_by(script, Path::new("/"), Own::Network)
    }

    fn made_by(script: &str, folder: &Path, own: Own) -> Self {
        let mut ways = [false, true].into_iter().map(|is_users| Self::begin(folder, own, is_users));
        ways.find_map(|mut namespace| namespace.tries(script).then_some(namespace)).expect(HELP)
    }

    fn begin(folder: &Path, own: Own, is_users: bool) -> Self {
        let mut command = Command::new("unshare");
        command.arg(own.flag()).args(is_users.then_some("--map-root-user")).arg("/bin/sh");
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect(HELP);
        let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        Self { shell, input, output, folder: folder.to_owned(), own, is_users }
    }

    /// A command that runs there. It is given its whole environment.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let mut words = self.entering().into_iter();
        let mut entering = Command::new(words.next().unwrap());
        entering.args(words).arg(command.get_program()).args(command.get_args());
        entering.env_clear().env("PATH", "/usr/bin:/bin");
        entering
    }

    /// The beginning of such a command.
    pub(super) fn entering(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.pid());
        let user = self.is_users.then_some(["--user", "--preserve-credentials"]).into_iter().flatten();
        let words = ["nsenter", &target, self.own.flag()].into_iter().chain(user).chain(["--"]);
        words.map(OsString::from).collect()
    }

    /// The process that holds it.
    pub(super) fn pid(&self) -> String {
        self.shell.id().to_string()
    }

    /// Leaves no room at all.
    pub(crate) fn fill(&mut self) {
        self.does("cat /dev/zero > filler; test -s filler");
    }

    /// Gives all of it back.
    pub(crate) fn empty(&mut self) {
        self.does("rm filler");
    }

    /// Drops everything, without a reply.
    pub(crate) fn partition(&mut self) {
        self.does("ip link set lo down");
    }

    /// Lets everything through again.
    pub(crate) fn heal(&mut self) {
        self.does("ip link set lo up");
    }

    /// Remounts the file system: `ro` or `rw`.
    pub(crate) fn remount(&mut self, how: &str) {
        let folder = self.folder.display().to_string();
        // It is refused while a file is being written.
        self.does(&format!(
            "for try in 1 2 3 4 5 6 7 8 9; do mount -o remount,bind,{how} {folder} && exit; sleep 0.1; done; false"
        ));
    }

    /// Copies its content to a folder outside.
    pub(crate) fn copy_to(&mut self, folder: &Path) {
        self.does(&format!("cp -R . {}", folder.display()));
    }

    /// Does something in the folder.
    pub(super) fn does(&mut self, script: &str) {
        assert!(self.tries(&format!("cd {} && {{ {script}; }}", self.folder.display())), "{script} failed");
    }

    fn tries(&mut self, script: &str) -> bool {
        // A shell that could not begin reads nothing and says nothing.
        drop(writeln!(self.input, "( {script} ) >/dev/null 2>&1 && echo done || echo failed"));
        let mut said = String::new();
        self.output.read_line(&mut said).is_ok() && said == "done\n"
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}
