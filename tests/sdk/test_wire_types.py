"""What the gateway writes for a provider is what the provider's own client would accept."""

import json

import pytest
from adapters import ADAPTERS
from test_dialects import PNG, Weather
from wire_types import REQUESTS, mistakes_in

# Who speaks a provider's own dialect is handed on as he is.
OWN = {"openai-chat": "chat", "anthropic-messages": "anthropic", "google-genai": "gemini"}
PAIRS = [(caller, dialect) for caller in ADAPTERS for dialect in REQUESTS if OWN.get(caller) != dialect]


@pytest.fixture(params=PAIRS, ids=["-".join(pair) for pair in PAIRS])
def pair(gateway, request):
    caller, dialect = request.param
    with ADAPTERS[caller](gateway) as sdk:
        yield sdk, dialect


def received(sdk, provider, turns, **options):
    """The request as it reached the provider."""
    return json.loads(sdk.ask(f"{provider}/echo", turns, **options).text)


def fits(request, provider):
    assert mistakes_in(request, provider) == []
    return True


def test_a_question_fits(pair):
    sdk, provider = pair
    assert fits(received(sdk, provider, sdk.user("Hello"), limit=50), provider)


def test_a_picture_and_tools_fit(pair):
    sdk, provider = pair
    request = received(sdk, provider, sdk.user("Hello", image=PNG), tools=["weather", "time"])
    assert fits(request, provider)
    assert PNG in json.dumps(request)


def test_calls_and_their_results_fit(pair):
    sdk, provider = pair
    tools = ["weather", "time"]
    turns = sdk.user("Tell me the weather and the time.")
    answer = sdk.ask(f"{provider}/demo", turns, tools=tools)
    turns = sdk.answered(turns, answer, ["17 degrees", "noon"])
    request = received(sdk, provider, turns, tools=tools)
    assert fits(request, provider)
    assert "17 degrees" in json.dumps(request)


def test_a_wanted_form_fits(pair):
    sdk, provider = pair
    request = sdk.form_request(f"{provider}/echo", sdk.user("Hello"), Weather)
    assert fits(json.loads(request), provider)
    assert "fahrenheit" in request


def test_settings_fit(pair):
    sdk, provider = pair
    request = json.loads(sdk.ask_with_settings(f"{provider}/echo", sdk.user("Hello")))
    assert fits(request, provider)
    assert "Be brief." in json.dumps(request)


@pytest.mark.parametrize("dialect", REQUESTS)
def test_what_does_not_fit_is_found(dialect):
    assert mistakes_in({"nonsense": 1}, dialect)
