//! Who a caller says that it is: its `User-Agent`, its trace.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, USER_AGENT};

use crate::telemetry::record::Client;

/// The header that continues a trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a request tells of its caller.
#[must_use]
pub fn of(request: &HttpRequest) -> Client {
    let headers = request.headers();
    let mut traces = headers.get_all(TRACEPARENT);
    let traceparent = traces.next().filter(|_| traces.next().is_none()).cloned();
    Client {
        // Whom to believe about it is said by the configuration.
        ip: None,
        user_agent: headers.get(USER_AGENT).cloned(),
        traceparent,
    }
}
