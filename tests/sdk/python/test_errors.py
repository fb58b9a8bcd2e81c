"""Errors arrive in the SDK as the class that an application catches, with message, code and request id."""

import openai
import pytest

from support import CHAT, KEY, UPSTREAM_KEY, GOOD_ANSWER, ask, bad_answer, sim

CLASSES = [
    (400, openai.BadRequestError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize("status, kind", CLASSES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_keeps_its_status_and_words(plain_gateway, make_client, status, kind, stream):
    client = make_client(plain_gateway)
    with pytest.raises(kind) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), stream=stream, extra_body=sim(status=status))
    error = raised.value
    assert type(error) is kind and error.status_code == status
    assert "A fault that was asked for." in error.message
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.code == error.body["code"] and error.type == error.body["type"]
    assert len(error.request_id) == 36
    assert "x-should-retry" not in error.response.headers


def test_a_rate_limit_says_when_to_come_back(plain_gateway, make_client):
    with pytest.raises(openai.RateLimitError) as raised:
        make_client(plain_gateway).chat.completions.create(
            model=CHAT, messages=ask(), extra_body=sim(status=429, retry_after=17)
        )
    assert raised.value.code == "rate_limit_exceeded" and raised.value.response.headers["retry-after"] == "17"
    assert raised.value.response.headers["x-ratelimit-remaining-requests"] == "9999"


@pytest.mark.parametrize("key", ["wrong", KEY + "x", KEY[:-1]])
def test_a_wrong_key_is_an_authentication_error(gateway, make_client, key):
    client = make_client(gateway, api_key=key)
    for call in [lambda: client.chat.completions.create(model=CHAT, messages=ask()), lambda: client.models.list()]:
        with pytest.raises(openai.AuthenticationError) as raised:
            call()
        assert raised.value.code == "invalid_api_key" and key not in raised.value.message


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-goog-api-key"])
def test_a_key_is_taken_from_any_header_that_clients_use(gateway, make_client, header):
    raw = make_client(gateway).chat.completions.with_raw_response.create(
        model=CHAT, messages=ask(), extra_body=sim(content="in"), extra_headers={"Authorization": openai.Omit(), header: KEY}
    )
    assert "authorization" not in raw.http_request.headers
    assert raw.parse().choices[0].message.content == "in"


def test_the_gateways_own_key_is_never_the_clients_business(gateway, client, scripted):
    scripted.will_answer(bad_answer(401))
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="vllm/scripted", messages=ask())
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_auth_error")
    scripted.will_answer(GOOD_ANSWER)
    client.chat.completions.create(model="vllm/scripted", messages=ask())
    headers = {name.lower(): value for name, value in scripted.seen[0][0].items()}
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert not any(KEY in value for value in headers.values())
    assert not any(name.startswith("x-stainless") for name in headers)


@pytest.mark.parametrize("model", ["no-such-model", "nobody/simulated-chat"])
def test_an_unknown_model_is_not_found(client, model):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model=model, messages=ask())
    assert raised.value.code == "model_not_found" and raised.value.param == "model"


BAD_BODIES = [
    b'{"model":"simulated-chat","model":"simulated-small","messages":[]}',
    b'{"model":"simulated-chat","messages":[],"a":1,"a":1}',
    b'{"model":"simulated-chat","messages":[}',
    b'{"model":7,"messages":[]}',
    b'{"messages":[]}',
    b'["model"]',
    b"no json",
    b"",
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_bad_body_is_a_bad_request(client, body):
    headers = {"content-type": "application/json"}
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", content=body, options={"headers": headers}, cast_to=object)
    assert raised.value.type == "invalid_request_error" and raised.value.code and raised.value.message


def test_a_body_that_is_too_large_is_refused_as_such(client):
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask("x" * (11 << 20)))
    assert (raised.value.status_code, raised.value.code) == (413, "body_too_large")


def test_a_provider_that_is_not_there_is_a_server_error(client):
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="ollama/any", messages=ask())
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_connect_error")
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_an_unknown_path_is_not_found(gateway, make_client):
    client = make_client(gateway, base_url=f"http://{gateway.address}/nowhere")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=CHAT, messages=ask())
