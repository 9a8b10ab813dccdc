//! Anthropic's Messages, read and written for both sides: requests, whole answers, streams and errors.
//!
//! Wire facts: Anthropic's API reference, "Messages" and "Streaming messages", checked against recorded exchanges. A
//! thought goes back to Anthropic only with the signature that Anthropic gave it; everybody else's are left out there.

mod answer;
mod arguments;
mod citation;
mod content;
mod events;
mod frames;
mod model;
mod plan;
mod read;
mod refusal;
mod settings;
mod turns;
mod usage;
mod wire;
mod write;

pub use answer::{read_reply, write_reply};
pub use events::StreamReader;
pub use frames::StreamWriter;
pub use read::read_request;
pub use refusal::read_error;
pub use turns::refuse_silence;
pub use write::write_request;

#[cfg(test)]
mod tests;
