use super::*;

fn worker(number: usize, instances: usize) -> WorkerStatus {
    let applied = |number: usize| AppliedStatus {
        instance: format!("instance-{number}"),
        revision: Some(1),
        obtained_at: None,
        newest: Some(1),
        current: true,
        failure: None,
    };
    WorkerStatus {
        id: format!("{number:016x}"),
        group: "etl".into(),
        standing: if number.is_multiple_of(2) { EnrolmentStatus::Active } else { EnrolmentStatus::Banned },
        connected: false,
        shared: false,
        address: None,
        version: None,
        host: None,
        joined: String::new(),
        seen: None,
        seen_ago_ms: None,
        renewals: 0,
        applied: (0..instances).map(applied).collect(),
    }
}

/// All pages, one after the other.
fn pages(workers: usize, instances: usize, query: WorkerQuery) -> Vec<Vec<WorkerStatus>> {
    let (mut pages, mut query) = (Vec::new(), query);
    loop {
        let after = query.after.map(|after| after.to_string()).unwrap_or_default();
        let mut all = (1..=workers).map(|number| worker(number, instances)).filter(|worker| worker.id > after);
        let mut page = WorkerPage::default();
        while all.next().is_some_and(|worker| page.add(worker, &query).is_continue()) {}
        pages.push(page.workers);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

#[test]
fn workers_pages_have_each_worker_once() {
    let pages = pages(2500, 1, WorkerQuery::default());
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
    assert!(pages.concat().iter().map(|worker| &worker.id).is_sorted_by(|a, b| a < b));
}

#[test]
fn workers_page_is_bounded_by_its_deliveries() {
    let pages = pages(30, 20_000, WorkerQuery::default());
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2; 15], "one that has still more has a page alone");
    let bytes = serde_json::to_vec(&pages[0]).unwrap().len();
    assert!(bytes < 16 << 20, "{bytes} bytes");
    assert_eq!(self::pages(3, MAX_APPLIED + 1, WorkerQuery::default()).len(), 3);
}

#[test]
fn workers_are_filtered_by_state_and_instance() {
    let banned = WorkerQuery { state: Some(WorkerCondition::Banned), ..WorkerQuery::default() };
    let found = pages(10, 1, banned).concat();
    assert!(found.len() == 5 && found.iter().all(|worker| worker.standing == EnrolmentStatus::Banned));
    let instance = |name: &str| WorkerQuery { instance: Some(name.parse().unwrap()), ..WorkerQuery::default() };
    let found = pages(10, 3, instance("instance-2")).concat();
    assert!(found.len() == 10 && found.iter().all(|worker| worker.applied.len() == 1));
    assert!(pages(10, 3, instance("other")).concat().is_empty());
    assert!("lost".parse::<WorkerCondition>().is_err());
}

#[test]
fn workers_that_need_attention_are_selected() {
    let troubled = WorkerQuery { troubled: true, ..WorkerQuery::default() };
    let found = pages(10, 1, troubled).concat();
    assert!(found.len() == 5 && found.iter().all(|worker| worker.standing == EnrolmentStatus::Active), "{found:?}");
}

#[test]
fn workers_of_other_coordinators_are_not_in_trouble() {
    let shared = WorkerStatus { shared: true, ..worker(2, 1) };
    assert_eq!((shared.condition(), worker(2, 1).condition()), (WorkerCondition::NotHere, WorkerCondition::Away));
    let troubled = WorkerQuery { troubled: true, ..WorkerQuery::default() };
    assert!(troubled.select(shared).is_none() && troubled.select(worker(2, 1)).is_some());
    assert_eq!("not-here".parse(), Ok(WorkerCondition::NotHere));
}
