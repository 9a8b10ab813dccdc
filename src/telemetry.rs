//! What the gateway tells about itself: the log, and one line per exchange.

pub mod access_log;
pub mod log_writer;
