//! One conversation patched or translated a number of times, for counting instructions:
//!
//!     valgrind --tool=callgrind --toggle-collect='*translate_once::measured*' \
//!         target/quick/examples/translate_once chat anthropic 10
//!
//! Unlike time, instructions do not depend on what else the machine does. The same dialect twice is patched.

use std::hint::black_box;
use std::process::exit;

use aisix::dialect::Dialect;
use bytes::Bytes;

#[path = "dialect/conversation.rs"]
mod conversation;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [caller, provider, times] = words.as_slice() else {
        exit(2);
    };
    let (caller, provider) = (dialect(caller), dialect(provider));
    let body = conversation::in_dialect(caller);
    let _ = conversation::stamp();
    for _ in 0..times.parse().unwrap_or(1) {
        black_box(measured(caller, provider, body.clone()));
    }
}

#[inline(never)]
fn measured(caller: Dialect, provider: Dialect, body: Bytes) -> Bytes {
    match caller == provider {
        true => conversation::patch(body),
        false => conversation::translate(caller, provider, body, "own-name"),
    }
}

fn dialect(word: &str) -> Dialect {
    match word {
        "chat" => Dialect::OpenAiChat,
        "responses" => Dialect::OpenAiResponses,
        "anthropic" => Dialect::Anthropic,
        "gemini" => Dialect::Gemini,
        "cohere" => Dialect::Cohere,
        _ => exit(2),
    }
}
