//! The first call of a process whose cache is warm: engine, linker, loading, one call.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::bare::{self, Bare};
use crate::contract::{Failure, Setting};
use crate::report::Report;
use crate::sandboxed::{instance, sandbox};

const COMPONENTS: [(&str, &str); 3] =
    [("s3-sts", "Rust"), ("oauth2-python", "Python"), ("oauth2-javascript", "JavaScript")];

pub(crate) async fn measure(report: &mut Report, loads: usize) -> Result {
    let folder = tempfile::tempdir()?;
    for (component, language) in COMPONENTS {
        eprintln!("compiling {component}, once");
        let digest = sandbox(folder.path())?.load(&instance(component, &[])?).await?.info().digest;
        let code = bare::code(&folder.path().join("state"), &digest)?;
        let (mut bare, mut sandboxed): (Vec<Duration>, Vec<Duration>) = Default::default();
        for _ in 0..loads {
            bare.push(bare_call(language, &code).await?);
            sandboxed.push(first_call(component, folder.path()).await?);
        }
        let section = report.section(format!("first call from a warm cache, {component} ({language})"));
        section.times("bare wasmtime, which reads the code alone", &bare);
        section.times("the sandbox, which reads the component as well", &sandboxed);
    }
    Ok(())
}

/// From nothing to the answer, without a sandbox. What is left is thrown away when the time is taken.
async fn bare_call(language: &str, code: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let engine = bare::engine()?;
    if language == "Rust" {
        name(&Bare::new(engine, code)?).await?;
    } else {
        name(&Bare::with_wasi(engine, code)?).await?;
    }
    Ok(begun.elapsed())
}

async fn name<T: Default + Send + 'static>(bare: &Bare<T>) -> Result {
    let settings = Vec::<Setting>::new();
    let (name,) = bare.call::<_, (std::result::Result<String, Failure>,)>("service-name", (settings,)).await?;
    name.map(drop).map_err(|failure| failure.message.into())
}

/// From nothing to the answer, in a sandbox made for it.
async fn first_call(component: &str, folder: &Path) -> Result<Duration> {
    let instance = instance(component, &[])?;
    let begun = Instant::now();
    let sandbox = sandbox(folder)?;
    let provider = sandbox.load(&instance).await?;
    provider.service_name().await.result?;
    Ok(begun.elapsed())
}
