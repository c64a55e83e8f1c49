//! The STS endpoint of a region.

/// The domain of a region's partition, by the prefix of the region's name. The last is the default.
const PARTITIONS: [(&str, &str); 8] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isof-", "csp.hci.ic.gov"),
    ("", "amazonaws.com"),
];

/// The regional endpoint. The global one, `https://sts.amazonaws.com`, must be set explicitly: its session tokens
/// are not valid in all regions.
pub(crate) fn of_region(region: &str) -> String {
    let domain = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, d)| d);
    format!("https://sts.{region}.{domain}/")
}

#[cfg(test)]
mod tests {
    use super::of_region;

    #[test]
    fn endpoint_domain_depends_on_the_partition() {
        assert_eq!(of_region("eu-west-1"), "https://sts.eu-west-1.amazonaws.com/");
        assert_eq!(of_region("us-gov-west-1"), "https://sts.us-gov-west-1.amazonaws.com/");
        assert_eq!(of_region("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn/");
        assert_eq!(of_region("eusc-de-east-1"), "https://sts.eusc-de-east-1.amazonaws.eu/");
        assert_eq!(of_region("us-isob-east-1"), "https://sts.us-isob-east-1.sc2s.sgov.gov/");
    }
}
