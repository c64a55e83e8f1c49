//! What Flink's and Spark's own tests fix of the behaviour of their delegation token frameworks, held against Deputy's
//! schedule. Each test is named after the behaviour, says the original's name, and where Deputy differs on purpose.
//!
//! Flink's names are those of `DefaultDelegationTokenManagerTest` (the released ones, those of FLINK-40008, and those of
//! the open PR 28639), Spark's are those of the suites that are named beside them. The schedule is the one of the rules' own
//! tests, `runtime/core/src/schedule/tests/schedule.rs`.
//!
//! What has no meaning for a schedule belongs elsewhere:
//!
//! | original | where it is, or will be, tested |
//! |---|---|
//! | `isProviderEnabledMustGiveBack…`, `configurationIsNullMustFailFast`, Spark's per-service switches and deprecated keys | `runtime/config/tests`: `enabled`, and what is no configuration |
//! | `oneProviderThrowsExceptionMustFailFast`, `testAllProvidersLoaded`, a provider that cannot be constructed | `tests/hostile/components.rs`: a component that cannot be loaded is a failure of its instance only |
//! | `checkProviderAndReceiverConsistency…`, `checkSamePrefixedProviders…`, `DelegationTokenReceiverRepositoryTest` | the worker, whose receivers say which services they accept |
//! | `registerJobMustNotExposeCallersConfigurationToProviders` | the sandbox hands a component its own settings as an argument, and nothing of the host (`tests/hostile/surroundings.rs`) |
//! | `DelegationTokenContainerTest`, `HadoopDelegationTokenConverterTest`, "deserialization rejects foreign class" | the store's sealing and the link's messages; payloads are opaque |
//! | `HadoopDelegationTokenReceiverITCase`, Spark's executors that miss updates (SPARK-32905), `KafkaTokenUtilSuite` | the worker and its receivers |
//! | `KerberosLoginProviderITCase`, `HadoopFSDelegationTokenProviderITCase`, `HiveServer2DelegationTokenProviderITCase`, `HadoopFSDelegationTokenProviderSuite` | the Kerberos capability and the Hadoop providers, but for what they say of expiries, which is here |
//! | the S3 providers and receivers, `YarnClusterDescriptorTest`, `OidcCredentialIntegrationSuite` | `tests/e2e`, against real servers |
//! | `submissionRejectionsMustShareRateLimitedWarnings`, `successfulCycleOrRestartMustResetSubmissionRejectionWarnings` | the coordinator's log; the schedule has no executor that could reject |
//! | "renewalEnabled on/off", "called without Kerberos" | an instance needs Kerberos only if its grant names it |
//! | "fails without encryption", "SASL ok", "SSL RPC ok", secrets in `toString` | the link, which speaks mutual TLS alone; `SecretBytes`, which has no text |

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as it should be ends the test"
)]

mod flink_cooldown;
mod flink_delays;
mod flink_jobs;
mod flink_reobtain;
mod flink_sessions;
mod spark;
mod spark_user_credentials;

use deputy_core::Span;

const HOUR: Span = Span::secs(3600);

/// Without this test, the suite would pass after the removal of a file.
#[test]
fn suite_includes_every_file() {
    let known = include_str!("main.rs");
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance")).unwrap();
    let files = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let modules: Vec<String> = files.filter_map(|file| file.strip_suffix(".rs").map(str::to_owned)).collect();
    assert!(modules.len() >= 8, "files were lost: {modules:?}");
    for module in modules.iter().filter(|module| *module != "main") {
        assert!(known.contains(&format!("mod {module};")), "{module}.rs is no module of main.rs");
    }
}
