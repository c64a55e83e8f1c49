//! What the histories had in them. A simulation in which nothing happens holds always.

macro_rules! counts {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Default, Clone)]
        pub(crate) struct Counts {
            $(pub(crate) $name: u64,)*
        }

        impl Counts {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each of these happened, and not only by accident.
            pub(crate) fn assert_enough(&self, histories: u64) {
                $(assert!(self.$name * 60 >= histories, "{} of {histories} histories: {}", stringify!($name), self.$name);)*
            }
        }
    };
}

counts! {
    events,
    obtained,
    renewed,
    revoked,
    failed,
    fruitless,
    throttled,
    throttled_early,
    throttled_late,
    backoff_early,
    backoff_late,
    replaced_early,
    replaced_late,
    jumps_reported,
    at_risk,
    passed,
    paced,
    borrowed,
    rationed,
    requested_beyond_rate,
    cancelled,
    detached,
    published,
    withdrawn,
    from_files,
    waits,
    save_failures,
    unsaved,
    forgotten,
    orphaned,
    crashes,
    crashes_between_actions,
    lost_records,
    resumed_pauses,
    stops,
    reloads,
    jumps,
    expired,
    assumed,
    settled,
    revocations_done,
    attended,
    for_person,
    feasible,
}
