//! Where a request comes from (§1.8): the peer, or whom a trusted proxy says that it speaks for.
//!
//! A header is only as good as the peer that sent it. Whoever is not a trusted proxy may write what it likes into
//! `X-Forwarded-For` and is still known by its own address.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::config::settings::RealIp;

/// The address of a request's caller; `None` where the socket has none.
#[must_use]
pub fn of(settings: &RealIp, request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| resolve(settings, peer.ip(), request.headers()))
}

/// The address of the caller for whom a peer speaks with these headers.
#[must_use]
pub fn resolve(settings: &RealIp, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| settings.trusted_proxies.iter().any(|proxy| proxy.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let fields = headers.get_all(settings.header.as_str());
    let entries = fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).filter_map(address);
    let (mut first, mut last, mut last_untrusted) = (None, None, None);
    for entry in entries {
        first = first.or(Some(entry));
        last = Some(entry);
        if settings.recursive && !is_trusted(entry) {
            last_untrusted = last;
        }
    }
    let named = if settings.recursive { last_untrusted.or(first) } else { last };
    named.unwrap_or(peer)
}

/// The address of an entry, without its port; entries of any other form are passed over.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|addr| addr.ip()));
    address.or_else(bare).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::cidr::Cidr;

    const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");

    #[track_caller]
    fn check(is_recursive: bool, peer: &str, fields: &[&[u8]], expected: &str) {
        let settings = RealIp {
            trusted_proxies: ["10.0.0.0/8", "2001:db8::/32"].into_iter().filter_map(Cidr::parse).collect(),
            recursive: is_recursive,
            ..RealIp::default()
        };
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(NAME, HeaderValue::from_bytes(field).expect("legal"));
        }
        let peer = peer.parse().expect("an address");
        let shown: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
        let found = resolve(&settings, peer, &headers);
        assert_eq!(found, expected.parse::<IpAddr>().expect("an address"), "{peer} {shown:?}");
    }

    #[test]
    fn an_untrusted_peer_is_the_caller_whatever_it_says() {
        for is_recursive in [false, true] {
            check(is_recursive, "192.0.2.1", &[b"203.0.113.9"], "192.0.2.1");
            check(is_recursive, "::ffff:192.0.2.1", &[b"203.0.113.9"], "192.0.2.1");
            check(is_recursive, "2001:db9::1", &[b"10.0.0.1"], "2001:db9::1");
        }
    }

    #[test]
    fn a_trusted_proxy_names_the_last_entry() {
        for (fields, expected) in [
            (&[&b"203.0.113.9"[..]][..], "203.0.113.9"),
            (&[b"203.0.113.9, 198.51.100.4"], "198.51.100.4"),
            (&[b"203.0.113.9, 10.0.0.2"], "10.0.0.2"),
            (&[b"203.0.113.9", b"198.51.100.4,198.51.100.5"], "198.51.100.5"),
            (&[b"203.0.113.9:4711"], "203.0.113.9"),
            (&[b"[2001:db9::7]:4711"], "2001:db9::7"),
            (&[b"[2001:db9::7]"], "2001:db9::7"),
            (&[b"2001:db9::7"], "2001:db9::7"),
            (&[b"::ffff:203.0.113.9"], "203.0.113.9"),
            (&[b"203.0.113.9, unknown"], "203.0.113.9"),
            (&[b"203.0.113.9, \xff, , 1.2.3, 1.2.3.4:x, [::1, 1.2.3.4:99999"], "203.0.113.9"),
            (&[b"unknown, _hidden"], "10.0.0.1"),
            (&[b""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            check(false, "10.0.0.1", fields, expected);
        }
        check(false, "::ffff:10.0.0.1", &[b"203.0.113.9"], "203.0.113.9");
    }

    #[test]
    fn recursively_trusted_proxies_are_passed_over() {
        for (fields, expected) in [
            (&[&b"203.0.113.9, 10.0.0.2"[..]][..], "203.0.113.9"),
            (&[b"192.0.2.66, 203.0.113.9, 10.0.0.2, 2001:db8::1"], "203.0.113.9"),
            (&[b"203.0.113.9", b"10.0.0.3", b"10.0.0.2:80"], "203.0.113.9"),
            (&[b"203.0.113.9, unknown, 10.0.0.2"], "203.0.113.9"),
            (&[b"10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.4"),
            (&[b"unknown"], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            check(true, "10.0.0.1", fields, expected);
        }
    }
}
