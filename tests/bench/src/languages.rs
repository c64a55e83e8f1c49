//! The example in five languages: how large it is; what a call costs that asks for nothing, the first one of a process
//! whose cache is warm and the next ones, each beside bare wasmtime; and `obtain` from a local server.

use std::path::Path;
use std::time::{Duration, Instant};

use deputy_sandbox::LoadedProvider;
use deputy_test_servers::guest;

use crate::Result;
use crate::bare::{self, Bare, Wasi};
use crate::contract::{Failure, Setting};
use crate::report::{Report, Unit};
use crate::sandboxed::{instance, oauth2, sandbox};
use crate::server::Server;

const EXAMPLES: [(&str, &str); 5] = [
    ("oauth2-rust", "Rust"),
    ("oauth2-c", "C"),
    ("oauth2-go", "Go"),
    ("oauth2-javascript", "JavaScript"),
    ("oauth2-python", "Python"),
];

/// Calls in a process after the first one.
const NEXT: usize = 20;

/// What was measured of one language.
#[derive(Default)]
struct Times {
    bare_first: Vec<Duration>,
    first: Vec<Duration>,
    bare_next: Vec<Duration>,
    next: Vec<Duration>,
    obtain: Vec<Duration>,
}

pub(crate) async fn measure(report: &mut Report, loads: usize) -> Result {
    let folder = tempfile::tempdir()?;
    let server = Server::start().await?;
    let mut measured = Vec::new();
    for (component, language) in EXAMPLES {
        eprintln!("compiling {component}, once");
        let digest = sandbox(folder.path())?.load(&instance(component, &[])?).await?.info().digest;
        let code = bare::code(&folder.path().join("state"), &digest)?;
        let mut times = Times::default();
        for _ in 0..loads {
            times.bare(&code).await?;
            times.sandboxed(component, folder.path(), server.port).await?;
        }
        measured.push((component, language, times));
    }
    let sizes = report.section("size of the component");
    for (component, language, _) in &measured {
        #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
        let kib = std::fs::metadata(guest(component)?)?.len() as f64 / 1024.0;
        sizes.add(language, Unit::Kib, vec![kib]);
    }
    for (_, language, times) in &measured {
        let section = report.section(format!("`tokens-required` in {language}, first call of a process"));
        section.times("bare wasmtime", &times.bare_first);
        section.times("the sandbox", &times.first);
        let section = report.section(format!("`tokens-required` in {language}, next calls"));
        section.times("bare wasmtime", &times.bare_next);
        section.times("the sandbox", &times.next);
    }
    let section = report.section("`obtain` from a local server through the sandbox, next calls");
    measured.iter().for_each(|(_, language, times)| section.times(language, &times.obtain));
    Ok(())
}

impl Times {
    async fn bare(&mut self, code: &Path) -> Result {
        let begun = Instant::now();
        let bare = Bare::with_wasi(bare::engine()?, code)?;
        required_bare(&bare).await?;
        self.bare_first.push(begun.elapsed());
        for _ in 0..NEXT {
            let begun = Instant::now();
            required_bare(&bare).await?;
            self.bare_next.push(begun.elapsed());
        }
        Ok(())
    }

    async fn sandboxed(&mut self, component: &str, folder: &Path, port: u16) -> Result {
        let begun = Instant::now();
        let sandbox = sandbox(folder)?;
        let provider = oauth2(&sandbox, component, port).await?;
        required(&provider).await?;
        self.first.push(begun.elapsed());
        for _ in 0..NEXT {
            let begun = Instant::now();
            required(&provider).await?;
            self.next.push(begun.elapsed());
        }
        for _ in 0..NEXT {
            let begun = Instant::now();
            provider.obtain().await.result?;
            self.obtain.push(begun.elapsed());
        }
        Ok(())
    }
}

async fn required(provider: &LoadedProvider) -> Result {
    provider.tokens_required().await.result?;
    Ok(())
}

async fn required_bare(bare: &Bare<Wasi>) -> Result {
    let settings = vec![Setting { name: "token-url".to_owned(), value: "http://127.0.0.1/token".to_owned() }];
    let (required,) = bare.call::<_, (std::result::Result<bool, Failure>,)>("tokens-required", (settings,)).await?;
    required.map(drop).map_err(|failure| failure.message.into())
}
