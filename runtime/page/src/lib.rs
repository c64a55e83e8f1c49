//! The live page: a read-only view of a coordinator in a browser, at its health port.
//!
//! [`LivePage`] serves that port: probes and metrics as they are, and the page to browsers that `deputy ui` let in. A URL
//! has a token that is used up by opening it, and becomes the cookie of a session. What is shown is [read](view) from the
//! coordinator in parts that a screen can hold, and sent as server-sent events when it changes; audit events come from a
//! [ring](RecentEvents) of the last ones.
//!
//! **Never** shows a payload or a secret, changes anything, or answers a request that was meant for another host. Every
//! number is bounded: URLs, sessions, open pages, rows of a message, audit events.

mod access;
mod assets;
mod client;
mod live_page;
mod page_address;
mod query;
mod recent_events;
mod refusal;
mod view;

pub use access::PageAccess;
pub use live_page::LivePage;
pub use page_address::PageAddress;
pub use recent_events::RecentEvents;
