//! A file for `s3-sts`: credentials of AWS STS, or of a server with the same interface.

use deputy_core::toml_string;

use super::{InstanceTemplate, Server, UrlError, coordinator_head};

#[derive(Debug, Clone)]
pub struct S3Template {
    pub instance: InstanceTemplate,
    pub region: String,
    /// A server that is not AWS.
    pub endpoint: Option<String>,
    pub role_arn: Option<String>,
    /// The file of the key, as the configuration names it.
    pub key: String,
}

impl S3Template {
    /// The configuration.
    ///
    /// # Errors
    /// If the endpoint is not a URL.
    pub fn render(&self) -> Result<String, UrlError> {
        let name = &self.instance.name;
        let region = toml_string(&self.region);
        let endpoint = match &self.endpoint {
            Some(endpoint) => format!("endpoint = {}\n", toml_string(endpoint)),
            None => String::new(),
        };
        let role = match (&self.role_arn, &self.endpoint) {
            (Some(role), _) => format!("role-arn = {}\n", toml_string(role)),
            // Other servers have roles of their own kind, or none.
            (None, Some(_)) => "operation = \"assume-role\"     # of the key's own account; or name a `role-arn`\n".to_owned(),
            (None, None) => {
                "# role-arn = \"arn:aws:iam::123456789012:role/worker\"    # without a role, a session of the key itself\n"
                    .to_owned()
            }
        };
        let server = Server::parse(&self.endpoint.clone().unwrap_or_else(|| aws_endpoint(&self.region)))?;
        let head = coordinator_head() + &self.instance.head();
        let key = toml_string(&self.key);
        let rule = self.instance.rule(&server);
        Ok(format!(
            "{head}
[instances.{name}.settings]       # `deputy inspect` and docs/providers.md have the others
region = {region}             # a part of every signature
{endpoint}{role}duration = \"1h\"                 # how long credentials live; a new lease comes after three quarters of it

[instances.{name}.secrets.aws-key]
file = {key}  # mode 0600: {{\"AccessKeyId\": \"…\", \"SecretAccessKey\": \"…\"}}
sigv4 = {{ services = [\"sts\"], regions = [{region}] }}    # signs for STS alone; the connector never reads the key

{rule}"
        ))
    }
}

/// As `s3-sts` has it for the large partitions.
fn aws_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{domain}")
}
