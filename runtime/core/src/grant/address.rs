//! Classes of addresses, and the networks that an operator permits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// The class of an address. Every class but public needs a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// 169.254.0.0/16, fe80::/10
    LinkLocal,
    /// 127.0.0.0/8, ::1
    Loopback,
    /// Cloud metadata services, which give credentials to any caller: 169.254.169.254 and similar. In no other class.
    Metadata,
    /// 224.0.0.0/4, ff00::/8
    Multicast,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7
    Private,
    /// All other addresses.
    Public,
    /// Unspecified, broadcast, documentation, benchmarking, reserved, and IPv6 forms that hide an IPv4 address from a
    /// reader (NAT64, 6to4, Teredo, IPv4-compatible).
    Reserved,
}

/// A network that an operator permits for a rule: a class by its name, or a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// `10.1.0.0/16`, `192.168.1.7`
    Block(IpNet),
    /// `loopback`, `private`, `link-local`, `multicast`, `metadata`
    Class(AddressClass),
}

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a network: write \"loopback\", \"private\", \"link-local\", \"multicast\", \"metadata\", \
     or a block without host bits such as \"10.1.0.0/16\""
)]
pub struct NetworkError;

/// The addresses that cloud providers document for their metadata services. None of them is public, but in `private` or
/// `link-local` networks, which operators permit for other reasons.
const METADATA: [IpAddr; 18] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), // AWS, Azure, Google, Oracle, DigitalOcean and most others
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 252)), // Google Kubernetes Engine
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),   // AWS ECS tasks
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),  // AWS EKS Pod Identity
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),   // Scaleway
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),    // Tencent
    IpAddr::V4(Ipv4Addr::new(169, 254, 10, 10)),   // Tencent
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure's wire server
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle Cloud Classic
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // AWS
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), // AWS EKS Pod Identity
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), // Google
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), // Oracle
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)), // Scaleway
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200)), // Alibaba
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1)), // Akamai
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)), // OpenStack, Huawei, Akamai
];

/// Special-purpose blocks of the IANA registries by class. The first one that contains the address decides.
const V4: [(Ipv4Addr, u8, AddressClass); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, AddressClass::Reserved),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressClass::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressClass::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, AddressClass::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressClass::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressClass::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressClass::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, AddressClass::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, AddressClass::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, AddressClass::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, AddressClass::Reserved),
    (Ipv4Addr::new(255, 255, 255, 255), 32, AddressClass::Reserved),
];

const V6: [(Ipv6Addr, u8, AddressClass); 10] = [
    (Ipv6Addr::LOCALHOST, 128, AddressClass::Loopback),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, AddressClass::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, AddressClass::Private),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressClass::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, AddressClass::Multicast),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, AddressClass::Reserved), // Teredo, ORCHID and others
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, AddressClass::Reserved),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, AddressClass::Reserved), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, AddressClass::Reserved), // documentation, RFC 9637
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, AddressClass::Public),
];

impl AddressClass {
    /// An IPv4-mapped IPv6 address has the class of the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(v4) => block(&V4, |net, bits| within(v4.to_bits().into(), net.to_bits().into(), bits + 96)),
            // Any other address outside 2000::/3 (IPv4-compatible, NAT64, unallocated) is reserved.
            IpAddr::V6(v6) => {
                block(&V6, |net, bits| within(v6.to_bits(), net.to_bits(), bits)).or(Some(Self::Reserved))
            }
        }
        .unwrap_or(Self::Public)
    }

    /// The name in configuration and audit events.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Private => "private",
            Self::Public => "public",
            Self::Reserved => "reserved",
        }
    }
}

fn block<A: Copy>(blocks: &[(A, u8, AddressClass)], contains: impl Fn(A, u8) -> bool) -> Option<AddressClass> {
    blocks.iter().find(|(net, bits, _)| contains(*net, *bits)).map(|(_, _, class)| *class)
}

/// Whether the first `bits` of two 128-bit addresses agree; IPv4 addresses are 128 bits with 96 leading zeros.
fn within(address: u128, net: u128, bits: u8) -> bool {
    (address ^ net).leading_zeros() >= u32::from(bits)
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Network {
    /// Whether the network contains the address. A metadata address needs its class or a block of one address, so that
    /// `link-local` or `private` does not include it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let class = AddressClass::of(address);
        match self {
            Self::Block(block) if class == AddressClass::Metadata => {
                block.prefix_len() == block.max_prefix_len() && block.contains(&address)
            }
            Self::Block(block) => block.contains(&address),
            Self::Class(own) => *own == class,
        }
    }

    /// The narrowest network of the configuration that contains this address.
    pub fn opening(address: IpAddr) -> String {
        match AddressClass::of(address) {
            AddressClass::Reserved | AddressClass::Public => IpNet::from(address.to_canonical()).to_string(),
            class => class.to_string(),
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let class = match text {
            "link-local" => AddressClass::LinkLocal,
            "loopback" => AddressClass::Loopback,
            "metadata" => AddressClass::Metadata,
            "multicast" => AddressClass::Multicast,
            "private" => AddressClass::Private,
            _ => return block_of(text).map(Self::Block).ok_or(NetworkError),
        };
        Ok(Self::Class(class))
    }
}

fn block_of(text: &str) -> Option<IpNet> {
    let block = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    (block.trunc() == block && block.addr().to_canonical() == block.addr()).then_some(block)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Class(class) => class.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        AddressClass::of(text.parse().unwrap())
    }

    #[test]
    fn address_class_boundaries_match_the_iana_registry() {
        use AddressClass::*;
        for (text, expected) in [
            ("0.0.0.0", Reserved),
            ("0.255.255.255", Reserved),
            ("1.0.0.0", Public),
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", Private),
            ("100.127.255.255", Private),
            ("100.128.0.0", Public),
            ("126.255.255.255", Public),
            ("127.0.0.0", Loopback),
            ("127.255.255.255", Loopback),
            ("128.0.0.0", Public),
            ("169.253.255.255", Public),
            ("169.254.0.0", LinkLocal),
            ("169.254.255.255", LinkLocal),
            ("169.255.0.0", Public),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.0.0.8", Reserved),
            ("192.0.1.0", Public),
            ("192.0.2.1", Reserved),
            ("192.0.3.0", Public),
            ("192.88.99.1", Reserved),
            ("192.167.255.255", Public),
            ("192.168.0.0", Private),
            ("192.168.255.255", Private),
            ("192.169.0.0", Public),
            ("198.17.255.255", Public),
            ("198.18.0.0", Reserved),
            ("198.19.255.255", Reserved),
            ("198.20.0.0", Public),
            ("198.51.100.1", Reserved),
            ("203.0.113.1", Reserved),
            ("223.255.255.255", Public),
            ("224.0.0.0", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.0", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("::2", Reserved),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("fbff::1", Reserved),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("ff02::1", Multicast),
            ("1fff::1", Reserved),
            ("2000::1", Public),
            ("2001::1", Reserved),
            ("2001:1ff::1", Reserved),
            ("2001:200::1", Public),
            ("2001:db8::1", Reserved),
            ("2001:db9::1", Public),
            ("2002:7f00:1::", Reserved),
            ("2003::1", Public),
            ("3ffe:ffff::1", Public),
            ("3fff::1", Reserved),
            ("3fff:fff:ffff::1", Reserved),
            ("3fff:1000::1", Public),
            ("3fff:ffff::1", Public),
            ("4000::1", Reserved),
            ("64:ff9b::7f00:1", Reserved),
            ("::127.0.0.1", Reserved),
            ("2606:4700::1111", Public),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn address_ipv4_embedded_in_ipv6_is_classified_as_ipv4() {
        assert_eq!(class("::ffff:127.0.0.1"), AddressClass::Loopback);
        assert_eq!(class("::ffff:169.254.169.254"), AddressClass::Metadata);
        assert_eq!(class("::ffff:8.8.8.8"), AddressClass::Public);
        let loopback: Network = "127.0.0.0/8".parse().unwrap();
        assert!(loopback.contains("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn address_metadata_of_each_cloud_is_known() {
        for text in [
            "169.254.169.254",
            "169.254.42.42",
            "169.254.0.23",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:100::100:200",
            "fd00:a9fe:a9fe::1",
            "fe80::a9fe:a9fe",
            "::ffff:169.254.0.23",
        ] {
            assert_eq!(class(text), AddressClass::Metadata, "{text}");
        }
    }

    #[test]
    fn address_metadata_is_allowed_by_no_other_network() {
        for address in METADATA {
            for text in [
                "link-local",
                "private",
                "169.254.0.0/16",
                "169.254.169.254/31",
                "fd00::/8",
                "fe80::/10",
                "0.0.0.0/0",
                "::/0",
            ] {
                assert!(!text.parse::<Network>().unwrap().contains(address), "{text} {address}");
            }
            assert!("metadata".parse::<Network>().unwrap().contains(address));
            assert!(address.to_string().parse::<Network>().unwrap().contains(address));
        }
        assert!(!"metadata".parse::<Network>().unwrap().contains("169.254.1.1".parse().unwrap()));
    }

    #[test]
    fn address_network_survives_the_round_trip() {
        for text in [
            "loopback",
            "private",
            "link-local",
            "multicast",
            "metadata",
            "10.1.0.0/16",
            "fd00:1::/32",
            "192.168.1.7/32",
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("192.168.1.7".parse::<Network>().unwrap().to_string(), "192.168.1.7/32");
    }

    #[test]
    fn address_block_in_an_ambiguous_form_is_rejected() {
        for text in [
            "",
            "public",
            "reserved",
            "10.1.2.3/16",
            "10.0.0.0/33",
            "10/8",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.1",
            "example.com",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }

    #[test]
    fn address_suggested_network_allows_the_address() {
        for text in [
            "127.0.0.1",
            "10.1.1.1",
            "169.254.1.1",
            "169.254.169.254",
            "224.0.0.1",
            "0.0.0.0",
            "::1",
            "64:ff9b::1",
            "::ffff:10.0.0.1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let opening: Network = Network::opening(address).parse().unwrap();
            assert!(opening.contains(address), "{opening} {address}");
        }
    }
}
