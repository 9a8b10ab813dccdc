//! Names of HTTP headers that a configuration may mention, and those that it may not.

/// Headers that carry credentials or decide where a request goes; never set by configuration.
const RESERVED: [&str; 10] = [
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "x-amz-security-token",
    "x-amz-date",
    "x-amz-content-sha256",
    "proxy-authorization",
    "cookie",
    "host",
];

/// Headers that the gateway writes itself, or that describe the connection or the body.
const OWNED: [&str; 12] = [
    "x-aisix-request-id",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "accept-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Headers that say how one connection or one client works; never handed on.
const OF_THE_CLIENT: [&str; 6] =
    ["accept", "set-cookie", "traceparent", "tracestate", "user-agent", "proxy-connection"];

/// Beginnings of names that are never handed on.
const NEVER_FORWARDED: [&str; 3] = ["content-", "x-aisix-", "x-stainless-"];

/// Whether a caller's header, in lower case, may be handed on to a provider where the operator wants it.
#[must_use]
pub fn is_forwardable(name: &str) -> bool {
    let is_held_back = is_reserved(name) || is_owned(name) || OF_THE_CLIENT.contains(&name);
    !is_held_back && !NEVER_FORWARDED.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether `name` is a well-formed header name.
pub(super) fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Whether `value` may stand in a header: visible text, spaces and tabs.
pub(super) fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// Whether the lower-case `name` carries a credential or names the host.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether the lower-case `name` belongs to the gateway or to the connection.
pub(super) fn is_owned(name: &str) -> bool {
    OWNED.contains(&name)
}

/// Whether the lower-case `name` carries a trace.
pub(super) fn is_trace(name: &str) -> bool {
    matches!(name, "traceparent" | "tracestate")
}
