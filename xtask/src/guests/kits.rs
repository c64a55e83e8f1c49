//! The examples in other languages than Rust, built by the kits of their languages as an author builds a connector.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER;

use super::Guests;
use crate::failure::{Doing, Failure, Result};
use crate::process::Run;
use crate::workspace::Workspace;

/// A language with a kit.
#[derive(Clone, Copy)]
enum Language {
    C,
    Go,
    JavaScript,
    Python,
}

/// An example.
struct Example {
    name: &'static str,
    language: Language,
    source: &'static str,
    /// Further arguments of the kit's command.
    options: &'static [&'static str],
}

const EXAMPLES: [Example; 15] = [
    Example {
        name: "assertion-c",
        language: Language::C,
        source: "tests/providers/assertion/c/assertion.c",
        options: &["-w", "deputy:c/provider-with-secrets"],
    },
    Example {
        name: "assertion-go",
        language: Language::Go,
        source: "tests/providers/assertion/go/assertion.go",
        options: &["-world", "deputy:go/provider-with-secrets"],
    },
    Example {
        name: "assertion-javascript",
        language: Language::JavaScript,
        source: "tests/providers/assertion/js/assertion.js",
        options: &["-w", "provider-with-secrets"],
    },
    Example {
        name: "assertion-python",
        language: Language::Python,
        source: "tests/providers/assertion/python/assertion.py",
        options: &["-w", "deputy:python/provider-with-secrets"],
    },
    Example {
        name: "headers-c",
        language: Language::C,
        source: "receivers/examples/c/receiver.c",
        options: &["-w", "deputy:c/described-receiver"],
    },
    Example {
        name: "headers-go",
        language: Language::Go,
        source: "receivers/examples/go/receiver.go",
        options: &["-world", "deputy:go/described-receiver"],
    },
    Example {
        name: "headers-javascript",
        language: Language::JavaScript,
        source: "receivers/examples/js/receiver.js",
        options: &["-w", "described-receiver", "--without", "http"],
    },
    Example {
        name: "headers-python",
        language: Language::Python,
        source: "receivers/examples/python/receiver.py",
        options: &["-w", "deputy:python/described-receiver"],
    },
    Example {
        name: "oauth2-c",
        language: Language::C,
        source: "providers/examples/c/provider.c",
        options: &["-w", "deputy:c/described-provider"],
    },
    Example {
        name: "oauth2-go",
        language: Language::Go,
        source: "providers/examples/go/provider.go",
        options: &["-world", "deputy:go/described-provider"],
    },
    Example {
        name: "oauth2-javascript",
        language: Language::JavaScript,
        source: "providers/examples/js/provider.js",
        options: &["-w", "described-http-provider"],
    },
    Example {
        name: "oauth2-python",
        language: Language::Python,
        source: "providers/examples/python/provider.py",
        options: &["-w", "deputy:python/described-http-provider"],
    },
    Example {
        name: "session-go",
        language: Language::Go,
        source: "tests/providers/session/session.go",
        options: &["-own-wit", "wit", "-world", "tests:session/session-provider"],
    },
    Example {
        name: "signed-javascript",
        language: Language::JavaScript,
        source: "providers/examples/js/signed.js",
        options: &["-w", "signing-provider", "--without", "http"],
    },
    Example {
        name: "signed-python",
        language: Language::Python,
        source: "providers/examples/python/signed.py",
        options: &["-w", "deputy:python/signing-provider"],
    },
];

/// Builds the examples, those that nothing changed of left alone: they are slow to build.
pub(super) fn build(workspace: &Workspace, guests: &mut Guests) -> Result<()> {
    for example in &EXAMPLES {
        let source = workspace.path(example.source);
        let folder = source.parent().unwrap_or(&source).to_owned();
        let inputs =
            [example.language.folder(), "kit/wit", "wit", example.language.tools()].map(|input| workspace.path(input));
        guests.build(workspace, example.name, &folder, &inputs.each_ref().map(PathBuf::as_path), |_, out| {
            example.command(workspace, &source, out)?.env("PATH", path(workspace)?).quiet()
        })?;
    }
    Ok(())
}

impl Language {
    /// The folder of its kit.
    fn folder(self) -> &'static str {
        match self {
            Self::C => "kit/c",
            Self::Go => "kit/go",
            Self::JavaScript => "kit/js",
            Self::Python => "kit/python",
        }
    }

    /// The file that says which tools build it.
    fn tools(self) -> &'static str {
        match self {
            Self::C => "xtask/tools/kits.txt",
            Self::Go => "xtask/tools/clients.txt",
            Self::JavaScript => "kit/js/package-lock.json",
            Self::Python => "xtask/tools/requirements.txt",
        }
    }
}

impl Example {
    /// The kit's command.
    fn command(&self, workspace: &Workspace, source: &Path, out: &Path) -> Result<Run> {
        match self.language {
            Language::C => {
                let zig = installed(workspace, workspace.tool("python-zig"))?;
                let run = Run::new(workspace.path("kit/c/componentize.sh")).arg("-o").arg(out).args(self.options);
                Ok(run.arg(source).env("CC", format!("{} cc", zig.display())))
            }
            Language::Go => {
                let go = installed(workspace, workspace.tool("go"))?;
                let run = Run::new(go).args(["run", "deputy/kit/componentize", "-o"]).arg(out);
                let run = run.arg("-adapter").arg(adapter(workspace)?).dir(source.parent().unwrap_or(source));
                let run = run.args(self.options);
                let run = run.env("GOFLAGS", "").env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
                Ok(run.env("GOCACHE", workspace.target("kit/go")))
            }
            Language::JavaScript => {
                let modules = installed(workspace, workspace.tools().join("javascript"))?;
                let run = Run::new("node").arg(workspace.path("kit/js/componentize.mjs")).arg(source);
                Ok(run.arg("-o").arg(out).arg("--modules").arg(modules).args(self.options))
            }
            Language::Python => {
                let python = installed(workspace, workspace.tools().join("python/bin/python"))?;
                let componentize = installed(workspace, workspace.tool("componentize-py"))?;
                let run = Run::new(python).arg(workspace.path("kit/python/componentize.py")).arg(source);
                Ok(run.arg("-o").arg(out).arg("--componentize-py").arg(componentize).args(self.options))
            }
        }
    }
}

/// The adapter for programs of WASI 0.1 that knows neither files nor an environment, which Go compiles to.
fn adapter(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target("kit");
    let file = folder.join("wasi_snapshot_preview1.proxy.wasm");
    let doing = || format!("writing {}", file.display());
    fs::create_dir_all(&folder).doing(doing)?;
    fs::write(&file, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER).doing(doing)?;
    Ok(file)
}

/// Where programs are looked for: first among the tools.
fn path(workspace: &Workspace) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [workspace.tools().join("bin")].into_iter().chain(env::split_paths(&path));
    env::join_paths(folders).map_err(|error| Failure::new(format!("PATH: {error}")))
}

/// A tool that must be there.
fn installed(workspace: &Workspace, file: PathBuf) -> Result<PathBuf> {
    if file.exists() {
        return Ok(file);
    }
    Err(Failure::new(format!("{} is missing", workspace.shown(&file))).hint("run `cargo xtask tools`"))
}
