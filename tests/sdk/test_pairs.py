"""Everything that the gateway's codecs write, read with the official clients' own types.

The Rust tests (`tests/gateway/pairs`) put each recorded exchange into every other dialect and keep what they wrote in
`target/pairs`: requests for providers, whole replies and streams for callers, each with what it means. Here the clients
of OpenAI, Anthropic and Google validate it, put the streams together as they do for their users, and must show the same.
"""

import collections.abc
import json
import os
import pathlib
import sys

import anthropic.types
import openai.types.chat
import openai.types.responses
import pydantic
import pytest
from anthropic.types import message_create_params
from anthropic.lib.streaming._messages import accumulate_event
from google.genai import types as google
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "pairs"
RECORDINGS = ROOT / "../shared/recordings/index.json"
MOST_PROBLEMS = 40


def kept(name):
    """The lines of a file that the Rust tests wrote."""
    if not RECORDINGS.exists():
        pytest.skip(f"there are no recordings at {RECORDINGS}")
    path = FOLDER / f"{name}.jsonl"
    assert path.exists(), f"there is no {path}: run `cargo test --test gateway pairs` first"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) > 400, f"{path} holds only {len(lines)} lines"
    return lines


def check_all(name, checks):
    """Checks every line, and reports all problems together."""
    problems, count = [], 0
    for line in kept(name):
        check = checks.get(line["dialect"])
        if check is None:
            continue
        count += 1
        try:
            check(line)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"[:900]
            problems.append(f"{line['id']}, {line['from']} to {line['dialect']}: {words}")
    shown = "\n".join(problems[:MOST_PROBLEMS])
    assert not problems, f"{len(problems)} of {count} {name}:\n{shown}"
    assert count > 300, f"only {count} {name} were checked"


def same(line, **found):
    """What a client shows is what was meant."""
    for name, value in found.items():
        assert value == line["meaning"][name], f"{name}: {value!r}, and not {line['meaning'][name]!r}"


# ── whole replies


CHAT = pydantic.TypeAdapter(openai.types.chat.ChatCompletion)
RESPONSE = pydantic.TypeAdapter(openai.types.responses.Response)
MESSAGE = pydantic.TypeAdapter(anthropic.types.Message)


def chat_shows(line, completion):
    message = completion.choices[0].message
    assert completion.choices[0].finish_reason is not None
    calls = [[call.function.name, arguments(call.function.arguments)] for call in message.tool_calls or []]
    thoughts = getattr(message, "reasoning_content", None) or ""
    usage = completion.usage
    same(line, text=message.content or "", calls=calls, thoughts=thoughts)
    same(line, prompt=usage.prompt_tokens, completion=usage.completion_tokens)


def response_shows(line, response):
    items = response.output
    calls = [[item.name, arguments(item.arguments)] for item in items if item.type == "function_call"]
    thoughts = [part.text for item in items if item.type == "reasoning" for part in item.summary]
    usage = response.usage
    same(line, text=response.output_text, calls=calls, thoughts="".join(thoughts))
    same(line, prompt=usage.input_tokens, completion=usage.output_tokens)


def message_shows(line, message):
    of = lambda kind: [block for block in message.content if block.type == kind]
    assert message.stop_reason is not None
    same(line, text="".join(block.text for block in of("text")), calls=[[b.name, b.input] for b in of("tool_use")])
    same(line, thoughts="".join(block.thinking for block in of("thinking")))
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    same(line, prompt=usage.input_tokens + cached, completion=usage.output_tokens)


def google_shows(line, chunks):
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    assert chunks[-1].candidates[0].finish_reason is not None
    same(line, text="".join(part.text or "" for part in parts if not part.thought))
    same(line, thoughts="".join(part.text or "" for part in parts if part.thought))
    calls = [part.function_call for part in parts if part.function_call]
    same(line, calls=[[call.name, call.args or {}] for call in calls])
    usage = chunks[-1].usage_metadata or google.GenerateContentResponseUsageMetadata()
    completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    same(line, prompt=usage.prompt_token_count or 0, completion=completion)


def arguments(text):
    """Arguments of a call, as the Rust side keeps them: what is no object is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def test_every_whole_reply_is_what_its_client_expects():
    check_all(
        "replies",
        {
            "openai-chat": lambda line: chat_shows(line, CHAT.validate_python(line["body"])),
            "openai-responses": lambda line: response_shows(line, RESPONSE.validate_python(line["body"])),
            "anthropic": lambda line: message_shows(line, MESSAGE.validate_python(line["body"])),
            "gemini": lambda line: google_shows(line, [google.GenerateContentResponse.model_validate(line["body"])]),
        },
    )


# ── streams


CHUNK = pydantic.TypeAdapter(openai.types.chat.ChatCompletionChunk)
RESPONSE_EVENT = pydantic.TypeAdapter(openai.types.responses.ResponseStreamEvent)
MESSAGE_EVENT = pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent)


def data_of(line):
    """The data of a stream's events; a client stops at `[DONE]`."""
    frames = [part for frame in line["body"].split("\n\n") for part in frame.split("\n") if part.startswith("data:")]
    return [json.loads(frame[5:]) for frame in frames if frame[5:].strip() != "[DONE]"]


def check_chat_stream(line):
    assert line["body"].endswith("data: [DONE]\n\n")
    state = ChatCompletionStreamState()
    usage = None
    for data in data_of(line):
        chunk = CHUNK.validate_python(data)
        usage = chunk.usage or usage
        state.handle_chunk(chunk)
    completion = state.current_completion_snapshot
    completion.usage = usage
    chat_shows(line, completion)


def check_response_stream(line):
    state = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for data in data_of(line):
        events = state.handle_event(RESPONSE_EVENT.validate_python(data))
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    response_shows(line, last.response)


def check_message_stream(line):
    snapshot, buffers = None, {}
    for data in data_of(line):
        event = MESSAGE_EVENT.validate_python(data)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    assert event.type == "message_stop"
    message_shows(line, snapshot)


def check_google_stream(line):
    google_shows(line, [google.GenerateContentResponse.model_validate(data) for data in data_of(line)])


def test_every_stream_comes_to_what_its_client_expects():
    check_all(
        "streams",
        {
            "openai-chat": check_chat_stream,
            "openai-responses": check_response_stream,
            "anthropic": check_message_stream,
            "gemini": check_google_stream,
        },
    )


# ── requests


def forbid_unknown(package):
    """Lets every dictionary of a client's request types refuse members that it does not have."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(package):
            continue
        for kind in vars(module).values():
            if isinstance(kind, type) and hasattr(kind, "__total__") and kind.__module__.startswith(package):
                kind.__pydantic_config__ = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def adapter(package, kind):
    forbid_unknown(package)
    return pydantic.TypeAdapter(kind)


def exhaust(value):
    """Reads what pydantic checks only when it is read."""
    if isinstance(value, dict):
        for member in value.values():
            exhaust(member)
    elif isinstance(value, collections.abc.Iterable) and not isinstance(value, (str, bytes)):
        for item in value:
            exhaust(item)


# What a caller said in a vendor's own words is handed on as it is: the recording, the member, and whose word it is.
VENDORS_WORDS = [("groq-openai-chat-thinking-02550bd", "service_tier", "Groq's `on_demand`")]


def as_response_request(body):
    """What the model said may come back bare, as recorded clients send it; only the client's type wants it dressed."""
    for item in body["input"]:
        if item.get("role") == "assistant" and isinstance(item["content"], list):
            item.update(type="message", id="msg_1", status="completed")
            for part in item["content"]:
                if part["type"] == "output_text":
                    part.setdefault("annotations", [])
    return body


def as_message_request(body):
    """The newest client has no figures for sampling; models before the newest take them, as recorded."""
    return {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}


def reads(package, kind, of=lambda body: body):
    kind = adapter(package, kind)

    def check(line):
        own = [member for recording, member, _ in VENDORS_WORDS if recording == line["id"]]
        body = {name: value for name, value in of(line["body"]).items() if name not in own}
        try:
            exhaust(kind.validate_python(body))
        except pydantic.ValidationError as error:
            raise AssertionError(deepest(error)) from None

    return check


def deepest(error):
    """The problems of a union's best fit: those that lie deepest."""
    problems = sorted(error.errors(), key=lambda problem: -len(problem["loc"]))
    return [(".".join(map(str, problem["loc"]))[-300:], problem["msg"]) for problem in problems[:3]]


GOOGLE_MEMBERS = {
    "contents": pydantic.TypeAdapter(list[google.Content]),
    "systemInstruction": pydantic.TypeAdapter(google.Content),
    "tools": pydantic.TypeAdapter(list[google.Tool]),
    "toolConfig": pydantic.TypeAdapter(google.ToolConfig),
    "generationConfig": pydantic.TypeAdapter(google.GenerationConfig),
}


def check_google_request(line):
    for name, value in line["body"].items():
        GOOGLE_MEMBERS[name].validate_python(value)


def test_every_request_is_what_its_client_would_send():
    check_all(
        "requests",
        {
            "openai-chat": reads("openai.types", completion_create_params.CompletionCreateParams),
            "openai-responses": reads("openai.types", response_create_params.ResponseCreateParams, as_response_request),
            "anthropic": reads("anthropic.types", message_create_params.MessageCreateParams, as_message_request),
            "gemini": check_google_request,
        },
    )
