//! One call, from a fresh store to the end of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::bare::{self, Bare};
use crate::report::Report;
use crate::sandboxed::{REGION, ROLE, instance, sandbox};
use crate::{Result, native};

#[derive(Clone, ComponentType, Lower)]
#[component(record)]
struct Setting {
    name: String,
    value: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Tokens {
    payload: Vec<u8>,
    #[component(name = "valid-until")]
    valid_until: Option<u64>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Throttle {
    message: String,
    #[component(name = "retry-after-ms")]
    retry_after_ms: u64,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Failure {
    #[component(name = "misconfigured")]
    Misconfigured(String),
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "throttled")]
    Throttled(Throttle),
}

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

    let (bare, sandboxed) = in_turns!(count,
        bare => bare_s3.call::<(), (String,)>("service-name", ()).await?.0,
        sandboxed => s3.service_name().await.result?
    );
    let section = report.section("service-name of s3-sts, in a fresh instance");
    section.times("bare wasmtime", &bare);
    section.times("the sandbox", &sandboxed);

    let asked = settings(&[ROLE, REGION]);
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
            .map(|tokens| (tokens.payload, tokens.valid_until))?,
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
    match failure {
        Failure::Misconfigured(text) | Failure::Denied(text) | Failure::Unavailable(text) => text,
        Failure::Throttled(throttle) => format!("{} ({} ms)", throttle.message, throttle.retry_after_ms),
    }
}
