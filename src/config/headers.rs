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
