//! The URLs of the live page, as the control socket hands them to its clients.

use deputy_local::ControlError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A URL with which one browser can open the live page once.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct PageUrl {
    pub schema: u32,
    /// Has the token that is used up by opening it.
    pub url: String,
    /// How long it can be opened.
    pub expires_in_ms: u64,
}

/// Makes URLs of the live page.
pub trait PageUrls: Send + Sync {
    /// Another URL.
    ///
    /// # Errors
    /// If there is no page at the health port.
    fn url(&self) -> Result<PageUrl, ControlError>;
}
