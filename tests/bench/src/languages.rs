//! The example in five languages: how large it is, its first call in a process whose cache is warm, and its next ones.

use std::time::{Duration, Instant};

use deputy_test_servers::guest;

use crate::Result;
use crate::report::{Report, Unit};
use crate::sandboxed::{oauth2, sandbox};
use crate::server::Server;

const EXAMPLES: [(&str, &str); 5] = [
    ("oauth2-rust", "Rust"),
    ("oauth2-c", "C"),
    ("oauth2-go", "Go"),
    ("oauth2-javascript", "JavaScript"),
    ("oauth2-python", "Python"),
];

pub(crate) async fn measure(report: &mut Report, loads: usize) -> Result {
    let folder = tempfile::tempdir()?;
    let (mut sizes, mut firsts, mut warms): (Vec<_>, Vec<_>, Vec<_>) = Default::default();
    let server = Server::start().await?;
    for (component, language) in EXAMPLES {
        eprintln!("compiling {component}, once");
        sandbox(folder.path())?.load(&crate::sandboxed::instance(component, &[])?).await?;
        let (mut first, mut warm): (Vec<Duration>, Vec<Duration>) = Default::default();
        for _ in 0..loads {
            let begun = Instant::now();
            let sandbox = sandbox(folder.path())?;
            let provider = oauth2(&sandbox, component, server.port).await?;
            provider.obtain().await.result?;
            first.push(begun.elapsed());
            let begun = Instant::now();
            provider.obtain().await.result?;
            warm.push(begun.elapsed());
        }
        sizes.push((language, std::fs::metadata(guest(component)?)?.len()));
        firsts.push((language, first));
        warms.push((language, warm));
    }
    let section = report.section("size of a component");
    for (language, bytes) in sizes {
        #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
        section.add(language, Unit::Kib, vec![bytes as f64 / 1024.0]);
    }
    let section = report.section("`obtain` from a local server, first call of a process from a warm cache");
    firsts.iter().for_each(|(language, times)| section.times(language, times));
    let section = report.section("`obtain` from a local server, second call");
    warms.iter().for_each(|(language, times)| section.times(language, times));
    Ok(())
}
