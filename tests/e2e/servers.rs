//! Servers that all tests share, each started by the first one that needs it. They end with this process.

use std::sync::LazyLock;

use deputy_test_servers::{Etcd, Moto, OAuth2, OidcProvider, Seaweed, boto};

/// SeaweedFS with the empty bucket `bucket`.
pub(crate) fn seaweed() -> &'static Seaweed {
    static SERVER: LazyLock<Seaweed> = LazyLock::new(|| {
        let server = Seaweed::start().unwrap();
        make_bucket(&server);
        server
    });
    &SERVER
}

/// Makes the empty bucket `bucket`.
pub(crate) fn make_bucket(server: &Seaweed) {
    let script =
        "import boto3, os; boto3.client('s3', endpoint_url=os.environ['ENDPOINT']).create_bucket(Bucket='bucket')";
    let key = [("AWS_ACCESS_KEY_ID", Seaweed::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", Seaweed::SECRET_KEY)];
    boto(script, &[&key[..], &[("ENDPOINT", server.endpoint().as_str())]].concat()).unwrap();
}

/// moto, which answers every call of STS.
pub(crate) fn moto() -> &'static Moto {
    static SERVER: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());
    &SERVER
}

/// oauth2-mock-server.
pub(crate) fn oauth2() -> &'static OAuth2 {
    static SERVER: LazyLock<OAuth2> = LazyLock::new(|| OAuth2::start().unwrap());
    &SERVER
}

/// oidc-provider, whose tokens live for ten minutes.
pub(crate) fn oidc() -> &'static OidcProvider {
    static SERVER: LazyLock<OidcProvider> = LazyLock::new(|| OidcProvider::start(600).unwrap());
    &SERVER
}

/// One member of etcd, for states with prefixes of their own.
pub(crate) fn etcd() -> &'static Etcd {
    static SERVER: LazyLock<Etcd> = LazyLock::new(|| Etcd::start(&[]).unwrap());
    &SERVER
}
