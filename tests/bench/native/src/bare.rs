//! What the components say to the servers, natively: the same code of the kit over a plain socket, without a sandbox, an audit
//! log or a limit.

use std::fmt::Display;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use deputy_core::KerberosPrincipal;
use deputy_kerberos::Login;
use deputy_kit_hadoop::hbase::{HBaseClient, HBaseOptions, Service};
use deputy_kit_hadoop::kafka::{GssapiLogin, KafkaClient, KafkaErrorCode, TokenLogin};
use deputy_kit_hadoop::lifecycle::TokenCalls;
use deputy_kit_hadoop::metastore::MetastoreClient;
use deputy_kit_hadoop::rpc::{ExpectedServer, RpcClient, RpcOptions};
use deputy_kit_hadoop::sasl::{Qualities, Quality};
use deputy_scram::Mechanism;
use tokio::runtime::Handle;

use crate::context::NativeContext;
use crate::{Failed, web};

/// How long the component waits until a broker knows a token that it has just made: to renew it, and to log in with it.
const UNKNOWN_TO_RENEW: Duration = Duration::from_millis(100);
const UNKNOWN_AT_LOGIN: Duration = Duration::from_millis(200);

type Outcome<T = ()> = Result<T, Failed>;

/// The login, and one server.
#[derive(Clone)]
pub(crate) struct Native {
    /// The name of its component.
    pub(crate) service: String,
    pub(crate) login: Arc<Login>,
    pub(crate) target: KerberosPrincipal,
    pub(crate) port: u16,
    pub(crate) runtime: Handle,
}

impl Native {
    /// Obtains a token, and renews it once where the component does. It blocks.
    pub(crate) fn obtain(&self) -> Outcome {
        match self.service.as_str() {
            "hbase" => self.of_hbase(),
            "hdfs" => self.by_rpc("org.apache.hadoop.hdfs.protocol.ClientProtocol"),
            "hive" => self.of_hive(),
            "kafka" => self.of_kafka(),
            "kms" => self.by_http("/kms/v1/"),
            "webhdfs" => self.by_http("/webhdfs/v1/"),
            "yarn" => self.by_rpc("org.apache.hadoop.yarn.api.ApplicationClientProtocolPB"),
            other => Err(format!("there is no exchange with {other}").into()),
        }
    }

    fn by_http(&self, path: &str) -> Outcome {
        self.runtime.block_on(web::obtain(&self.login, &self.target, self.port, path))
    }

    fn by_rpc(&self, protocol: &str) -> Outcome {
        let options = RpcOptions {
            protocol,
            server: ExpectedServer::new("localhost", None),
            qualities: Qualities::only(Quality::Authentication),
            effective_user: None,
            client_id: [7; 16],
        };
        let mut client = RpcClient::connect(connect(self.port)?, &options, |_| Ok(self.context())).map_err(failed)?;
        let token = client.obtain_token(self.login.principal().as_str()).map_err(failed)?;
        client.renew_token(&token).map(drop).map_err(failed)
    }

    fn of_hbase(&self) -> Outcome {
        let dial = |port, service| {
            let options = HBaseOptions {
                service,
                principal: self.target.as_str(),
                qualities: Qualities::only(Quality::Authentication),
                effective_user: None,
            };
            HBaseClient::connect(connect(port)?, &options, |_| Ok(self.context())).map_err(failed)
        };
        let region_server = dial(self.port, Service::Registry)?.meta_server().map_err(failed)?;
        dial(region_server.port, Service::Regions)?.obtain_token().map(drop).map_err(failed)
    }

    fn of_hive(&self) -> Outcome {
        let qualities = Qualities::only(Quality::Authentication);
        let mut client =
            MetastoreClient::connect(connect(self.port)?, Ok(self.context()), qualities).map_err(failed)?;
        let principal = self.login.principal().as_str();
        let token = client.obtain_token(principal, principal).map_err(failed)?;
        client.renew_token(&token).map(drop).map_err(failed)
    }

    fn of_kafka(&self) -> Outcome {
        let mut client = KafkaClient::new(connect(self.port)?);
        client.login(&mut GssapiLogin::new(self.context())).map_err(failed)?;
        let token = client.create_token(None, &[], None).map_err(failed)?;
        // The broker learns of it a moment later.
        while let Err(error) = client.renew_token(&token.hmac) {
            if !error.code().is_some_and(KafkaErrorCode::is_of_ended_token) {
                return Err(failed(error));
            }
            sleep(UNKNOWN_TO_RENEW);
        }
        loop {
            let mut confirmed = KafkaClient::new(connect(self.port)?);
            let mut login = TokenLogin::new(Mechanism::Sha256, &token.id, &token.hmac, &[7; 24]).map_err(failed)?;
            match confirmed.login(&mut login) {
                Err(error) if error.code() == Some(KafkaErrorCode::AUTHENTICATION_FAILED) => sleep(UNKNOWN_AT_LOGIN),
                ended => return ended.map_err(failed),
            }
        }
    }

    fn context(&self) -> NativeContext {
        NativeContext::new(&self.login, &self.target, &self.runtime)
    }
}

fn connect(port: u16) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn failed(error: impl Display) -> Failed {
    error.to_string().into()
}
