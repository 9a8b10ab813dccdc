//! Usage records and the access log.
