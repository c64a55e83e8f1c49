//! What is measured, in which order.

use std::thread;
use std::time::Duration;

use crate::capacity::Capacity;
use crate::child::Process;
use crate::flink::{self, Flink};
use crate::load::{self, Done, Handshake};
use crate::serve::{self, Begin, By, Hello, Lease, Times};
use crate::table::{Memory, Push, Report, Size, Stalled, Storms};
use crate::{Arguments, Result};

/// How many storms memory is looked at after.
const STORMS: usize = 3;

/// Until nothing moves any more.
const SETTLE: Duration = Duration::from_secs(1);

/// Pushes in one round to this number of workers: the more workers, the fewer pushes.
pub(crate) fn pushes(workers: usize) -> usize {
    (20_000 / workers).clamp(9, 50)
}

pub(crate) fn measure(arguments: &Arguments, capacity: &Capacity) -> Result {
    // First, so that what is wrong with it is said at once.
    let flink = Flink::find()?;
    let mut report = Report { flink: flink.as_ref().map(Flink::name), ..Report::default() };
    let mut bench = Bench::start(arguments, capacity)?;
    bench.memory_and_storms(&mut report)?;
    bench.sizes(&mut report, flink.as_ref(), arguments.rounds)?;
    bench.stalled(&mut report, arguments.rounds)?;
    if arguments.json {
        report.print_json()
    } else {
        report.print();
        Ok(())
    }
}

/// All processes.
struct Bench {
    server: Process,
    loads: Vec<Process>,
    hello: Hello,
    workers: usize,
    /// The next lease's.
    revision: u64,
}

impl Bench {
    fn start(arguments: &Arguments, capacity: &Capacity) -> Result<Self> {
        let workers = arguments.workers.max(1);
        let split = capacity.split(workers, 1, arguments.loads)?;
        let mut server = Process::start("serve")?;
        let hello: Hello = server.ask(&serde_json::to_string(&Begin { number: 0, authority: None })?)?;
        let loads = (0..split.loads).map(|_| Process::start("load")).collect::<Result<_>>()?;
        let mut bench = Self { server, loads, hello, workers, revision: 1 };
        let strings = vec![bench.hello.join.clone()];
        bench.tell(workers, |number, count| load::Order::Join { number, strings: strings.clone(), count })?;
        Ok(bench)
    }

    /// Gives each load its share of the workers, and waits for all of them.
    fn tell(&mut self, workers: usize, order: impl Fn(u8, usize) -> load::Order) -> Result<Done> {
        load::tell(&mut self.loads, workers, order)
    }

    fn connect(&mut self, by: By, workers: usize, with: Handshake) -> Result<Done> {
        let port = if by == By::Link { self.hello.link } else { self.hello.floor };
        self.tell(workers, |_, count| load::Order::Connect { ports: vec![port], count, with })
    }

    fn cut(&mut self) -> Result {
        self.tell(self.workers, |_, _| load::Order::Cut).map(drop)
    }

    fn push(&mut self, by: By, pushes: usize, workers: usize) -> Result<Vec<Push>> {
        // The first finds caches cold.
        let (revision, pushes) = (self.revision, pushes + 1);
        self.revision += pushes as u64;
        let order = serve::Order::Push { by, revision, pushes, workers };
        let mut samples: Vec<Push> = self.server.ask(&serde_json::to_string(&order)?)?;
        samples.remove(0);
        Ok(samples)
    }

    fn memory(&mut self, report: &mut Report, when: &'static str) -> Result {
        thread::sleep(SETTLE);
        let now: u64 = self.server.ask(&serde_json::to_string(&serve::Order::Memory)?)?;
        let bytes = now.saturating_sub(self.hello.memory) as f64 / self.workers as f64;
        report.memory.push(Memory { when, bytes });
        Ok(())
    }

    fn memory_and_storms(&mut self, report: &mut Report) -> Result {
        self.connect(By::Link, self.workers, Handshake::Full)?;
        self.memory(report, "as they came")?;
        for (name, with, when) in [
            ("full handshakes", Handshake::Full, "after three storms"),
            ("with tickets", Handshake::Tickets, "after three more, with tickets"),
        ] {
            if with == Handshake::Tickets {
                // Once more, for the tickets.
                self.storm(with)?;
            }
            let (mut times, mut all) = (Vec::new(), Done::default());
            for _ in 0..STORMS {
                let (time, done) = self.storm(with)?;
                times.push(time);
                all.add(&done);
            }
            eprintln!("{} workers came {name}, {STORMS} times", self.workers);
            let (resumed, repeated) = (all.resumed / STORMS, all.repeated / STORMS);
            report.storms.push(Storms { workers: self.workers, name, resumed, repeated, times });
            self.memory(report, when)?;
        }
        self.push(By::Link, 9, self.workers)?;
        self.memory(report, "after pushes")?;
        self.cut()
    }

    fn storm(&mut self, with: Handshake) -> Result<(Push, Done)> {
        self.cut()?;
        let order = serve::Order::Storm { lease: Lease::new(self.revision), workers: self.workers };
        self.revision += 1;
        self.server.ask::<()>(&serde_json::to_string(&order)?)?;
        let done = self.connect(By::Link, self.workers, with)?;
        let Times { after, cpu, .. } = self.server.answer()?;
        let times: Vec<_> = after.into_iter().map(Duration::from_micros).collect();
        Ok((Push::new(&times, cpu), done))
    }

    fn sizes(&mut self, report: &mut Report, flink: Option<&Flink>, rounds: usize) -> Result {
        let mut sizes: Vec<usize> = (0..).map(|power| 10_usize.pow(power)).take_while(|n| *n < self.workers).collect();
        sizes.push(self.workers);
        report.sizes = sizes.into_iter().map(Size::new).collect();
        for _ in 0..rounds {
            for size in &mut report.sizes {
                for (by, samples) in [(By::Link, &mut size.link), (By::Floor, &mut size.floor)] {
                    self.connect(by, size.workers, Handshake::Full)?;
                    thread::sleep(SETTLE / 4);
                    samples.extend(self.push(by, pushes(size.workers), size.workers)?);
                    self.cut()?;
                }
                if let Some(flink) = flink.filter(|_| size.workers <= flink::MOST) {
                    size.flink.push(flink.measure(size.workers)?);
                }
                eprintln!("{} workers were pushed to", size.workers);
            }
        }
        Ok(())
    }

    /// One of a hundred workers stops to read.
    fn stalled(&mut self, report: &mut Report, rounds: usize) -> Result {
        let (workers, stalled) = (self.workers, self.workers / 100);
        if stalled < self.loads.len() {
            return Ok(());
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            self.connect(By::Link, stalled, Handshake::Greedy)?;
            self.connect(By::Link, workers, Handshake::Full)?;
            thread::sleep(SETTLE / 4);
            before.extend(self.push(By::Link, 9, workers)?);
            self.tell(stalled, |_, count| load::Order::Stall { count })?;
            self.server.ask::<()>(&serde_json::to_string(&serve::Order::Fill)?)?;
            thread::sleep(SETTLE);
            after.extend(self.push(By::Link, 9, workers - stalled)?);
            self.cut()?;
        }
        report.stalled.push(Stalled { workers, stalled, before, after });
        Ok(())
    }
}
