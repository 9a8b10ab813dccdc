"""Chat completions as the official client asks for them and reads them."""

import base64
import json
from typing import Literal

import pytest
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello"}]
# One pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def tool(name):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def is_answer(completion, model):
    assert completion.object == "chat.completion"
    assert completion.model == model
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.content.startswith('You said: "Hello".')
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    return True


@pytest.mark.parametrize("model", ["demo", "wire/demo", "inside/demo", "failover"])
def test_an_answer_names_the_model_that_was_asked_for(client, model):
    assert is_answer(client.chat.completions.create(model=model, messages=HELLO), model)


@pytest.mark.anyio
async def test_the_asynchronous_client_gets_the_same(gateway):
    async with gateway.async_client() as client:
        assert is_answer(await client.chat.completions.create(model="demo", messages=HELLO), "demo")


def test_a_tool_is_called_and_its_result_is_answered(client):
    messages = [{"role": "user", "content": "What is the weather?"}]
    first = client.chat.completions.create(model="demo", messages=messages, tools=[tool("weather")])
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    [call] = message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert list(json.loads(call.function.arguments)) == ["city"]
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "17 degrees"}]
    second = client.chat.completions.create(model="demo", messages=messages, tools=[tool("weather")])
    assert second.choices[0].finish_reason == "stop"
    assert "17 degrees" in second.choices[0].message.content


def test_two_tools_are_called_at_once(client):
    messages = [{"role": "user", "content": "Tell me the weather and the time."}]
    tools = [tool("weather"), tool("time")]
    both = client.chat.completions.create(model="demo", messages=messages, tools=tools)
    calls = both.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "time"]
    assert calls[0].id != calls[1].id
    one = client.chat.completions.create(
        model="demo", messages=messages, tools=tools, parallel_tool_calls=False
    )
    assert len(one.choices[0].message.tool_calls) == 1


def test_a_structured_answer_is_parsed(client):
    class Weather(BaseModel):
        city: str
        unit: Literal["celsius", "fahrenheit"]

    parsed = client.chat.completions.parse(model="demo", messages=HELLO, response_format=Weather)
    weather = parsed.choices[0].message.parsed
    assert isinstance(weather, Weather)
    assert weather.unit == "celsius"


def test_a_picture_reaches_the_model(client):
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": url}}]
    seen = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": parts}])
    assert "I see 1 image." in seen.choices[0].message.content


def test_several_choices_come_back(client):
    completion = client.chat.completions.create(model="demo", messages=HELLO, n=2)
    assert [choice.index for choice in completion.choices] == [0, 1]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_answer_ends_at_the_limit(client, limit):
    completion = client.chat.completions.create(model="wire/words-100", messages=HELLO, **{limit: 3})
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3


def test_unknown_members_reach_the_provider(client):
    extra = {"vendor_option": {"b": 1, "a": [1.5, None]}}
    completion = client.chat.completions.create(model="wire/echo", messages=HELLO, seed=7, extra_body=extra)
    request = json.loads(completion.choices[0].message.content)
    assert request == {"model": "echo", "messages": HELLO, "seed": 7, **extra}


def test_the_models_of_a_key_are_listed(gateway, client):
    listed = [model.id for model in client.models.list()]
    assert {"demo", "failover"} <= set(listed)
    assert not any("*" in name for name in listed)
    with gateway.client("sk-narrow") as narrow:
        assert [model.id for model in narrow.models.list()] == ["demo"]


def test_the_gateways_headers_are_there(client):
    raw = client.chat.completions.with_raw_response.create(model="failover", messages=HELLO)
    assert is_answer(raw.parse(), "failover")
    assert raw.headers["server"].startswith("AISIX/")
    assert raw.headers["x-aisix-call-id"] == raw.headers["x-aisix-request-id"] != ""
    assert raw.headers["x-aisix-served-by"] == "demo"
    assert raw.headers["x-ratelimit-limit-requests"] == "100000"
    assert 0 < int(raw.headers["x-ratelimit-remaining-tokens"]) < 100_000_000


def test_a_request_keeps_the_name_that_the_caller_gave_it(client):
    names = {"x-aisix-request-id": "from-the-caller-1"}
    raw = client.chat.completions.with_raw_response.create(model="demo", messages=HELLO, extra_headers=names)
    assert raw.headers["x-aisix-request-id"] == "from-the-caller-1"
    assert "x-aisix-served-by" not in raw.headers


def test_a_repeated_question_comes_from_the_cache(client):
    def ask():
        return client.chat.completions.with_raw_response.create(model="cached", messages=HELLO, seed=11)

    first, second = ask(), ask()
    assert first.headers["x-aisix-cache"] == "miss"
    assert second.headers["x-aisix-cache"] == "hit"
    assert first.parse().choices == second.parse().choices
