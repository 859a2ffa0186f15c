//! From which networks a key is used: addresses cut so short that they name nobody.

use std::net::IpAddr;

use super::add;

/// Networks that are told apart of one key in a report. What comes from others is counted together.
const TOLD_APART: usize = 8;

/// An address, as much of it as is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// The first 24 bits of an IPv4 address.
    V4([u8; 3]),
    /// The first 48 bits of an IPv6 address.
    V6([u16; 3]),
    /// One network too many, or no IP address.
    Other,
}

impl Network {
    /// The network of an address.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, ..] = address.segments();
                Self::V6([a, b, c])
            }
            None => Self::Other,
        }
    }

    /// As it is reported: in the form of RFC 5952 section 4 with its length.
    pub(super) fn text(self) -> String {
        match self {
            Self::V4([a, b, c]) => format!("{a}.{b}.{c}.0/24"),
            Self::V6(segments) => {
                // The zeros behind the network are the longest row of them: those before join it.
                let used = segments.iter().rposition(|segment| *segment != 0);
                let used = used.map_or(0, |last| last.saturating_add(1));
                let mut text = String::new();
                for segment in segments.iter().take(used) {
                    if !text.is_empty() {
                        text.push(':');
                    }
                    text.push_str(&format!("{:x}", u64::from(*segment)));
                }
                text.push_str("::/48");
                text
            }
            Self::Other => "other".to_owned(),
        }
    }

    /// Counts requests that came from here.
    pub(super) fn count(self, requests: u64, counts: &mut Vec<(Self, u64)>) {
        let others = counts.iter().filter(|(known, _)| *known != Self::Other);
        let is_known = counts.iter().any(|(known, _)| *known == self);
        if is_known || others.count() < TOLD_APART {
            add(counts, self, requests);
        } else {
            add(counts, Self::Other, requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::test;

    #[test]
    fn an_address_is_cut_to_its_network_as_it_is_commonly_written() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8:7:1:2:3:4:5", "2001:db8:7::/48"),
            ("2001:db8:0:1::5", "2001:db8::/48"),
            ("2001:0:7::", "2001:0:7::/48"),
            ("0:0:7::1", "0:0:7::/48"),
            ("fe80::1", "fe80::/48"),
            ("::1", "::/48"),
        ] {
            let told = Network::of(Some(address.parse().unwrap())).text();
            assert_eq!(told, network, "{address}");
            // What a well-kept library makes of it, which would be larger in the module.
            let parsed: ipnet::IpNet = told.parse().unwrap();
            assert_eq!(parsed.to_string(), told);
            assert_eq!(parsed.trunc(), parsed);
        }
        assert_eq!(Network::of(None).text(), "other");
    }

    #[test]
    fn eight_networks_are_told_apart_and_the_rest_is_counted_together() {
        let mut counts = Vec::new();
        let network = |at: u8| Network::V4([10, 0, at]);
        Network::Other.count(1, &mut counts);
        for at in 0..20 {
            network(at).count(2, &mut counts);
        }
        network(0).count(5, &mut counts);
        assert_eq!(counts.len(), TOLD_APART + 1);
        let of = |wanted| counts.iter().find(|(known, _)| *known == wanted).unwrap().1;
        assert_eq!([network(0), network(7), Network::Other].map(of), [7, 2, 25]);
    }
}
