//! Whether this machine has a network at all, by the kernel's tables of routes.

use std::path::Path;

use deputy_files::{ambient, fill};

/// As much of a table as is read: the first routes say enough.
const READ: usize = 64 << 10;

/// Whether there is a route to another machine. `true` where the kernel does not say.
pub(crate) fn is_there() -> bool {
    match (table("/proc/net/route"), table("/proc/net/ipv6_route")) {
        (None, None) => true,
        (ipv4, ipv6) => ipv4.is_some_and(|text| has_route(&text)) || ipv6.is_some_and(|text| has_ipv6_route(&text)),
    }
}

fn table(path: &str) -> Option<String> {
    let mut text = vec![0; READ];
    let length = fill(ambient::open_file(Path::new(path)).ok()?, &mut text).ok()?;
    text.get(..length).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// A heading, and then a line for each route that begins with its interface.
fn has_route(table: &str) -> bool {
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).any(|interface| interface != "lo")
}

/// A line for each route, which begins with its destination and ends with its interface. Each interface has routes to its
/// own link and to multicast groups.
fn has_ipv6_route(table: &str) -> bool {
    table.lines().any(|line| {
        let is_own = line.starts_with("fe80") || line.starts_with("ff");
        !is_own && line.split_whitespace().next_back().is_some_and(|interface| interface != "lo")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_there_with_a_route_beyond_this_machine() {
        let heading = "Iface\tDestination\tGateway\n";
        assert!(!has_route(heading) && !has_route(&format!("{heading}lo\t0000007F\t00000000\n")));
        assert!(has_route(&format!("{heading}eth0\t00000000\t010011AC\n")));
        let zeros = "0".repeat(32);
        let own = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n\
            fe80{} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001 eth0\n",
            "0".repeat(28)
        );
        assert!(!has_ipv6_route(&own), "{own}");
        assert!(has_ipv6_route(&format!(
            "{own}{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 00000003 eth0"
        )));
    }
}
