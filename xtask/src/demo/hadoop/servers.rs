//! The servers of the demonstration: a KDC, and all services that want its tickets.

use std::thread;

use deputy_test_servers::{Error, HBase, Hdfs, Hive, Kafka, Kdc, Kms, Site, Yarn};

use crate::failure::{Doing, Failure, Result};

/// The seconds that a token works without a renewal, and at all. Clusters have a day and a week.
pub(super) const RENEWAL: u32 = 15;
pub(super) const LONGEST: u32 = 40;

/// The seconds that a token of HBase works, which cannot be renewed.
const HBASE_LIFE: u32 = 30;

/// The encryption zone: files in it need a token of the KMS as well.
pub(super) const ZONE: &str = "/zone";

/// All of them. The KDC ends last.
pub(super) struct Servers {
    pub(super) hdfs: Hdfs,
    /// HDFS asks it for keys.
    _kms: Kms,
    pub(super) yarn: Yarn,
    pub(super) hbase: HBase,
    pub(super) hive: Hive,
    pub(super) kafka: Kafka,
    pub(super) kdc: Kdc,
}

impl Servers {
    /// Starts them at the same time. HDFS comes after the KMS, which it asks for keys.
    pub(super) fn start() -> Result<Self> {
        let kdc = Kdc::start().doing(|| "starting the KDC".into())?;
        let of = &kdc;
        let started = thread::scope(|scope| {
            let storage = scope.spawn(move || storage(of));
            let yarn = scope.spawn(move || Yarn::start(of, &Site::new().yarn_token_lives(RENEWAL, LONGEST)));
            let lives = Site::new().set("hbase.auth.token.max.lifetime", HBASE_LIFE * 1000);
            let hbase = scope.spawn(move || HBase::start(of, &lives));
            let hive = scope.spawn(move || Hive::start(of, &Site::new().hive_token_lives(RENEWAL, LONGEST)));
            let kafka = Kafka::start(of, None, &Site::new().kafka_token_lives(RENEWAL, LONGEST));
            (storage.join(), yarn.join(), hbase.join(), hive.join(), kafka)
        });
        let (storage, yarn, hbase, hive, kafka) = started;
        let (kms, hdfs) = joined("HDFS and KMS", storage)?;
        let (yarn, hbase, hive) = (joined("YARN", yarn)?, joined("HBase", hbase)?, joined("Hive", hive)?);
        let kafka = kafka.doing(|| "starting Kafka".into())?;
        Ok(Self { hdfs, _kms: kms, yarn, hbase, hive, kafka, kdc })
    }
}

fn storage(kdc: &Kdc) -> std::result::Result<(Kms, Hdfs), Error> {
    let kms = Kms::start(kdc, &Site::new().kms_token_lives(RENEWAL, LONGEST))?;
    let hdfs = Hdfs::start(kdc, &Site::new().hdfs_token_lives(RENEWAL, LONGEST).key_provider(&kms))?;
    hdfs.encryption_zone(kdc, ZONE, "demo-key")?;
    Ok((kms, hdfs))
}

fn joined<T>(name: &str, started: thread::Result<std::result::Result<T, Error>>) -> Result<T> {
    let started = started.map_err(|_| Failure::new(format!("the thread that starts {name} panicked")))?;
    started.doing(|| format!("starting {name}"))
}
