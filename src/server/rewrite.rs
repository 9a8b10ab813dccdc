//! URL rewrites (§14.7): a request of the proxy gets its new path before anything looks at the old one.
//!
//! Everything that follows (routing, authentication, limits, records) sees a request that was sent to the new path, so
//! a rule can neither pass nor skip anything.

use actix_http::uri::{PathAndQuery, Uri};
use actix_web::dev::ServiceRequest;

use crate::config::settings::{UrlRewrite, rewritten};

/// Gives a request the path that the rules make of its own.
pub(super) fn rewrite(rules: &[UrlRewrite], request: &mut ServiceRequest) {
    if rules.is_empty() {
        return;
    }
    if let Some(uri) = new_uri(rules, request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// The address with its new path and its own query; nothing where no rule matches, or the path would be too long.
fn new_uri(rules: &[UrlRewrite], uri: &Uri) -> Option<Uri> {
    let mut target = rewritten(rules, uri.path())?;
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}
