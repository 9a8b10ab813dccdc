//! Networks of addresses: `10.0.0.0/8`, or one address alone.
//!
//! An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address here, on both sides of a
//! comparison: a socket that takes both kinds reports the former where an operator means the latter.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, de::Error};

/// The bits before the IPv4 address in `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// What a text that is no network is answered.
pub(super) const EXPECTED: &str = "expected an IP address or a network, such as \"10.0.0.0/8\"";

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address.
    pub fn parse(text: &str) -> Option<Self> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
        Some(Self(match network {
            IpNet::V6(v6) => match v6.addr().to_ipv4_mapped() {
                Some(v4) if v6.prefix_len() >= MAPPED_BITS => {
                    IpNet::V4(Ipv4Net::new(v4, v6.prefix_len() - MAPPED_BITS).ok()?)
                }
                _ => network,
            },
            IpNet::V4(_) => network,
        }))
    }

    /// Whether the address lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(text.trim()).ok_or_else(|| D::Error::custom(EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_its_network_however_both_are_written() {
        for (network, address, is_inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "11.1.1.1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("::/0", "203.0.113.9", false),
        ] {
            let (cidr, address) = (Cidr::parse(network).unwrap(), address.parse().unwrap());
            assert_eq!(cidr.contains(address), is_inside, "{address} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0", "::/129", "localhost", "10.0.0.0/-1", "10.0.0.1:80"] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
