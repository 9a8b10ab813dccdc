//! The objects of the dialect, as far as they are understood.
//!
//! Members whose type depends on where they stand are raw; whoever knows the place reads them.

use super::super::json::Text;
use super::super::json::shape::{Json, TextOr, shape};
use super::super::whole::Whole;

shape! {
    /// One entry of `messages`.
    Message {
        "role" => role: Text<'a>,
        "content" => content: TextOr<'a, Block<'a>>,
    }
    /// A block of content, of every type.
    Block {
        "type" => kind: Text<'a>,
        "cache_control" => cache: CacheControl<'a>,
        "text" => text: Text<'a>,
        "citations" => citations: Json<'a>,
        "source" => source: Json<'a>,
        "title" => title: Text<'a>,
        "context" => context: Text<'a>,
        "id" => id: Text<'a>,
        "name" => name: Text<'a>,
        "input" => input: Json<'a>,
        "caller" => caller: Json<'a>,
        "tool_use_id" => tool_use_id: Text<'a>,
        "content" => content: Json<'a>,
        "is_error" => is_error: bool,
        "thinking" => thinking: Text<'a>,
        "signature" => signature: Text<'a>,
        "data" => data: Text<'a>,
    }
    /// A mark for the cache.
    CacheControl {
        "type" => kind: Text<'a>,
        "ttl" => ttl: Text<'a>,
    }
    /// Where an image or a document is.
    SourceBlock {
        "type" => kind: Text<'a>,
        "media_type" => media_type: Text<'a>,
        "data" => data: Text<'a>,
        "url" => url: Text<'a>,
        "file_id" => file_id: Text<'a>,
        "content" => content: TextOr<'a, Block<'a>>,
    }
    /// An object of which only a switch matters.
    Switch {
        "type" => kind: Text<'a>,
        "enabled" => enabled: bool,
    }
    /// A tool.
    ToolBlock {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "input_schema" => input_schema: Json<'a>,
        "strict" => strict: bool,
        "cache_control" => cache: CacheControl<'a>,
    }
    /// Which tool to call.
    Choice {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
        "disable_parallel_tool_use" => disable_parallel: bool,
    }
    /// How to think.
    ThinkingBlock {
        "type" => kind: Text<'a>,
        "budget_tokens" => budget: Whole,
        "display" => display: Text<'a>,
    }
    /// What the answer is to be like.
    OutputConfig {
        "effort" => effort: Text<'a>,
        "format" => format: FormatBlock<'a>,
    }
    /// The form of the answer.
    FormatBlock {
        "type" => kind: Text<'a>,
        "schema" => schema: Json<'a>,
    }
    /// About the request.
    Metadata {
        "user_id" => user: Text<'a>,
    }
    /// A conversation that the server remembers, and whether it begins or goes on.
    Thread {
        "type" => kind: Text<'a>,
    }
    /// The part of a tool's schema that Anthropic insists on.
    SchemaType {
        "type" => kind: Json<'a>,
    }
    /// A whole answer, or the beginning of a streamed one.
    MessageReply {
        "type" => kind: Text<'a>,
        "id" => id: Text<'a>,
        "model" => model: Text<'a>,
        "content" => content: Vec<Block<'a>>,
        "stop_reason" => stop_reason: Text<'a>,
        "stop_sequence" => stop_sequence: Text<'a>,
        "usage" => usage: Json<'a>,
        "error" => error: Json<'a>,
    }
    /// An event of a stream, of every type.
    StreamEvent {
        "type" => kind: Text<'a>,
        "index" => index: Whole,
        "message" => message: Json<'a>,
        "content_block" => block: Json<'a>,
        "delta" => delta: Delta<'a>,
        "usage" => usage: Json<'a>,
        "error" => error: Json<'a>,
    }
    /// What an event adds.
    Delta {
        "type" => kind: Text<'a>,
        "text" => text: Text<'a>,
        "partial_json" => partial_json: Text<'a>,
        "thinking" => thinking: Text<'a>,
        "signature" => signature: Text<'a>,
        "citation" => citation: Json<'a>,
        "stop_reason" => stop_reason: Text<'a>,
        "stop_sequence" => stop_sequence: Text<'a>,
    }
    /// Where a statement comes from, of every type.
    CitationBlock {
        "cited_text" => cited_text: Text<'a>,
        "url" => url: Text<'a>,
        "source" => source: Text<'a>,
        "title" => title: Text<'a>,
        "document_title" => document_title: Text<'a>,
    }
    /// Tokens counted.
    UsageBlock {
        "input_tokens" => input: Whole,
        "cache_creation_input_tokens" => cache_creation: Whole,
        "cache_creation" => written: CacheCreation<'a>,
        "cache_read_input_tokens" => cache_read: Whole,
        "output_tokens" => output: Whole,
        "output_tokens_details" => details: OutputDetails<'a>,
    }
    /// For how long the tokens are kept that were written to the cache.
    CacheCreation {
        "ephemeral_1h_input_tokens" => hour: Whole,
    }
    /// Of which kinds the tokens received are.
    OutputDetails {
        "thinking_tokens" => thinking: Whole,
    }
    /// What an error body says.
    ErrorBody {
        "error" => error: Json<'a>,
        "message" => message: Json<'a>,
    }
    /// What an error says.
    ErrorBlock {
        "type" => kind: Text<'a>,
        "message" => message: Text<'a>,
        "details" => details: Json<'a>,
    }
    /// What a client decides by.
    ErrorDetails {
        "error_code" => code: Text<'a>,
    }
}
