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

use bindings::exports::delegation::tokens::provider;
use config::HBaseConfig;
use deputy_kit::tokens::{HADOOP_TOKEN, tokens};
use deputy_kit::types::{Expiry, Failure, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::identifier::HBaseTokenIdentifier;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};
use dial::MetaDial;

mod bindings {
    #![allow(
        missing_docs,
        unsafe_code,
        unused_qualifications,
        reason = "generated from the contract, documented there"
    )]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:hbase;
            world hbase {
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/uses-kerberos@0.2.0;
            }
        ",
        world: "deputy:hbase/hbase",
        with: {
            "delegation:tokens/types@0.2.0": deputy_kit::types,
            "delegation:tokens/kerberos@0.2.0": deputy_kit_hadoop::kerberos::interface,
        },
        generate_all,
    });

    export!(HBase with_types_in self);
    use super::HBase;
}

struct HBase;

impl provider::Guest for HBase {
    fn service_name(settings: Settings) -> Result<String, Failure> {
        HBaseConfig::read(&settings).map(|_| "hbase".to_owned())
    }

    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        HBaseConfig::read(&settings).map(|_| vec![HADOOP_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        HBaseConfig::read(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let config = HBaseConfig::read(&settings)?;
        let mut servers = ActiveServer::new(MetaDial::new(&config), &config.servers);
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
