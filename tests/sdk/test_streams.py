"""Streams as the official client reads them: to the end, cut by the provider, and left in the middle."""

import asyncio
import json
import time
import urllib.request

import openai
import pytest
from test_chat import HELLO, tool

SETTLE_SECONDS = 5


def held(gateway):
    """Everything that the five actors hold for open exchanges."""
    with urllib.request.urlopen(gateway.actors_url, timeout=5) as answer:
        state = json.load(answer)
    return {
        "open_exchanges": state["open_exchanges"],
        "limits": state["rate_limiter"]["held"],
        "budgets": state["budget_ledger"]["holds"],
        "fillings": state["cache"]["filling"],
        "targets": state["candidate_router"]["in_flight"],
        "provider keys": state["provider_pool"]["in_flight"],
    }


def nothing_is_held(gateway):
    deadline = time.monotonic() + SETTLE_SECONDS
    while any(held(gateway).values()):
        assert time.monotonic() < deadline, f"still held: {held(gateway)}"
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("model", ["demo", "inside/demo", "failover"])
def test_a_stream_carries_the_whole_answer(client, model):
    whole = client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert {chunk.model for chunk in chunks} == {model}
    assert len({chunk.id for chunk in chunks}) == 1
    # Nobody asked for usage, so every chunk has a choice.
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_comes_last_for_those_who_ask(client):
    options = {"include_usage": True}
    *content, last = client.chat.completions.create(
        model="demo", messages=HELLO, stream=True, stream_options=options
    )
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in content)


def test_the_clients_own_helper_puts_a_stream_together(client):
    with client.chat.completions.stream(model="demo", messages=HELLO) as stream:
        events = [event.type for event in stream]
        completion = stream.get_final_completion()
    assert events[-1] == "content.done"
    assert completion.choices[0].message.content.startswith('You said: "Hello".')


def test_tool_calls_come_in_pieces(client):
    asked = [{"role": "user", "content": "weather and time"}]
    tools = [tool("weather"), tool("time")]
    with client.chat.completions.stream(model="demo", messages=asked, tools=tools) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "time"]
    assert all(json.loads(call.function.arguments)["city"] for call in calls)


@pytest.mark.anyio
async def test_asynchronous_streams_run_side_by_side(gateway):
    async def read(client, number):
        asked = [{"role": "user", "content": f"number {number}"}]
        stream = await client.chat.completions.create(model="wire/slow", messages=asked, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async with gateway.async_client() as client:
        texts = await asyncio.gather(*(read(client, number) for number in range(8)))
    assert all(f'"number {number}"' in text for number, text in enumerate(texts))
    assert nothing_is_held(gateway)


@pytest.mark.parametrize("fault", ["cut-3", "no-finish"])
def test_a_stream_that_the_provider_cuts_ends_in_an_error(gateway, client, fault):
    texts = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=f"wire/{fault}", messages=HELLO, stream=True):
            texts.append(chunk.choices[0].delta.content or "")
    assert "".join(texts) != ""
    assert caught.value.body["type"] == "stream_aborted"
    assert "code" not in caught.value.body
    # A status error would say that the whole request may be sent again.
    assert not isinstance(caught.value, openai.APIStatusError)
    assert nothing_is_held(gateway)


def test_a_malformed_event_and_a_missing_end_go_unnoticed(client):
    for fault in ["garbage", "no-done"]:
        chunks = list(client.chat.completions.create(model=f"wire/{fault}", messages=HELLO, stream=True))
        assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_error_before_the_first_event_is_a_status(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="wire/fail-500", messages=HELLO, stream=True)
    assert caught.value.status_code == 502


def test_a_stream_that_is_left_holds_nothing(gateway, client):
    asked = [{"role": "user", "content": "x" * 200}]
    stream = client.chat.completions.create(model="wire/slow", messages=asked, stream=True)
    next(stream)
    assert held(gateway)["provider keys"] == 1
    stream.close()
    assert nothing_is_held(gateway)


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["wire/slow", "wire/hang-3", "wire/stall", "inside/slow"])
async def test_a_cancelled_task_holds_nothing(gateway, model):
    async def read(client):
        stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
        return [chunk async for chunk in stream]

    async with gateway.async_client() as client:
        task = asyncio.create_task(read(client))
        deadline = time.monotonic() + SETTLE_SECONDS
        while not held(gateway)["provider keys"]:
            assert time.monotonic() < deadline, "the request did not reach the provider"
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert nothing_is_held(gateway)
