//! What a component says about itself. It is text to show and a request to judge, and never a grant.

#![deny(missing_docs)]

mod request;
mod setting;

pub use request::{DescribedWant, GrantRequest, OpenQuestion, OperatorFacts, RequestError, RequestedSecret};
pub use setting::{DescribedSetting, SettingFault};

use crate::failure::ComponentFailure;

/// A named text of a component: bounded, on one line, and not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedProperty {
    /// The name.
    pub name: String,
    /// The text.
    pub value: String,
}

/// What a component says about itself, for given settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentDescription {
    /// What it is: `title`, `version`, `documentation`.
    pub about: Vec<DescribedProperty>,
    /// The settings that it reads.
    pub settings: Vec<DescribedSetting>,
    /// What it wants with the given settings, or why it cannot say.
    pub wants: Result<Vec<DescribedWant>, ComponentFailure>,
}

impl ComponentDescription {
    /// The first text of this name.
    pub fn about(&self, name: &str) -> Option<&str> {
        first(&self.about, name)
    }

    /// What is wrong with the names of these settings: unknown ones first, in the order of the settings, then missing ones.
    pub fn faults<'a>(&'a self, settings: impl Iterator<Item = &'a str> + Clone) -> Vec<SettingFault> {
        setting::faults(&self.settings, settings)
    }
}

/// The first value of this name.
fn first<'p>(properties: &'p [DescribedProperty], name: &str) -> Option<&'p str> {
    all(properties, name).next()
}

/// All values of this name.
fn all<'p>(properties: &'p [DescribedProperty], name: &str) -> impl Iterator<Item = &'p str> {
    properties.iter().filter(move |property| property.name == name).map(|property| property.value.as_str())
}
