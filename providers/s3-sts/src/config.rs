//! The settings of an instance, validated before any request: a value that AWS's documentation rules out fails here, with
//! the setting's name, and not at STS. If `endpoint` names another service, its own rules apply, and only values that
//! could not be sent are rejected.

use crate::endpoint;
use deputy_kit::description::SettingSpec;
use deputy_kit::settings::{SettingsReader, seconds, wrong_setting};
use deputy_kit::types::{Failure, Setting};
use deputy_kit::url::Url;
use std::ops::RangeInclusive;

/// The secret that signs, unless the settings name another one.
const SECRET: &str = "aws-key";

/// What the secret holds.
pub(crate) const KEY_FORMAT: &str = "{\"AccessKeyId\": \"…\", \"SecretAccessKey\": \"…\"}";

/// The settings, as they are read and described.
pub(crate) const SETTINGS: [SettingSpec; 11] = [
    SettingSpec::new("operation", "assume-role | assume-role-with-web-identity | get-session-token", "the call of STS")
        .default("assume-role if role-arn is set, else get-session-token"),
    SettingSpec::new("region", "text", "the region, which is a part of the signature")
        .needed_if("except for a web identity with an endpoint"),
    SettingSpec::new(
        "endpoint",
        "url",
        "the server of STS, or of a service with its API; the default is right in every partition of AWS",
    )
    .default("that of AWS in the region"),
    SettingSpec::new("role-arn", "text", "the role to assume").needed_if("without endpoint, unless it is a session"),
    SettingSpec::new("role-session-name", "text", "the name of the session, which appears in CloudTrail")
        .default("deputy"),
    SettingSpec::new("external-id", "text", "the external id of the role, for assume-role alone"),
    SettingSpec::new("policy", "text", "a session policy in JSON, which narrows the role's"),
    SettingSpec::new("policy-arns", "list", "up to ten managed policies, with commas between"),
    SettingSpec::new(
        "duration",
        "duration",
        "how long credentials live: of AWS 15m to 12h for roles, to 36h for sessions",
    )
    .default("the service's: 1h for roles, 12h for sessions"),
    SettingSpec::new("secret", "secret", "the secret that signs").default(SECRET),
    SettingSpec::new("access-key-id", "text", "the key's id, if the secret is the secret key alone"),
];

/// The STS operation to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StsOperation {
    AssumeRole,
    AssumeRoleWithWebIdentity,
    GetSessionToken,
}

/// How the request is signed.
#[derive(Debug)]
pub(crate) struct Signing<'a> {
    pub(crate) region: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) access_key_id: Option<&'a str>,
}

/// The validated settings of a call.
#[derive(Debug)]
pub(crate) struct StsConfig<'a> {
    pub(crate) operation: StsOperation,
    pub(crate) endpoint: Url,
    /// Whether the endpoint is AWS's, since none is configured.
    pub(crate) is_default_endpoint: bool,
    /// `None` for an operation that takes unsigned requests.
    pub(crate) signing: Option<Signing<'a>>,
    /// The parameters of the operation, by their names in STS.
    pub(crate) parameters: Vec<(String, String)>,
}

impl StsOperation {
    /// The name in STS.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::GetSessionToken => "GetSessionToken",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "assume-role" => Ok(Self::AssumeRole),
            "assume-role-with-web-identity" => Ok(Self::AssumeRoleWithWebIdentity),
            "get-session-token" => Ok(Self::GetSessionToken),
            _ => Err("must be assume-role, assume-role-with-web-identity or get-session-token".to_owned()),
        }
    }

    /// The settings that the operation does not take. Ignoring them would grant more than the operator configured: a
    /// session policy, for example, restricts the credentials.
    fn unsupported(self) -> &'static [&'static str] {
        match self {
            Self::AssumeRole => &[],
            Self::AssumeRoleWithWebIdentity => &["external-id", "secret", "access-key-id"],
            Self::GetSessionToken => &["role-arn", "role-session-name", "external-id", "policy", "policy-arns"],
        }
    }

    /// The range of AWS, in seconds.
    fn durations(self) -> RangeInclusive<u64> {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => 900..=43_200,
            Self::GetSessionToken => 900..=129_600,
        }
    }
}

/// The rules that the parameters must follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Those of the AWS documentation.
    Aws,
    /// Those of the service at `endpoint`, which are unknown.
    OfService,
}

impl<'a> StsConfig<'a> {
    pub(crate) fn read(settings: &'a [Setting]) -> Result<Self, Failure> {
        let settings = SettingsReader::described(settings, &[&SETTINGS])?;
        let by_role = if settings.optional("role-arn").is_some() {
            StsOperation::AssumeRole
        } else {
            StsOperation::GetSessionToken
        };
        let operation = settings.parsed("operation", StsOperation::parse)?.unwrap_or(by_role);
        if let Some(name) = operation.unsupported().iter().find(|name| settings.optional(name).is_some()) {
            return Err(wrong_setting(name, &format!("{} does not take it; remove it", operation.action())));
        }
        let region = settings.parsed("region", region)?;
        let written = settings.parsed("endpoint", endpoint)?;
        let is_default_endpoint = written.is_none();
        let endpoint = match (written, region) {
            (Some(endpoint), _) => endpoint,
            (None, Some(region)) => {
                Url::parse(&endpoint::of_region(region)).map_err(|problem| wrong_setting("region", &problem))?
            }
            (None, None) => return Err(wrong_setting("region", "missing; set `region` or `endpoint`")),
        };
        let signing = match operation {
            StsOperation::AssumeRoleWithWebIdentity => None,
            StsOperation::AssumeRole | StsOperation::GetSessionToken => Some(Signing {
                region: region.ok_or_else(|| wrong_setting("region", "missing; it is part of the signature"))?,
                secret: settings.optional("secret").unwrap_or(SECRET),
                access_key_id: settings.parsed("access-key-id", access_key_id)?,
            }),
        };
        let rules = if is_default_endpoint { Rules::Aws } else { Rules::OfService };
        let parameters = parameters(operation, rules, &settings)?;
        Ok(Self { operation, endpoint, is_default_endpoint, signing, parameters })
    }
}

fn parameters(
    operation: StsOperation,
    rules: Rules,
    settings: &SettingsReader,
) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    let mut add = |name: &str, value: &str| found.push((name.to_owned(), value.to_owned()));
    if operation != StsOperation::GetSessionToken {
        if rules == Rules::Aws {
            settings.required("role-arn")?;
        }
        let name = settings.parsed("role-session-name", |name| rules.text(name, 2..=64, "=,.@-_+"))?;
        add("RoleSessionName", name.unwrap_or("deputy"));
    }
    if let Some(arn) = settings.parsed("role-arn", |text| rules.arn(text))? {
        add("RoleArn", arn);
    }
    if let Some(id) = settings.parsed("external-id", |id| rules.text(id, 2..=1224, "=,.@:/-_+"))? {
        add("ExternalId", id);
    }
    if let Some(policy) = settings.optional("policy") {
        add("Policy", policy);
    }
    for (number, arn) in settings.parsed("policy-arns", |text| rules.arns(text))?.into_iter().flatten().enumerate() {
        add(&format!("PolicyArns.member.{}.arn", number + 1), arn);
    }
    if let Some(seconds) = settings.parsed("duration", |text| rules.duration(text, operation))? {
        add("DurationSeconds", &seconds.to_string());
    }
    Ok(found)
}

impl Rules {
    /// A text within these lengths and of these characters.
    fn text<'t>(self, text: &'t str, lengths: RangeInclusive<usize>, others: &str) -> Result<&'t str, String> {
        match self {
            Self::Aws => within(text, lengths, others),
            Self::OfService => graphic(text),
        }
    }

    fn arn(self, text: &str) -> Result<&str, String> {
        let of_aws = text.starts_with("arn:") && (20..=2048).contains(&text.len());
        match graphic(text) {
            Ok(arn) if of_aws || self == Self::OfService => Ok(arn),
            _ => Err("not an ARN, such as arn:aws:iam::123456789012:role/worker".to_owned()),
        }
    }

    fn arns(self, text: &str) -> Result<Vec<&str>, String> {
        let arns: Vec<&str> = text.split(',').map(|part| self.arn(part.trim())).collect::<Result<_, _>>()?;
        if arns.len() <= 10 || self == Self::OfService { Ok(arns) } else { Err("STS takes ten at most".to_owned()) }
    }

    fn duration(self, text: &str, operation: StsOperation) -> Result<u64, String> {
        let seconds = seconds(text)?;
        let range = operation.durations();
        match self {
            Self::OfService if seconds > 0 => return Ok(seconds),
            Self::OfService => return Err("must be longer than zero".to_owned()),
            Self::Aws if range.contains(&seconds) => return Ok(seconds),
            Self::Aws => {}
        }
        let min = range.start() / 60;
        let max = range.end() / 3600;
        Err(format!("{} takes {min}m to {max}h", operation.action()))
    }
}

/// An id that fits an `Authorization` header. Test servers have shorter ids than AWS, so only the characters are checked.
pub(crate) fn access_key_id(id: &str) -> Result<&str, String> {
    within(id, 1..=128, "-_.")
}

/// A region becomes part of a host's name and of the signature's scope.
fn region(text: &str) -> Result<&str, String> {
    let letters = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if letters && text.len() <= 63 && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text)
    } else {
        Err("not the name of a region, such as eu-west-1".to_owned())
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)?;
    if url.target.contains('?') { Err("STS has no query (?…): remove it".to_owned()) } else { Ok(url) }
}

/// A value that can be sent to any service: no spaces, ASCII only, and bounded.
fn graphic(text: &str) -> Result<&str, String> {
    let sound = (1..=2048).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(text) } else { Err("must be 1 to 2048 visible ASCII characters".to_owned()) }
}

fn within<'t>(text: &'t str, lengths: RangeInclusive<usize>, others: &str) -> Result<&'t str, String> {
    let letters = text.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter));
    if letters && lengths.contains(&text.len()) {
        return Ok(text);
    }
    let min = lengths.start();
    let max = lengths.end();
    Err(format!("must be {min} to {max} ASCII letters, digits and characters of {others}"))
}

#[cfg(test)]
mod tests;
