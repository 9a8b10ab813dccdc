"""Kept answers as the official clients read them: a stream from a whole answer, and a whole answer from a stream."""

import json
import urllib.request
import uuid

import pytest
from adapters import ADAPTERS
from test_chat import tool
from test_streams import nothing_is_held


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS.keys())
def sdk(gateway, request):
    with request.param(gateway) as adapter:
        yield adapter


def hits(gateway):
    assert nothing_is_held(gateway)
    with urllib.request.urlopen(gateway.actors_url, timeout=5) as answer:
        return json.load(answer)["cache"]["hits"]


@pytest.mark.parametrize("streams_first", [False, True])
def test_a_kept_answer_is_the_same_whole_and_as_a_stream(gateway, sdk, streams_first):
    turns = sdk.user(f"Keep {uuid.uuid4()}")
    before = hits(gateway)
    answers = []
    for is_stream in [streams_first, not streams_first, streams_first]:
        if is_stream:
            texts, answer = sdk.stream("cached", turns)
            assert "".join(texts) == answer.text
        else:
            answer = sdk.ask("cached", turns)
        answers.append(answer)
        # Kept before anybody asks again.
        assert nothing_is_held(gateway)
    for answer in answers:
        assert answer.text.startswith('You said: "Keep ')
        assert answer.finish == sdk.stopped
        assert (answer.text, answer.input_tokens, answer.output_tokens) == (
            answers[0].text,
            answers[0].input_tokens,
            answers[0].output_tokens,
        )
    assert hits(gateway) == before + 2


def test_a_kept_tool_call_is_put_together_by_the_clients_own_helper(gateway, client):
    asked = [{"role": "user", "content": f"weather {uuid.uuid4()}"}]
    tools = [tool("weather")]
    whole = client.chat.completions.create(model="cached", messages=asked, tools=tools).choices[0].message
    assert whole.tool_calls
    with client.chat.completions.stream(model="cached", messages=asked, tools=tools) as stream:
        again = stream.get_final_completion().choices[0].message
    assert [call.function.arguments for call in again.tool_calls or []] == [
        call.function.arguments for call in whole.tool_calls or []
    ]
    assert [call.id for call in again.tool_calls or []] == [call.id for call in whole.tool_calls or []]
    assert again.content == whole.content
