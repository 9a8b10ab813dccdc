"""Every official client against every provider: one table of clients, one of dialects that providers speak.

The mock provider answers natively in each dialect; a client that speaks another gets a translation.
"""

import json
import time
import urllib.request
import uuid
from typing import Literal

import pytest
from adapters import ADAPTERS
from pydantic import BaseModel
from test_streams import nothing_is_held

# A model `<dialect>/<name>` belongs to a provider key of `config.toml` that speaks it.
DIALECTS = ["chat", "responses", "anthropic", "gemini", "cohere"]
# One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SETTLE_SECONDS = 5


class Weather(BaseModel):
    city: str
    degrees: int
    unit: Literal["celsius", "fahrenheit"]


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS.keys())
def sdk(gateway, request):
    with request.param(gateway) as adapter:
        yield adapter


@pytest.fixture(params=DIALECTS)
def provider(request):
    return request.param


def is_hello(sdk, answer):
    assert answer.text.startswith('You said: "Hello".')
    assert answer.finish == sdk.stopped
    assert answer.calls == []
    assert answer.input_tokens > 0
    assert answer.output_tokens > 0
    return True


def test_a_question_is_answered(sdk, provider):
    assert is_hello(sdk, sdk.ask(f"{provider}/demo", sdk.user("Hello")))


def test_a_stream_says_what_the_whole_answer_says(sdk, provider):
    whole = sdk.ask(f"{provider}/demo", sdk.user("Hello"))
    texts, answer = sdk.stream(f"{provider}/demo", sdk.user("Hello"))
    assert is_hello(sdk, answer)
    assert len(texts) > 5
    assert "".join(texts) == answer.text == whole.text
    assert (answer.input_tokens, answer.output_tokens) == (whole.input_tokens, whole.output_tokens)


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_tools_are_called_and_their_results_answered(sdk, provider, way):
    def ask(turns):
        answer = getattr(sdk, way)(f"{provider}/demo", turns, tools=["weather", "time"])
        return answer[1] if way == "stream" else answer

    turns = sdk.user("Tell me the weather and the time.")
    first = ask(turns)
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("weather", {"city": "mock"}),
        ("time", {"city": "mock"}),
    ]
    assert first.finish == sdk.called
    second = ask(sdk.answered(turns, first, ["17 degrees", "noon"]))
    assert second.calls == []
    assert second.finish == sdk.stopped
    assert "17 degrees" in second.text
    assert "noon" in second.text


def test_a_picture_reaches_the_model(sdk, provider):
    answer = sdk.ask(f"{provider}/demo", sdk.user("Hello", image=PNG))
    assert answer.text.startswith('You said: "Hello". I see 1 image.')


def test_an_answer_in_a_form_is_parsed(sdk, provider):
    weather = sdk.parse(f"{provider}/demo", sdk.user("Hello"), Weather)
    assert weather == Weather(city="mock", degrees=1, unit="celsius")


def refused(sdk, status, ask):
    with pytest.raises(sdk.errors[status]) as caught:
        ask()
    assert type(caught.value) is sdk.errors[status]
    told, message = sdk.told(caught.value)
    assert told == status
    return message


@pytest.mark.parametrize("way", ["ask", "stream"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_providers_refusal_keeps_its_status_and_words(sdk, provider, status, way):
    ask = getattr(sdk, way)
    message = refused(sdk, status, lambda: ask(f"{provider}/fail-{status}", sdk.user("Hello")))
    assert message
    assert not message.startswith("{"), "the words, not the body"


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_providers_failure_tells_nothing_of_it(sdk, provider, status):
    message = refused(sdk, 502, lambda: sdk.ask(f"{provider}/fail-{status}", sdk.user("Hello")))
    assert message == f"upstream returned {status}"


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_the_gateways_own_refusals_are_exceptions_of_the_client(gateway, sdk, way):
    ask = getattr(sdk, way)
    assert "no-such-model" in refused(sdk, 404, lambda: ask("no-such-model", sdk.user("Hello")))
    assert refused(sdk, 400, lambda: sdk.ask_nothing("chat/demo"))
    with type(sdk)(gateway, "sk-nobody") as stranger:
        assert refused(sdk, 401, lambda: getattr(stranger, way)("chat/demo", sdk.user("Hello")))


def eventually(expected, look):
    deadline = time.monotonic() + SETTLE_SECONDS
    while not (found := look()) == expected:
        assert time.monotonic() < deadline, f"{found}, not {expected}"
        time.sleep(0.01)


def test_a_stream_that_is_left_is_closed_on_both_sides(gateway, sdk, provider):
    def streams():
        with urllib.request.urlopen(gateway.streams_url, timeout=5) as answer:
            return json.load(answer)

    left = streams()["left"]
    request_id = f"left-{uuid.uuid4()}"
    with sdk.pieces(f"{provider}/slow", sdk.user("x " * 100), request_id) as pieces:
        assert next(pieces) is not None
        assert streams() == {"open": 1, "left": left}
    eventually({"open": 0, "left": left + 1}, streams)
    assert nothing_is_held(gateway)
    eventually([True], lambda: [" status=499 " in line for line in gateway.log_lines(request_id)])


@pytest.mark.parametrize("fault", ["cut-3", "no-finish"])
def test_a_stream_that_the_provider_cuts_ends_in_an_exception(gateway, sdk, provider, fault):
    texts = []
    with pytest.raises(sdk.failure):
        with sdk.pieces(f"{provider}/{fault}", sdk.user("Hello"), f"cut-{uuid.uuid4()}") as pieces:
            texts.extend(pieces)
    assert "".join(texts).startswith("You")
    assert nothing_is_held(gateway)


@pytest.mark.parametrize("fault", ["garbage", "no-done"])
def test_a_malformed_event_and_a_missing_end_go_unnoticed(sdk, provider, fault):
    whole = sdk.ask(f"{provider}/demo", sdk.user("Hello"))
    texts, answer = sdk.stream(f"{provider}/{fault}", sdk.user("Hello"))
    assert "".join(texts) == answer.text == whole.text
    assert answer.finish == sdk.stopped
    assert answer.output_tokens == whole.output_tokens


def test_an_answer_ends_at_the_limit(sdk, provider):
    answer = sdk.ask(f"{provider}/words-500", sdk.user("Hello"), limit=20)
    assert answer.finish == sdk.cut_short
    assert answer.output_tokens == 20


def test_a_refusal_of_the_model_arrives(sdk, provider):
    """What a dialect has no refusals for becomes words."""
    answer = sdk.ask(f"{provider}/demo", sdk.user("please refuse"))
    assert "can't assist" in answer.text + answer.refusal


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS.keys())
def test_a_streamed_answer_in_a_form_is_parsed(gateway, adapter, provider):
    with adapter(gateway) as sdk:
        weather = sdk.stream_parse(f"{provider}/demo", sdk.user("Hello"), Weather)
    assert weather == Weather(city="mock", degrees=1, unit="celsius")


@pytest.mark.anyio
async def test_asynchronous_clients_get_the_same(gateway, sdk, provider):
    text = await sdk.ask_asynchronously(gateway, f"{provider}/demo", sdk.user("Hello"))
    assert text == sdk.ask(f"{provider}/demo", sdk.user("Hello")).text


def test_the_clients_own_loop_calls_the_tools(gateway, provider):
    """Where a client runs the tools itself."""

    def weather(city: str) -> str:
        """Tells the weather.

        Args:
            city: Where.
        """
        return f"17 degrees in {city}"

    with ADAPTERS["google-genai"](gateway) as sdk:
        assert "17 degrees in mock" in sdk.loop(f"{provider}/demo", "weather", weather)
    with ADAPTERS["anthropic-messages"](gateway) as sdk:
        assert "17 degrees in mock" in sdk.loop(f"{provider}/demo", "weather", weather)
