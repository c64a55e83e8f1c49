//! Authentication tokens of HBase, by its RPC with Kerberos.
//!
//! One instance is one cluster. Only the region server that has `hbase:meta` issues tokens; a master, another region server or
//! ZooKeeper knows which one that is. A token tells its expiry and cannot be renewed or cancelled, so that a new one is
//! obtained in time. The principal's key stays with the host: this component exchanges messages, and the capability
//! `kerberos` makes and opens them.
//!
//! `config` reads the settings, and `dial` finds the server; the protocol is in `deputy-kit-hadoop`. No state is kept, and no
//! token enters a failure or a fact.

mod config;
mod dial;

use config::HBaseConfig;
use deputy_kit::tokens::{HADOOP_TOKEN, tokens};
use deputy_kit::types::{Expiry, Failure, Setting, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::identifier::HBaseTokenIdentifier;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};
use dial::MetaDial;

deputy_kit_hadoop::export_provider!(
    HBase,
    "
        package deputy:connector;
        world component {
            include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/uses-kerberos@0.2.0;
            include delegation:tokens/describes-itself@0.2.0;
        }
    "
);

struct HBase;

impl TokenProvider for HBase {
    type Config<'a> = HBaseConfig<'a>;

    const SERVICE: &'static str = "hbase";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<HBaseConfig<'_>, Failure> {
        HBaseConfig::read(settings)
    }

    fn obtain(config: &HBaseConfig<'_>) -> Result<Tokens, Failure> {
        let mut servers = ActiveServer::new(MetaDial::new(config), &config.servers);
        let token = servers.call(|meta| meta.client.obtain_token())?;
        let identifier = HBaseTokenIdentifier::read(&token.identifier)?;
        let service = token.service.clone();
        // Clients select it by kind and service, which is the cluster's id. The name in the file is the same.
        let payload = HadoopTokenFile::single(&service, token).to_bytes(FileVersion::Writable);
        let obtained = tokens(HADOOP_TOKEN, payload)
            .expires(Expiry::At(identifier.expiry))
            .fact("owner", identifier.owner)
            .fact("service", service)
            .fact("number", identifier.sequence_number.to_string());
        Ok(match servers.client() {
            Some(meta) => {
                obtained.fact("server", meta.address.to_string()).fact("protection", meta.client.quality().name())
            }
            None => obtained,
        })
    }
}
