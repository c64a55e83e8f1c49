//! What a component says about itself, asked without any grant.
//!
//! The component is not trusted, and its texts go to a terminal and decide what a person agrees to: they are bounded, and a
//! text that has to be read exactly (a host, a name) is refused rather than cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_audit::AuditSubject;
use deputy_core::{
    ByteSize, ComponentDescription, ComponentRef, DescribedProperty, DescribedSetting, DescribedWant, Digest, Limits,
    Span,
};
use futures::FutureExt;

use crate::answer::GuestAnswer;
use crate::bindings::delegation::tokens::types::Failure;
use crate::bindings::describes::exports::delegation::tokens::description as wit;
use crate::bindings::describes::{DescribesItself, DescribesItselfPre};
use crate::blocking::blocking;
use crate::call::{Call, CallError};
use crate::call_context::InstanceContext;
use crate::invoke::Invoker;
use crate::load_error::LoadError;
use crate::loaded_component::LoadedComponent;
use crate::open_call::CalledFunction;
use crate::outputs::OutputMode;
use crate::raw_outcome::{AnsweredCall, convert_failure};
use crate::redact::Redactor;
use crate::running_call::GuestCall;
use crate::sandbox::Sandbox;
use crate::secrets::SecretStore;

/// The most properties of a component, a setting or a want.
const MAX_PROPERTIES: usize = 64;
/// The most settings.
const MAX_SETTINGS: usize = 128;
/// The most wants.
const MAX_WANTS: usize = 64;
/// The longest name, in bytes.
const MAX_NAME: usize = 64;
/// The longest text that is shown, in bytes.
const MAX_TEXT: usize = 300;
/// The longest text that is acted on, in bytes.
const MAX_PART: usize = 1024;

/// What the three functions returned.
struct RawDescription {
    about: Vec<wit::Property>,
    settings: Vec<wit::DescribedSetting>,
    wants: Result<Vec<wit::Want>, Failure>,
}

/// A description has no secret of the instance: nothing was passed but settings.
impl GuestAnswer for RawDescription {}

impl Sandbox {
    /// Asks a component what it is, which settings it reads and what it wants with these; `None` if it does not describe
    /// itself. `subject` is the instance or receiver of the audit log.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn describe(
        &self,
        component: &ComponentRef,
        sha256: Option<Digest>,
        settings: &BTreeMap<String, String>,
        subject: AuditSubject,
    ) -> Result<Option<Call<ComponentDescription>>, LoadError> {
        let shared = Arc::clone(self.shared());
        let LoadedComponent { component, info } = LoadedComponent::load(&shared, component, sha256).await?;
        if !info.describes {
            return Ok(None);
        }
        let linking = Arc::clone(&shared);
        let linked = Arc::clone(&component);
        let describes = blocking(move |thread| {
            let linked = linking.link(&info.path, &linked, thread)?;
            DescribesItselfPre::new(linked).map_err(|source| LoadError::Import { path: info.path, source })
        })
        .await?;
        let secrets = Arc::new(SecretStore::new(&BTreeMap::new()));
        let context = InstanceContext::ungranted(&shared, &secrets, OutputMode::Denied);
        let invoker = Invoker::new(shared, subject, settings, limits());
        let settings = invoker.settings();
        let run: GuestCall<RawDescription> = Box::new(move |store| {
            async move {
                let described: DescribesItself = describes.instantiate_async(&mut *store).await?;
                let description = described.delegation_tokens_description();
                let about = description.call_about(&mut *store).await?;
                let known = description.call_known_settings(&mut *store).await?;
                let wants = description.call_wants(&mut *store, &settings).await?;
                Ok(Ok(RawDescription { about, settings: known, wants }))
            }
            .boxed()
        });
        let redactor = Redactor::new(Vec::new());
        let raw = invoker.call(CalledFunction::Named("description"), &context, redactor, run).await;
        Ok(Some(raw.finish(convert).await))
    }
}

/// Enough for every language, and a tenth of what a call that obtains may use. The texts are a part of the answer, so
/// `payload` and `argument` bound them together.
fn limits() -> Limits {
    Limits {
        argument: ByteSize::bytes(256 << 10),
        cpu: Span::secs(2),
        log_bytes: ByteSize::bytes(4 << 10),
        log_lines: 20,
        payload: ByteSize::bytes(256 << 10),
        wall: Span::secs(10),
        ..Limits::default()
    }
}

fn convert(raw: RawDescription, answered: AnsweredCall<'_>) -> Result<ComponentDescription, CallError> {
    let about = bounded(raw.about, MAX_PROPERTIES, "properties of the component")?;
    let settings = bounded(raw.settings, MAX_SETTINGS, "settings")?;
    let wants = match raw.wants {
        Ok(wants) => {
            let wants = bounded(wants, MAX_WANTS, "wants")?.into_iter();
            Ok(wants.map(|want| convert_want(want, answered)).collect::<Result<_, _>>()?)
        }
        Err(failure) => Err(convert_failure(failure, answered.redactor)),
    };
    Ok(ComponentDescription {
        about: shown(&about, answered),
        settings: settings.into_iter().map(|setting| convert_setting(setting, answered)).collect::<Result<_, _>>()?,
        wants,
    })
}

fn convert_setting(setting: wit::DescribedSetting, answered: AnsweredCall<'_>) -> Result<DescribedSetting, CallError> {
    let properties = bounded(setting.properties, MAX_PROPERTIES, "properties of a setting")?;
    Ok(DescribedSetting { name: exact(setting.name, MAX_NAME, answered)?, properties: shown(&properties, answered) })
}

fn convert_want(want: wit::Want, answered: AnsweredCall<'_>) -> Result<DescribedWant, CallError> {
    let properties = bounded(want.properties, MAX_PROPERTIES, "properties of a want")?.into_iter();
    let properties = properties.map(|property| convert_part(property, answered));
    Ok(DescribedWant { kind: exact(want.kind, MAX_NAME, answered)?, properties: properties.collect::<Result<_, _>>()? })
}

/// A property that is acted on.
fn convert_part(property: wit::Property, answered: AnsweredCall<'_>) -> Result<DescribedProperty, CallError> {
    let name = exact(property.name, MAX_NAME, answered)?;
    Ok(DescribedProperty { name, value: exact(property.value, MAX_PART, answered)? })
}

/// Properties whose texts are shown and nothing else.
fn shown(properties: &[wit::Property], answered: AnsweredCall<'_>) -> Vec<DescribedProperty> {
    let cleaned = properties.iter().map(|property| DescribedProperty {
        name: answered.redactor.clean(&property.name, MAX_TEXT),
        value: answered.redactor.clean(&property.value, MAX_TEXT),
    });
    cleaned.collect()
}

fn bounded<T>(list: Vec<T>, most: usize, what: &str) -> Result<Vec<T>, CallError> {
    match list.len() {
        count if count > most => Err(CallError::Invalid(format!("{count} {what}, of at most {most}"))),
        _ => Ok(list),
    }
}

/// A text that is acted on: it is what it looks like, or refused.
fn exact(text: String, most: usize, answered: AnsweredCall<'_>) -> Result<String, CallError> {
    let cleaned = answered.redactor.clean(&text, most);
    if cleaned == text && !text.trim().is_empty() {
        return Ok(text);
    }
    let start = answered.redactor.clean(&text, MAX_NAME);
    let problem = format!("`{start}` must have 1 to {most} bytes, and no characters that control or mislead");
    Err(CallError::Invalid(problem))
}
