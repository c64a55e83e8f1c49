//! What the histories had in them. A simulation in which nothing happens holds always.

macro_rules! counts {
    ($($name:ident),* $(,)?) => {
        #[derive(Debug, Default, Clone)]
        pub(super) struct Counts {
            $(pub(super) $name: u64,)*
        }

        impl Counts {
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Each of these happened, and not only by accident.
            pub(super) fn assert_enough(&self, histories: u64) {
                $(assert!(self.$name * 20 >= histories, "{} of {histories} histories: {}", stringify!($name), self.$name);)*
            }
        }
    };
}

counts! {
    events,
    leaders,
    locks_lost,
    stops,
    kills,
    pauses,
    suspensions,
    overlaps,
    requests_lost,
    answers_lost,
    late,
    repeated,
    refused_writes,
    conflicts,
    save_failures,
    obtained,
    obtained_deposed,
    revoked,
    published,
    followed,
    expired,
    delivered,
    refused_older,
    paused,
    paused_takeovers,
    left,
    left_taken,
    left_revoked,
    requested,
}
