//! Address ranges from which a key may be used.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::List;

/// Address ranges (CIDR, RFC 4632 and RFC 4291 section 2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Networks {
    /// Any of these; an empty list allows no address.
    Ranges(List<IpNet>),
    /// One of them could not be read, so none can be trusted: it may have been the strictest.
    Unreadable,
}

impl Networks {
    /// Reads ranges. A bare address is a range of one.
    pub fn parse<'a>(ranges: impl IntoIterator<Item = &'a str>) -> Self {
        ranges
            .into_iter()
            .map(parse_range)
            .collect::<Option<List<_>>>()
            .map_or(Self::Unreadable, Self::Ranges)
    }

    /// Whether an address is in one of the ranges. An IPv4 address that came as IPv6 (`::ffff:192.0.2.1`,
    /// RFC 4291 section 2.5.5.2) is the IPv4 address.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Ranges(ranges) => ranges.iter().any(|range| range.contains(&address)),
            Self::Unreadable => false,
        }
    }
}

/// Reads one range; a range of IPv4-mapped IPv6 addresses becomes the IPv4 range that it means. The parts are read by
/// the standard library: what `IpNet` has for the whole would be a second reader of addresses in the module, and one
/// that takes octets with zeros before them, which others read as octal.
fn parse_range(text: &str) -> Option<IpNet> {
    let range = match text.split_once('/') {
        Some((_, length)) if length.starts_with('+') => return None,
        Some((address, length)) => IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()?,
        None => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    match (range.addr().to_canonical(), range.addr()) {
        (IpAddr::V4(mapped), IpAddr::V6(_)) => {
            let length = range.prefix_len().checked_sub(96)?;
            IpNet::new(IpAddr::V4(mapped), length).ok()
        }
        _ => Some(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    fn contain(ranges: &[&str], address: &str) -> bool {
        Networks::parse(ranges.iter().copied()).contain(address.parse().unwrap())
    }

    #[test]
    fn addresses_are_in_their_ranges() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            assert!(contain(&[range], inside), "{range} {inside}");
            assert!(!contain(&[range], outside), "{range} {outside}");
            assert!(
                contain(&["203.0.113.0/24", range], inside),
                "{range} {inside}"
            );
        }
        assert!(!contain(&[], "127.0.0.1"));
    }

    #[test]
    fn one_unreadable_range_closes_all() {
        for broken in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "2001:db8::/129",
            "10.0.0",
            "localhost",
            "10.0.0.0/8 ",
            "::ffff:0:0/90",
        ] {
            assert_eq!(
                Networks::parse(["0.0.0.0/0", broken]),
                Networks::Unreadable,
                "{broken}"
            );
            assert!(!contain(&["0.0.0.0/0", broken], "10.0.0.1"));
        }
    }
}
