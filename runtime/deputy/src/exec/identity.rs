//! Variables that decide as whom a program acts, by service. They are taken away, so that what was handed over decides.

/// Every variable from which AWS's libraries and command line take an identity or learn where one is, beside those that
/// `deputy exec` sets: of the reference of the SDKs (`AWS_PROFILE` to the instance profile), then of older libraries.
///
/// With a profile named, most of them ignore `AWS_ACCESS_KEY_ID`. Where an identity is not decided (region, endpoint,
/// retries, whether the instance's metadata is asked) nothing is changed.
pub(super) const AWS: [&str; 22] = [
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
