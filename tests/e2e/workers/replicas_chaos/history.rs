//! What was read at all workers during a test with several coordinators, and a check of it. All times are in milliseconds
//! since 1970.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calls::Obtains;

/// A credential as a worker has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Credential {
    /// Which of its instance's credentials it is.
    pub(super) number: u64,
    pub(super) until: u64,
    /// That of its lease, where the reader sees it.
    pub(super) revision: Option<u64>,
}

/// Looks at one worker, one after the other, that found the same.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    pub(super) found: Option<Credential>,
    /// The coordinator that the worker was connected to, where the reader sees it.
    pub(super) coordinator: Option<usize>,
    /// From before the first look, and the last one.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) reads: u64,
}

/// All that was read of one instance at one worker.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Track {
    pub(super) worker: String,
    pub(super) instance: String,
    pub(super) runs: Vec<Run>,
}

/// A coordinator that was partitioned from its workers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cut {
    pub(super) coordinator: usize,
    /// How many of those that tell where they are were connected to it before.
    pub(super) workers: usize,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// A whole test.
#[derive(Debug, Clone, Serialize)]
pub(super) struct History {
    pub(super) tracks: Vec<Track>,
    pub(super) obtains: Vec<Obtains>,
    /// Between two calls of an instance that succeed.
    pub(super) pace: u64,
    /// When another term of a leader began.
    pub(super) takeovers: Vec<u64>,
    pub(super) cuts: Vec<Cut>,
    /// The number of the newest credential of each instance, which every worker has at the end.
    pub(super) newest: BTreeMap<String, u64>,
    pub(super) workers: Vec<String>,
    /// The least number of different credentials that each worker has read of each instance: with fewer, the test saw too little.
    pub(super) least: usize,
}

impl Track {
    pub(super) fn new(worker: &str, instance: &str) -> Self {
        Self { worker: worker.to_owned(), instance: instance.to_owned(), runs: Vec::new() }
    }

    /// Adds a look that began at this time.
    pub(super) fn add(&mut self, at: u64, coordinator: Option<usize>, found: Option<Credential>) {
        match self.runs.last_mut() {
            Some(run) if run.found == found && run.coordinator == coordinator => {
                run.last = at;
                run.reads += 1;
            }
            _ => self.runs.push(Run { found, coordinator, first: at, last: at, reads: 1 }),
        }
    }

    /// What was found, with the runs that found it.
    fn found(&self) -> impl Iterator<Item = (&Run, &Credential)> {
        self.runs.iter().filter_map(|run| Some((run, run.found.as_ref()?)))
    }

    fn name(&self) -> String {
        format!("{} at {}", self.instance, self.worker)
    }
}

impl History {
    /// Everything that should not have been, in words.
    pub(super) fn violations(&self) -> Vec<String> {
        [
            self.expired(),
            self.lost(),
            self.gone_back(),
            self.forked(),
            self.needless(),
            self.unread_cuts(),
            self.at_the_end(),
        ]
        .concat()
    }

    pub(super) fn reads(&self) -> u64 {
        self.runs().map(|run| run.reads).sum()
    }

    /// How many credentials were read at workers while their coordinator was partitioned from them.
    pub(super) fn read_while_cut(&self) -> usize {
        self.cuts.iter().map(|cut| self.runs().filter(|run| cut.has(run)).count()).sum()
    }

    /// For how long the credential that was nearest to its end was good when it was read last.
    pub(super) fn least_left(&self) -> Option<u64> {
        let found = self.tracks.iter().flat_map(Track::found);
        found.map(|(run, credential)| credential.until.saturating_sub(run.last)).min()
    }

    /// How often a worker was seen at another coordinator than before.
    pub(super) fn moves(&self) -> usize {
        let mut firsts: BTreeMap<&str, &Track> = BTreeMap::new();
        for track in &self.tracks {
            firsts.entry(&track.worker).or_insert(track);
        }
        let moves = firsts.values().map(|track| {
            let mut at: Vec<usize> = track.runs.iter().filter_map(|run| run.coordinator).collect();
            at.dedup();
            at.len().saturating_sub(1)
        });
        moves.sum()
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.tracks.iter().flat_map(|track| &track.runs)
    }

    fn expired(&self) -> Vec<String> {
        let found = self.tracks.iter().flat_map(|track| track.found().map(move |found| (track, found)));
        let expired = found.filter(|(_, (run, credential))| credential.until < run.last);
        expired
            .map(|(track, (run, credential))| {
                format!("{}: expired {} ms ago: {run:?}", track.name(), run.last - credential.until)
            })
            .collect()
    }

    /// A worker that has a credential has one from then on, whatever it is cut off from.
    fn lost(&self) -> Vec<String> {
        let mut found = Vec::new();
        for track in &self.tracks {
            let later = track.runs.iter().skip_while(|run| run.found.is_none());
            found.extend(
                later.filter(|run| run.found.is_none()).map(|run| format!("{}: has none: {run:?}", track.name())),
            );
        }
        found
    }

    /// Nor when it moves to another coordinator.
    fn gone_back(&self) -> Vec<String> {
        let mut found = Vec::new();
        for track in &self.tracks {
            let mut last: Option<(&Run, &Credential)> = None;
            for (run, credential) in track.found() {
                if let Some((before, old)) = last
                    && (credential.number < old.number || credential.revision < old.revision)
                {
                    found.push(format!("{}: went back from {before:?} to {run:?}", track.name()));
                }
                last = Some((run, credential));
            }
        }
        found
    }

    /// A revision is one credential, whichever coordinator gives it out.
    fn forked(&self) -> Vec<String> {
        let (mut known, mut found) = (BTreeMap::new(), Vec::new());
        for track in &self.tracks {
            for (_, credential) in track.found() {
                let Some(revision) = credential.revision else { continue };
                let first = *known.entry((&track.instance, revision)).or_insert(credential);
                if first != credential {
                    found.push(format!("{}: two leases of one revision: {first:?}, {credential:?}", track.name()));
                }
            }
        }
        found
    }

    fn needless(&self) -> Vec<String> {
        let mut leases: BTreeMap<&str, BTreeMap<u64, u64>> = BTreeMap::new();
        for track in &self.tracks {
            for (_, credential) in track.found() {
                if let Some(revision) = credential.revision {
                    leases.entry(&track.instance).or_default().insert(revision, credential.number);
                }
            }
        }
        let needless = self.obtains.iter().map(|obtains| {
            let leases = leases.get(obtains.instance.as_str()).cloned().unwrap_or_default();
            obtains.needless(&leases, &self.takeovers, self.pace)
        });
        needless.collect::<Vec<_>>().concat()
    }

    /// A partition without a read at the workers shows nothing.
    fn unread_cuts(&self) -> Vec<String> {
        let unread = self.cuts.iter().filter(|cut| cut.workers > 0 && !self.runs().any(|run| cut.has(run)));
        unread.map(|cut| format!("nothing was read at a worker during {cut:?}")).collect()
    }

    fn at_the_end(&self) -> Vec<String> {
        let mut seen: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for track in &self.tracks {
            let mut numbers: Vec<u64> = track.found().map(|(_, credential)| credential.number).collect();
            numbers.dedup();
            seen.insert((track.worker.as_str(), track.instance.as_str()), numbers);
        }
        let mut found = Vec::new();
        for worker in &self.workers {
            for (instance, newest) in &self.newest {
                let numbers = seen.get(&(worker.as_str(), instance.as_str())).map(Vec::as_slice).unwrap_or_default();
                if numbers.last() != Some(newest) {
                    found.push(format!("{worker} ends with {:?} of {instance}, not {newest}", numbers.last()));
                }
                if numbers.len() < self.least {
                    found.push(format!("{worker} has read only {} credentials of {instance}", numbers.len()));
                }
            }
        }
        found
    }
}

impl Cut {
    fn has(&self, run: &Run) -> bool {
        run.coordinator == Some(self.coordinator) && run.first < self.until && run.last > self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(at: u64, coordinator: usize, number: u64, revision: u64) -> Run {
        let found = Some(Credential { number, until: at + 10_000, revision: Some(revision) });
        Run { found, coordinator: Some(coordinator), first: at, last: at + 1, reads: 2 }
    }

    fn track(worker: &str, runs: Vec<Run>) -> Track {
        Track { worker: worker.to_owned(), instance: "a".to_owned(), runs }
    }

    fn good() -> History {
        let mut moved = run(4000, 2, 2, 2);
        moved.found = run(3000, 1, 2, 2).found;
        History {
            tracks: vec![
                track("one", vec![run(1000, 0, 1, 1), run(5000, 0, 4, 3)]),
                track("two", vec![run(3000, 1, 2, 2), moved, run(5000, 2, 4, 3)]),
            ],
            // The third call was the last of a leader that was killed.
            obtains: vec![Obtains { instance: "a".to_owned(), began: vec![0, 2000, 4000, 5000], revision: 3 }],
            pace: 2000,
            takeovers: vec![4500],
            cuts: vec![Cut { coordinator: 1, workers: 1, from: 2500, until: 3500 }],
            newest: BTreeMap::from([("a".to_owned(), 4)]),
            workers: vec!["one".to_owned(), "two".to_owned()],
            least: 2,
        }
    }

    fn found(history: &mut History, track: usize, run: usize) -> &mut Credential {
        history.tracks[track].runs[run].found.as_mut().unwrap()
    }

    /// A violation that a history is given.
    type Plant = fn(&mut History);

    #[test]
    fn history_check_detects_planted_violations() {
        assert_eq!(good().violations(), [""; 0]);
        let plants: [(&str, Plant); 18] = [
            ("a at two: expired 1 ms ago", |history| found(history, 1, 2).until = 5000),
            // The last of several looks.
            ("a at two: expired 2000 ms ago", |history| history.tracks[1].runs[2].last = 17_000),
            // Where its coordinator is partitioned from it.
            ("a at two: expired 501 ms ago", |history| found(history, 1, 0).until = 2500),
            ("a at two: has none", |history| history.tracks[1].runs[1].found = None),
            ("a at two: went back from", |history| found(history, 1, 2).number = 1),
            // With a newer credential, that a coordinator gave out which was replaced.
            ("a at two: went back from", |history| found(history, 1, 1).revision = Some(1)),
            ("a at two: two leases of one revision", |history| found(history, 1, 2).number = 5),
            ("4 calls for 2 leases", |history| history.obtains[0].revision = 2),
            ("4 calls for 3 leases and 0 takeovers", |history| history.takeovers.clear()),
            // A call of a coordinator that was cut off, for which there was no takeover.
            ("1 calls between 2 and 4 were not saved, with 0", |history| history.takeovers[0] = 5001),
            ("2 calls between 2 and 5 were not saved, with 1", |history| {
                history.obtains[0].began.push(7000);
                found(history, 0, 1).number = 5;
                found(history, 1, 2).number = 5;
            }),
            // One takeover for two calls.
            ("1 calls between 4 and 6 were not saved, with 0", |history| {
                history.obtains[0].began.extend([7000, 7500]);
                history.tracks[0].runs.push(run(8000, 0, 6, 4));
            }),
            // A new leader that does not use what it finds.
            ("call 2 began 1700 ms after one whose lease was saved", |history| history.obtains[0].began[1] = 1700),
            ("credential 5 is of no call", |history| found(history, 1, 2).number = 5),
            ("nothing was read at a worker during", |history| history.cuts[0].coordinator = 3),
            ("two ends with Some(4) of a, not 5", |history| *history.newest.get_mut("a").unwrap() = 5),
            ("three ends with None of a", |history| history.workers.push("three".to_owned())),
            ("one has read only 2 credentials", |history| history.least = 3),
        ];
        for (what, plant) in plants {
            let mut history = good();
            plant(&mut history);
            let found = history.violations();
            assert!(found.iter().any(|found| found.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn history_counts_what_was_read() {
        let history = good();
        assert_eq!((history.reads(), history.read_while_cut(), history.moves()), (10, 1, 1));
        assert_eq!(history.least_left(), Some(8999));
        let mut track = Track::new("one", "a");
        let seen = run(1, 0, 1, 1).found;
        for (at, coordinator, found) in [(1, 0, None), (2, 0, seen.clone()), (3, 0, seen.clone()), (4, 1, seen)] {
            track.add(at, Some(coordinator), found);
        }
        let runs: Vec<_> = track.runs.iter().map(|run| (run.first, run.last, run.reads)).collect();
        assert_eq!(runs, [(1, 1, 1), (2, 3, 2), (4, 4, 1)]);
    }
}
