//! Deputy's words, rules, grants and refusals.
//!
//! What an operator allows is parsed here once into types that cannot be wrong, and what a component asks for is
//! judged here, by pure functions: a request becomes a [`Target`](grant::Target), a grant turns it into a
//! [`Permit`](grant::Permit), resolved addresses turn that into a [`Pinned`](grant::Pinned), and only a `Pinned` opens
//! a connection. Each step consumes the one before it and has no public constructor of its own, so that no path to a
//! socket leaves a check out. What is not permitted is a [`PolicyDenial`], which has a code and three readers.
//!
//! This crate never does I/O, reads no clock, knows no runtime and no file format: time and addresses are arguments.

mod advertised;
mod component;
mod delivery;
mod denial;
mod description;
mod error_chain;
mod etcd;
mod fact;
pub mod failure;
pub mod grant;
mod hook;
mod instance;
mod kerberos_principal;
mod kind;
mod limits;
mod login;
mod name;
mod output;
mod publish;
mod receiver;
pub mod retry;
mod revision;
mod s3_place;
pub mod schedule;
mod secret;
mod setting;
mod state;
mod text;
pub mod time;
mod tokens;
mod trace_context;
mod trace_plan;
mod units;

pub use advertised::{AdvertisedAddresses, AdvertisedAddressesError, HostPort, HostPortError, MAX_ADVERTISED};
pub use component::{ComponentRef, ComponentRefError};
pub use delivery::Delivery;
pub use denial::{DeniedClaim, DeniedRequest, FixPlace, OverriddenRequest, PolicyDenial, Principal};
pub use description::{
    ComponentDescription, DescribedProperty, DescribedSetting, DescribedWant, GrantRequest, OpenQuestion,
    OperatorFacts, RequestError, RequestedSecret, SettingFault,
};
pub use error_chain::in_one_line;
pub use etcd::{EtcdEndpoint, EtcdEndpointError, EtcdPrefix, EtcdPrefixError, MAX_ETCD_PAYLOAD};
pub use fact::{Fact, HOST_FACT_PREFIX, LONGEST_FACT_NAME, LONGEST_FACT_VALUE, MOST_FACTS};
pub use failure::{CallFailure, ComponentFailure};
pub use hook::{HookCommand, HookCommandError, HookSignal};
pub use instance::{Digest, DigestError, FileSource, Instance, SecretSource};
pub use kerberos_principal::{KerberosPrincipal, KerberosPrincipalError};
pub use kind::{Kinds, KindsError, PayloadKind, PayloadKindError};
pub use limits::{Limit, LimitError, LimitOverrides, LimitValue, Limits};
pub use login::{KdcAddress, KdcAddressError, KerberosRealm, KerberosRealmError, Krb5Conf, LoginPlan, TicketSource};
pub use name::{ComponentName, GroupName, InstanceName, LoginName, NameError, ReceiverName, SecretName, ServiceName};
pub use output::{OutputPath, OutputPathError, Outputs};
pub use publish::{Account, AccountError, Expired, FileMode, FileModeError};
pub use receiver::{Accepted, BoundInstance, ReceiverPlan};
pub use revision::{LeaseVersion, NewestLeases, Revision};
pub use s3_place::{S3Place, S3Places};
pub use secret::SecretBytes;
pub use setting::{is_secret_setting, name_words};
pub use state::{StateGrant, StateIdentity, StateIdentityError};
pub use text::{excerpt, misleads, toml_string, truncated};
pub use time::{Span, Timestamp};
pub use tokens::{TokenExpiry, Tokens};
pub use trace_context::{TraceContext, TraceContextError};
pub use trace_plan::{CollectorUrl, CollectorUrlError, TracePlan};
pub use units::{ByteSize, UnitError};
