//! What every crate would write again.
//!
//! | for | use |
//! |---|---|
//! | the time, where no `Clock` is handed over; timers that tests can pause | [`SystemClock`], [`timer_now`], [`pause`] |
//! | delays that grow with each failure | [`Backoff`] |
//! | a bound on events per time, alone or by key | [`RateLimiter`], [`KeyedRateLimiter`] |
//! | an error that is logged once while it lasts | [`RepeatedError`] |
//! | what changed since a reader last looked | [`ChangeOrder`] |
//! | asking a task that owns some state | [`Mailbox`] |
//! | tasks whose end, or panic, is reported under a key | [`TrackedTasks`] |
//! | work that blocks a thread | [`blocking`], [`try_blocking`] |
//! | locks without poison | [`LockUnpoisoned`], [`RwLockUnpoisoned`] |
//! | digests, hex, text for one line | [`sha256`], [`hex`], [`single_line`] |
//!
//! **Never** does I/O, draws a random number, or holds a rule of Deputy's.

mod backoff;
mod blocking;
mod change_order;
mod clock;
mod digest;
mod mailbox;
mod rate_limiter;
mod repeated_error;
mod sync;
mod text;
mod timer;
mod tracked_tasks;

pub use self::backoff::Backoff;
pub use self::blocking::{blocking, try_blocking};
pub use self::change_order::ChangeOrder;
pub use self::clock::{SystemClock, time_since_boot, wall_nanos};
pub use self::digest::sha256;
pub use self::mailbox::{ActorStopped, Mailbox};
pub use self::rate_limiter::{KeyedRateLimiter, RateLimiter};
pub use self::repeated_error::RepeatedError;
pub use self::sync::{LockUnpoisoned, RwLockUnpoisoned};
pub use self::text::{hex, single_line};
pub use self::timer::{pause, timer_now};
pub use self::tracked_tasks::TrackedTasks;
