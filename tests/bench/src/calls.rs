//! One call, from a fresh store to the end of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bare::{self, Bare};
use crate::contract::{Failure, Setting, Tokens};
use crate::report::Report;
use crate::sandboxed::{REGION, ROLE, instance, sandbox};
use crate::{Result, native};

fn settings(settings: &[(&str, &str)]) -> Vec<Setting> {
    settings.iter().map(|(name, value)| Setting { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// Times the two in turns. Each is called for a while first.
macro_rules! in_turns {
    ($count:expr, $($variant:ident => $call:expr),+) => {{
        $(let mut $variant: Vec<Duration> = Vec::with_capacity($count);)+
        for turn in 0..$count + $count / 10 {
            $(
                let begun = Instant::now();
                black_box($call);
                let time = begun.elapsed();
                if turn >= $count / 10 {
                    $variant.push(time);
                }
            )+
        }
        ($($variant),+)
    }};
}

pub(crate) async fn measure(report: &mut Report, count: usize) -> Result {
    let folder = tempfile::tempdir()?;
    let sandbox = sandbox(folder.path())?;
    let s3 = sandbox.load(&instance("s3-sts", &[ROLE, REGION])?).await?;
    let code = bare::code(&folder.path().join("state"), &s3.info().digest)?;
    let bare_s3 = Bare::new(bare::engine()?, &code)?;

    let asked = settings(&[ROLE, REGION]);
    let (bare, sandboxed) = in_turns!(count,
        bare => bare_s3.call::<_, (std::result::Result<String, Failure>,)>("service-name", (asked.clone(),)).await?.0
            .map_err(told)?,
        sandboxed => s3.service_name().await.result?
    );
    let section = report.section("service-name of s3-sts, in a fresh instance");
    section.times("bare wasmtime", &bare);
    section.times("the sandbox", &sandboxed);

    let (bare, sandboxed) = in_turns!(count,
        bare => bare_s3.call::<_, (std::result::Result<bool, Failure>,)>("tokens-required", (asked.clone(),)).await?.0
            .map_err(told)?,
        sandboxed => s3.tokens_required().await.result?
    );
    let section = report.section("tokens-required of s3-sts, in a fresh instance");
    section.times("bare wasmtime", &bare);
    section.times("the sandbox", &sandboxed);

    let greeted = [("name", "bench")];
    let benign = sandbox.load(&instance("benign", &greeted)?).await?;
    let code = bare::code(&folder.path().join("state"), &benign.info().digest)?;
    let bare_benign = Bare::new(bare::engine()?, &code)?;
    let asked = settings(&greeted);
    let (bare, sandboxed, native) = in_turns!(count,
        bare => bare_benign.call::<_, (std::result::Result<Tokens, Failure>,)>("obtain", (asked.clone(),)).await?.0
            .map_err(told)
            .map(|tokens| (tokens.payload, tokens.expiry))?,
        sandboxed => benign.obtain().await.result?,
        native => native::obtain(black_box(&greeted))
    );
    let section = report.section("obtain of a provider that only computes, in a fresh instance");
    section.times("bare wasmtime", &bare);
    section.times("the sandbox", &sandboxed);
    section.times("a native function", &native);
    Ok(())
}

fn told(failure: Failure) -> String {
    failure.message
}
