//! OpenAI's Responses dialect, as its callers ask and as providers answer: requests, whole replies, streams and errors.
//!
//! Wire facts: OpenAI API reference, "Create a response", "The response object" and "Streaming events", checked against
//! recorded exchanges of OpenAI, Azure, xAI, DeepSeek, OpenRouter and Bedrock, which all speak it. Nothing here keeps
//! state between requests: what refers to an earlier answer by its id is refused, and reasoning travels encrypted.

mod echo;
mod failure;
mod media;
mod output;
mod read_input;
mod read_reply;
mod read_request;
mod reasoning;
mod shapes;
mod stream_reader;
mod stream_writer;
mod write_input;
mod write_reply;
mod write_request;

pub use echo::echo;
pub use failure::read_error;
pub use read_reply::{is_promise, read_reply};
pub use read_request::read_request;
pub use stream_reader::StreamReader;
pub use stream_writer::StreamWriter;
pub use write_reply::write_reply;
pub use write_request::write_request;

#[cfg(test)]
mod tests;
