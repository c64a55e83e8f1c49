//! The request to STS: a form, and its canonical form to be signed.

use crate::config::StsConfig;
use crate::sigv4::{self, Canonical, Request};
use deputy_kit::encode;
use deputy_kit::url::Url;

/// The content type, by which the host also recognises that it may add form fields.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The body. For a web identity the host appends the token.
pub(crate) fn form(config: &StsConfig) -> String {
    let fixed = [("Action", config.operation.action()), ("Version", "2011-06-15")];
    encode::form(fixed.into_iter().chain(config.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

/// The canonical form of the POST of `body` to `endpoint`.
pub(crate) fn canonical(endpoint: &Url, date: &str, body: &str) -> Canonical {
    sigv4::canonical(&Request {
        method: "POST",
        target: &endpoint.target,
        headers: &[("content-type", FORM), ("host", &endpoint.authority), ("x-amz-date", date)],
        body: body.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_kit::types::Setting;

    #[test]
    fn request_form_encodes_action_version_and_parameters() {
        let settings = [
            ("region", "eu-west-1"),
            ("role-arn", "arn:aws:iam::123456789012:role/worker"),
            ("policy", "{\"a\": \"b&c\"}"),
        ]
        .map(|(name, value)| Setting { name: name.to_owned(), value: value.to_owned() });
        assert_eq!(
            form(&StsConfig::read(&settings).unwrap()),
            "Action=AssumeRole&Version=2011-06-15&RoleSessionName=deputy\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fworker&Policy=%7B%22a%22%3A%20%22b%26c%22%7D"
        );
    }

    #[test]
    fn request_signs_the_port_of_the_host_header() {
        let url = Url::parse("http://127.0.0.1:8333").unwrap();
        let canonical = canonical(&url, "20150830T123600Z", "a=b");
        assert!(canonical.text.contains("\nhost:127.0.0.1:8333\n"), "{}", canonical.text);
        assert_eq!(canonical.signed_headers, "content-type;host;x-amz-date");
    }
}
