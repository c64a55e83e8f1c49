//! The live page with many rows, in Chromium: when the first are there, whether it stays smooth while they change, and what
//! that costs the coordinator.

use std::thread;
use std::time::{Duration, Instant};

use deputy_test_servers::Browser;
use serde::Serialize;
use serde_json::Value;

use crate::capacity::Capacity;
use crate::page_site::PageSite;
use crate::{Arguments, Result};

/// How long each part is measured.
const PART: Duration = Duration::from_secs(20);

/// The time between two rotations.
const ROTATE_EVERY: Duration = Duration::from_millis(250);

/// Counts the bytes of the stream, as they come, and what the browser does.
const COUNT: &str = "const session = await context.newCDPSession(page); await session.send('Network.enable'); await \
                           session.send('Performance.enable', { timeDomain: 'threadTicks' }); globalThis.metrics = session; globalThis.bytes = 0; session.on('Network.dataReceived', (some) => { globalThis.bytes += \
                           some.dataLength; });";

/// Notes each frame and each task of more than 50 ms.
const WATCH: &str = "await page.evaluate(() => { window.frames_ = []; window.tasks_ = []; let last = performance.now(); \
                     const frame = () => { const now = performance.now(); frames_.push(now - last); last = now; \
                     requestAnimationFrame(frame); }; requestAnimationFrame(frame); new PerformanceObserver((list) => \
                     list.getEntries().forEach((entry) => tasks_.push(entry.duration))).observe({ type: 'longtask' }); });";

/// What was noted since the last time.
const NOTED: &str = "const noted = await page.evaluate(() => ({ frames: frames_.splice(0), tasks: tasks_.splice(0), nodes: \
                     document.querySelectorAll('*').length })); const { metrics } = await globalThis.metrics.send('Performance.getMetrics'); \
                     const bytes = globalThis.bytes; globalThis.bytes = 0; return { ...noted, bytes, ...Object.fromEntries(metrics.map(({ \
                     name, value }) => [name, value])) };";

/// What the page's thread spends its processor time with, in seconds since it began: a busy machine changes it little.
const WORK: [&str; 4] = ["TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"];

/// The rows of both tables are there.
const ROWS: &str = "await page.waitForFunction(() => document.querySelectorAll('#instance-rows tr').length >= 50 && \
                    document.querySelectorAll('#worker-rows tr').length >= 50)";

/// What a person does: each of them is done, and then waited for.
const ACTIONS: [(&str, &str); 8] = [
    ("instances, next page", "await page.click('#instances-on'); await rows('#instances-count', /^51/)"),
    ("instances, previous page", "await page.click('#instances-back'); await rows('#instances-count', /^1/)"),
    ("instances, search", "await page.fill('#name', 'instance-0123'); await rows('#instances-count', /of 1$/)"),
    ("instances, all again", "await page.fill('#name', ''); await rows('#instances-count', /^1.50 of/)"),
    ("workers, next page", "await page.click('#workers-on'); await page.waitForSelector('#workers-back:enabled')"),
    (
        "workers, previous page",
        "await page.click('#workers-back'); await page.waitForSelector('#workers-back:disabled')",
    ),
    ("workers, a group", "await page.selectOption('#group', 'group-7'); await group(/^group-7$/)"),
    (
        "workers, all again",
        "await page.selectOption('#group', ''); await page.waitForFunction(() => [...document.querySelectorAll('#worker-rows tr')].some((row) => row.children[2].innerText !== 'group-7'))",
    ),
];

/// What actions wait with.
const WAITS: &str = "const rows = (where, what) => page.waitForFunction(([where, what]) => new \
                     RegExp(what).test(document.querySelector(where).innerText), [where, what.source]); const group = (what) => \
                     page.waitForFunction((what) => [...document.querySelectorAll('#worker-rows tr')].every((row) => new \
                     RegExp(what).test(row.children[2].innerText)), what.source);";

/// One part of the run.
#[derive(Serialize)]
struct Part {
    what: &'static str,
    seconds: f64,
    frames: usize,
    frame_ms: [f64; 3],
    /// Frames that came more than 50 ms after the one before.
    late_frames: usize,
    long_tasks: usize,
    long_task_ms: f64,
    nodes: u64,
    /// Of the page's thread: all, scripts, layout, style.
    page_cpu_percent: Vec<f64>,
    stream_bytes_per_second: f64,
    coordinator_cpu_percent: f64,
}

#[derive(Serialize)]
struct Report {
    instances: usize,
    workers: usize,
    first_rows_ms: f64,
    /// From the action until its rows are there: the median.
    actions_ms: Vec<(&'static str, f64)>,
    parts: Vec<Part>,
}

pub(crate) fn measure(arguments: &Arguments, capacity: &Capacity, instances: usize) -> Result {
    let split = capacity.split(arguments.workers, 1, arguments.loads)?;
    let begun = Instant::now();
    let mut site = PageSite::start(instances, arguments.workers, split.loads)?;
    eprintln!("{instances} instances and {} workers after {:.0?}", arguments.workers, begun.elapsed());
    let mut browser = Browser::start(site.path())?;
    let mut report =
        Report { instances, workers: arguments.workers, first_rows_ms: 0.0, actions_ms: Vec::new(), parts: Vec::new() };

    // What the machine gives an empty page meanwhile, and what the rotations cost without one.
    browser.run(COUNT)?;
    browser.run(WATCH)?;
    report.parts.push(part("no live page, rows change", &mut site, &mut browser, |_| Ok(()))?);

    let url = site.url()?;
    let opened = Instant::now();
    browser.run(&format!("await page.goto({url:?}); {ROWS}"))?;
    report.first_rows_ms = opened.elapsed().as_secs_f64() * 1e3;
    browser.run(WATCH)?;
    report.parts.push(part("rows change", &mut site, &mut browser, |_| Ok(()))?);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); ACTIONS.len()];
    report.parts.push(part("rows change, pages and filters", &mut site, &mut browser, |browser| {
        for ((_, action), times) in ACTIONS.iter().zip(&mut times) {
            let took = browser.run(&format!(
                "{WAITS} const begun = performance.now(); {action}; return performance.now() - begun;"
            ))?;
            times.push(took.as_f64().unwrap_or_default());
        }
        Ok(())
    })?);
    report.parts.push(part("rows change, scrolling", &mut site, &mut browser, |browser| {
        browser.run("for (let step = 0; step < 50; step++) { await page.mouse.wheel(0, step < 25 ? 200 : -200); await new Promise((next) => setTimeout(next, 20)); }")?;
        Ok(())
    })?);
    report.actions_ms = ACTIONS.iter().zip(times).map(|((name, _), times)| (*name, middle(times, 2))).collect();
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// Measures for some time, while leases are rotated and something is done in the browser.
fn part(
    what: &'static str,
    site: &mut PageSite,
    browser: &mut Browser,
    mut act: impl FnMut(&mut Browser) -> Result,
) -> Result<Part> {
    let before = browser.run(NOTED)?;
    let (begun, cpu) = (Instant::now(), site.cpu()?);
    thread::scope(|scope| -> Result {
        let rotating = scope.spawn(|| -> Result {
            while begun.elapsed() < PART {
                site.rotate()?;
                thread::sleep(ROTATE_EVERY);
            }
            Ok(())
        });
        while begun.elapsed() < PART {
            act(browser)?;
            thread::sleep(Duration::from_millis(100));
        }
        rotating.join().map_err(|_| "the rotations ended")?
    })?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), site.cpu()?.saturating_sub(cpu));
    let noted = browser.run(NOTED)?;
    let numbers =
        |name: &str| -> Vec<f64> { noted[name].as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let (frames, tasks) = (numbers("frames"), numbers("tasks"));
    eprintln!("{what}: done");
    Ok(Part {
        what,
        seconds,
        frames: frames.len(),
        late_frames: frames.iter().filter(|gap| **gap > 50.0).count(),
        frame_ms: [middle(frames.clone(), 2), middle(frames.clone(), 100), frames.iter().copied().fold(0.0, f64::max)],
        long_tasks: tasks.len(),
        long_task_ms: tasks.iter().copied().fold(0.0, f64::max),
        page_cpu_percent: WORK
            .iter()
            .map(|name| {
                (noted[name].as_f64().unwrap_or_default() - before[name].as_f64().unwrap_or_default()) / seconds * 100.0
            })
            .collect(),
        nodes: noted["nodes"].as_u64().unwrap_or_default(),
        stream_bytes_per_second: noted["bytes"].as_f64().unwrap_or_default() / seconds,
        coordinator_cpu_percent: cpu.as_secs_f64() / seconds * 100.0,
    })
}

/// The number below which all but one in `part` are.
fn middle(mut numbers: Vec<f64>, part: usize) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let at = numbers.len().saturating_sub(numbers.len().div_ceil(part));
    numbers.get(at).copied().unwrap_or_default()
}
