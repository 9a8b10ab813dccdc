//! A conversation as a coding assistant has it: many turns of prose with escapes, tools with schemas, calls and results.

use aisix::dialect::Dialect;
use aisix::dialect::chat::{Dropped, Stamp};
use aisix::dialect::codec::{Target, read_request, write_request};
use aisix::dialect::openai_chat::neutral::Manners;
use aisix::dialect::raw::RawObject;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// Each turn brings about a kibibyte.
const TURNS: usize = 22;
const PROSE: &str = "The handler reads \"config.toml\" first.\n\nThen it:\n\t1. checks every key, and\n\t2. says \
    what's wrong: `models[2].provider_key` isn't known.\n\nSo the path C:\\gateway\\etc has to be given as well. ";
const CODE: &str = "fn main() {\n    let name = \"world\";\n    println!(\"hello, {name}\");\n}\n";

/// What the gateway says of itself.
pub fn stamp() -> Stamp {
    Stamp {
        model: "\"bench\"".into(),
        id: "0123456789abcdef".into(),
        created: 1_750_000_000,
        wants_usage: true,
        ..Stamp::default()
    }
}

fn tool(number: usize) -> Value {
    let property =
        |name: &str| json!({ "type": "string", "description": format!("The {name} to look at, \"as is\".") });
    json!({ "type": "function", "function": {
        "name": format!("tool_{number}"),
        "description": "Reads a file.\nFails when it is a folder.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": property("path"),
                "range": { "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 2 },
                "mode": { "type": "string", "enum": ["text", "bytes"] },
                "reason": property("reason"),
            },
            "required": ["path"],
            "additionalProperties": false,
        },
    }})
}

/// The conversation in OpenAI's chat dialect, about 32 KiB.
pub fn chat() -> Bytes {
    let mut messages = vec![json!({ "role": "system", "content": PROSE.repeat(4) })];
    for turn in 0..TURNS {
        let id = format!("call_{turn:024}");
        let arguments =
            json!({ "path": format!("src/file_{turn}.rs"), "range": [1, 40], "reason": "It \"fails\"." });
        let call = json!({ "id": id, "type": "function", "function": {
            "name": format!("tool_{}", turn % 6), "arguments": arguments.to_string(),
        }});
        messages.push(json!({ "role": "user", "content": format!("{turn}. {PROSE}") }));
        messages.push(json!({ "role": "assistant", "content": PROSE, "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": CODE.repeat(3) }));
        messages.push(json!({ "role": "assistant", "content": PROSE }));
    }
    messages.push(json!({ "role": "user", "content": "And now?" }));
    let tools: Vec<_> = (0..6).map(tool).collect();
    let body = json!({
        "model": "bench", "messages": messages, "tools": tools, "tool_choice": "auto", "temperature": 0.2,
        "max_tokens": 4096, "stream": true,
    });
    body.to_string().into()
}

/// The same conversation in a caller's dialect.
pub fn in_dialect(caller: Dialect) -> Bytes {
    let body = chat();
    if caller == Dialect::OpenAiChat {
        return body;
    }
    translate(Dialect::OpenAiChat, caller, body, "bench")
}

/// What the gateway does to a request whose two sides differ.
pub fn translate(caller: Dialect, provider: Dialect, body: Bytes, model: &str) -> Bytes {
    let object = RawObject::parse(body).expect("an object");
    let mut dropped = Dropped::default();
    let mut out = BytesMut::with_capacity(object.bytes().len() + object.bytes().len() / 8 + 256);
    let target = Target { model, manners: Manners::default() };
    let conversation = read_request(caller, &object, &mut dropped).expect("a conversation");
    write_request(provider, &conversation, &target, &mut dropped, &mut out).expect("a request");
    out.freeze()
}

/// What the gateway does to a request whose two sides agree.
pub fn patch(body: Bytes) -> Bytes {
    RawObject::parse(body).expect("an object").with(&[("model", "\"own-name\"")])
}
