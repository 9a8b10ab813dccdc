//! What the mock answers: the ends of paths, each with the dialect in which it speaks and fails.
//!
//! Only the end of a path counts, so that any base path works, with a version in it or without.

use super::error::{Failure, unknown_path};
use super::{
    Hints, MockReply, MockRequest, chat, cohere, complete, converse, embeddings, images, moderations, rerank,
    speak, transcribe,
};
use crate::dialect::Dialect;

/// A request on its way to who answers it.
pub(super) struct Ask<'a> {
    pub(super) request: &'a MockRequest<'a>,
    pub(super) hints: &'a Hints,
    pub(super) dialect: Dialect,
}

type Answer = fn(&Ask<'_>) -> Result<MockReply, Failure>;

/// The first row whose end fits answers.
const ENDPOINTS: [(&str, Dialect, Answer); 20] = {
    use Dialect as D;
    [
        ("/chat/completions", D::OpenAiChat, chat::answer),
        ("/completions", D::OpenAi, complete::answer),
        ("/responses", D::OpenAiResponses, converse::answer),
        ("/messages", D::Anthropic, converse::answer),
        ("/messages/count_tokens", D::Anthropic, converse::count),
        (":generateContent", D::Gemini, converse::answer),
        (":streamGenerateContent", D::Gemini, converse::answer),
        (":countTokens", D::Gemini, converse::count),
        ("/v2/chat", D::Cohere, cohere::chat),
        ("/v2/embed", D::Cohere, cohere::embed),
        ("/v2/rerank", D::Cohere, rerank::answer),
        ("/rerank", D::OpenAi, rerank::answer),
        ("/embeddings", D::OpenAi, embeddings::answer),
        ("/images/generations", D::OpenAi, images::answer),
        ("/images/edits", D::OpenAi, images::edit),
        ("/audio/transcriptions", D::OpenAi, transcribe::answer),
        ("/audio/translations", D::OpenAi, transcribe::translate),
        ("/audio/speech", D::OpenAi, speak::answer),
        ("/moderations", D::OpenAi, moderations::answer),
        ("/models", D::OpenAi, super::wire::list_models),
    ]
};

/// Answers one request.
pub(super) fn answer(request: &MockRequest<'_>, hints: &Hints) -> MockReply {
    let path = request.path();
    let method = if path.ends_with("/models") { "GET" } else { "POST" };
    let found = ENDPOINTS.iter().find(|(end, ..)| path.ends_with(end) && request.method == method);
    let Some((_, dialect, answer)) = found else {
        return Failure::from(unknown_path(request.method, path)).reply(Dialect::OpenAi);
    };
    let ask = Ask { request, hints, dialect: *dialect };
    answer(&ask).unwrap_or_else(|failure| failure.reply(*dialect))
}
