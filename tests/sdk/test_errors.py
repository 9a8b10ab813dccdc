"""Every refusal as the class of exception that programs catch, with the fields that they read."""

import uuid

import openai
import pytest
from test_chat import HELLO
from test_streams import nothing_is_held


def refused(gateway, expected, model="demo", key="sk-sdk", messages=HELLO):
    """Asks once, expects to be refused, and gives the exception."""
    with gateway.client(key) as client, pytest.raises(expected) as caught:
        client.chat.completions.create(model=model, messages=messages)
    error = caught.value
    assert type(error) is expected
    assert error.response.headers["x-aisix-request-id"]
    assert error.body["message"]
    return error


def test_an_unknown_key_is_an_authentication_error(gateway):
    error = refused(gateway, openai.AuthenticationError, key="sk-nobody")
    assert (error.status_code, error.type) == (401, "invalid_api_key")
    assert "sk-nobody" not in str(error)


def test_a_model_of_others_is_a_permission_error(gateway):
    error = refused(gateway, openai.PermissionDeniedError, key="sk-narrow", model="failover")
    assert (error.status_code, error.type) == (403, "permission_denied")


def test_an_unknown_model_is_not_found(gateway):
    error = refused(gateway, openai.NotFoundError, model="nothing-like-it")
    assert (error.status_code, error.type) == (404, "model_not_found")
    assert "nothing-like-it" in error.body["message"]


def test_no_messages_are_a_bad_request(gateway):
    error = refused(gateway, openai.BadRequestError, messages=[])
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert "code" not in error.body


def test_a_limit_says_when_to_come_back(gateway):
    with gateway.client("sk-limited") as client:
        client.chat.completions.create(model="demo", messages=HELLO)
    error = refused(gateway, openai.RateLimitError, key="sk-limited")
    assert (error.status_code, error.type) == (429, "rate_limit_exceeded")
    assert 1 <= int(error.response.headers["retry-after"]) <= 86_400


def test_a_used_up_budget_tells_what_was_spent(gateway):
    with gateway.client("sk-broke") as client:
        client.chat.completions.create(model="demo", messages=HELLO)
    error = refused(gateway, openai.RateLimitError, key="sk-broke")
    assert (error.type, error.code) == ("billing_error", "budget_exceeded")
    body = error.body
    assert (body["scope"], body["period"]) == ("api_key", "total")
    assert uuid.UUID(body["scope_ref"])
    assert body["limit_usd"] == "0.000001"
    assert float(body["spent_usd"]) > 0.000001


def test_a_providers_limit_is_passed_on(gateway):
    error = refused(gateway, openai.RateLimitError, model="wire/fail-429")
    assert (error.type, error.code) == ("upstream_error", "rate_limit_exceeded")
    assert error.response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ("fail-400", openai.BadRequestError, None),
        ("context-length", openai.BadRequestError, "context_length_exceeded"),
        ("prompt-filter", openai.BadRequestError, "content_filter"),
        ("fail-401", openai.AuthenticationError, "invalid_api_key"),
        ("fail-403", openai.PermissionDeniedError, None),
        ("fail-404", openai.NotFoundError, "model_not_found"),
        ("fail-409", openai.ConflictError, None),
        ("fail-422", openai.UnprocessableEntityError, None),
    ],
)
def test_a_providers_refusal_keeps_its_status_and_code(gateway, fault, expected, code):
    error = refused(gateway, expected, model=f"wire/{fault}")
    assert (error.type, error.code) == ("upstream_error", code)


@pytest.mark.parametrize("fault", ["fail-500", "fail-503", "fail-529"])
def test_a_providers_failure_tells_nothing_of_it(gateway, fault):
    error = refused(gateway, openai.InternalServerError, model=f"wire/{fault}")
    assert (error.status_code, error.type) == (502, "upstream_error")
    assert error.body["message"] == f"upstream returned {fault.removeprefix('fail-')}"


def test_a_broken_connection_is_a_bad_gateway(gateway):
    error = refused(gateway, openai.InternalServerError, model="wire/reset")
    assert (error.status_code, error.type) == (502, "transport_error")
    assert "127.0.0.1" not in str(error)


def test_an_unreadable_answer_is_a_bad_gateway(gateway):
    error = refused(gateway, openai.InternalServerError, model="wire/garbage")
    assert (error.status_code, error.type) == (502, "upstream_decode_error")


def test_a_full_provider_key_is_unavailable(gateway, client):
    with client.chat.completions.create(model="narrow-lane", messages=HELLO, stream=True) as stream:
        next(stream)
        error = refused(gateway, openai.InternalServerError, model="narrow-lane")
    assert (error.status_code, error.type) == (503, "provider_unavailable")


def test_a_slow_provider_is_a_gateway_timeout(gateway):
    error = refused(gateway, openai.InternalServerError, model="impatient")
    assert (error.status_code, error.type) == (504, "timeout")
    assert error.body["message"] == "upstream request timed out after 200ms"


def test_a_client_that_gives_up_leaves_nothing_behind(gateway):
    with gateway.client(timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="wire/stall", messages=HELLO)
    assert nothing_is_held(gateway)


@pytest.mark.parametrize("model", ["busy-once", "limited-once"])
def test_the_clients_own_retry_ends_well(gateway, model):
    with gateway.client(max_retries=2) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert raw.retries_taken == 1
    assert raw.parse().model == model


def test_the_clients_own_retry_meets_another_target(gateway):
    with gateway.client(max_retries=2) as client:
        raw = client.chat.completions.with_raw_response.create(model="well-later", messages=HELLO)
    assert raw.retries_taken == 1
    assert raw.headers["x-aisix-served-by"] == "down-once"
