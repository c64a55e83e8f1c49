//! Variables that decide as which identity AWS libraries act. They are removed, so that the credentials of the lease decide.

/// Every variable from which the AWS libraries and command line take an identity or learn where one is, besides those that
/// `deputy exec` sets: those of the SDK reference (`AWS_PROFILE` to the instance profile), then those of older libraries.
///
/// If a profile is named, most libraries ignore `AWS_ACCESS_KEY_ID`. Variables that do not decide about an identity stay (region,
/// endpoint, retries, whether the instance metadata is asked).
pub(super) const IDENTITY_VARIABLES: [&str; 22] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_IAM_ROLE_ARN",
    "AWS_IAM_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ACCOUNT_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_EC2_INSTANCE_PROFILE_NAME",
    // Older libraries.
    "AWS_ACCESS_KEY",
    "AWS_CREDENTIAL_FILE",
    "AWS_CREDENTIAL_PROFILES_FILE",
    "AWS_CREDENTIALS_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
];
