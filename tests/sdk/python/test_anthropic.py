"""Anthropic's SDK through the gateway, against providers of every dialect: what comes back is what they said."""

import json

import anthropic
import pytest
from pydantic import BaseModel

from support import CHAT, KEY, MODELS, PATHS, ask, told

TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end'
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
NOTHING = {"name": "nothing", "input_schema": {"type": "object", "properties": {}}}
ARGUMENTS = {"city": "Paris", "days": 7}


@pytest.fixture(scope="module")
def client(translator):
    with anthropic.Anthropic(base_url=f"http://{translator.address}", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def request_of(dialect, text="hi", behaviour={}, **more):
    return {"model": MODELS[dialect], "max_tokens": 2000, "messages": ask(told(text, **behaviour)), **more}


def test_a_message_is_answered_in_the_words_of_the_provider(client, provider, dialect):
    behaviour = {"content": TEXT, "input_tokens": 10, "output_tokens": 4, "cached_tokens": 5}
    answer = client.messages.create(**request_of(dialect, behaviour=behaviour))
    assert provider.last()["path"].startswith(PATHS[dialect])
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODELS[dialect].split("/")[1])
    assert [(block.type, block.text) for block in answer.content] == [("text", TEXT)]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (10, 5, 4)


REASONS = [("length", "max_tokens"), ("filter", "refusal")]


@pytest.mark.parametrize("finish, reason", REASONS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_to_stop_is_one_that_the_sdk_knows(client, dialect, finish, reason, stream):
    request = request_of(dialect, behaviour={"finish": finish, "events": 2})
    if stream:
        with client.messages.stream(**request) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**request)
    assert (answer.stop_reason, answer.content[0].text) == (reason, "word0 word1 ")


def test_a_stream_has_the_events_of_a_message_in_order(client, provider, dialect):
    behaviour = {"events": 3, "thinking": 2, "input_tokens": 10, "output_tokens": 4, "cached_tokens": 5}
    stream = client.messages.create(**request_of(dialect, behaviour=behaviour), stream=True)
    events = list(stream)
    assert provider.last()["path"].startswith(PATHS[dialect])
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    opened = [(event.index, event.content_block.type) for event in events if event.type == "content_block_start"]
    assert opened == [(0, "thinking"), (1, "text")]
    assert [event.index for event in events if event.type == "content_block_stop"] == [0, 1]
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert [delta.text for delta in deltas if delta.type == "text_delta"] == ["word0 ", "word1 ", "word2 "]
    assert "".join(delta.thinking for delta in deltas if delta.type == "thinking_delta") == "thought0 thought1 "
    last = events[-2]
    assert (last.delta.stop_reason, last.usage.output_tokens) == ("end_turn", 4)


def test_the_stream_helper_puts_text_thought_and_calls_together(client, dialect):
    behaviour = {"events": 2, "thinking": 2, "tools": 3, "input_tokens": 10, "output_tokens": 4, "cached_tokens": 5}
    request = request_of(dialect, behaviour=behaviour, tools=[WEATHER, CLOCK, NOTHING])
    with client.messages.stream(**request) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert "".join(event.text for event in events if event.type == "text") == "word0 word1 "
    assert "".join(event.thinking for event in events if event.type == "thinking") == "thought0 thought1 "
    kinds = ["thinking", "text", "tool_use", "tool_use", "tool_use"]
    assert [event.content_block.type for event in events if event.type == "content_block_stop"] == kinds
    thought, text, *calls = final.content
    assert (thought.thinking, text.text) == ("thought0 thought1 ", "word0 word1 ")
    assert [(call.name, call.input) for call in calls] == [("weather", ARGUMENTS), ("clock", {"zone": "text"}), ("nothing", {})]
    assert len({call.id for call in calls}) == 3
    assert final.stop_reason == "tool_use"
    usage = final.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (10, 5, 4)


def test_calls_that_come_in_turn_are_blocks_one_after_the_other(client):
    request = request_of("chat", behaviour={"tools": 2, "interleave": True}, tools=[WEATHER, CLOCK])
    with client.messages.stream(**request) as stream:
        order = [(event.type, event.index) for event in stream if event.type in ("content_block_start", "content_block_stop")]
        final = stream.get_final_message()
    assert order == [("content_block_start", 0), ("content_block_stop", 0), ("content_block_start", 1), ("content_block_stop", 1)]
    assert [(call.name, call.input) for call in final.content] == [("weather", ARGUMENTS), ("clock", {"zone": "text"})]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_answered(client, dialect, stream):
    def said(request):
        if not stream:
            return client.messages.create(**request)
        with client.messages.stream(**request) as running:
            return running.get_final_message()

    request = request_of(dialect, behaviour={"tools": 2, "thinking": 1}, tools=[WEATHER, CLOCK])
    answer = said(request)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("weather", ARGUMENTS), ("clock", {"zone": "text"})]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "noon"}]},
    ]
    turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    final = said({**request, "messages": request["messages"] + turns})
    assert final.stop_reason == "end_turn"
    assert final.content[-1].text == "This is the simulated provider. The tool said: sunny | noon"


@pytest.mark.parametrize(
    "choice, want",
    [({"type": "auto"}, "weather"), ({"type": "any"}, "weather"), ({"type": "tool", "name": "clock"}, "clock"), ({"type": "none"}, None)],
)
def test_the_choice_of_a_tool_reaches_the_provider(client, dialect, choice, want):
    request = request_of(dialect, tools=[WEATHER, CLOCK], tool_choice=choice)
    calls = [block.name for block in client.messages.create(**request).content if block.type == "tool_use"]
    assert calls == ([want] if want else [])


SYSTEM = [
    {"type": "text", "text": "Be brief."},
    {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
]


def test_system_texts_reach_the_provider_with_their_marks_where_it_knows_them(client, provider, dialect):
    # Responses has no word for the sequences.
    more = {} if dialect == "responses" else {"stop_sequences": ["###"]}
    client.messages.create(**request_of(dialect, system=SYSTEM, extra_body={"temperature": 0.5}, **more))
    body = provider.last()["body"]
    if dialect == "messages":
        assert (body["system"], body["stop_sequences"], body["temperature"]) == (SYSTEM, ["###"], 0.5)
    elif dialect == "chat":
        system = body["messages"][0]
        texts = system["content"] if isinstance(system["content"], str) else [part["text"] for part in system["content"]]
        assert (system["role"], body["stop"], body["temperature"]) == ("system", ["###"], 0.5)
        assert texts in ("Be brief.\n\nBe kind.", ["Be brief.", "Be kind."])
    elif dialect == "gemini":
        assert [part["text"] for part in body["systemInstruction"]["parts"]] == ["Be brief.", "Be kind."]
        assert body["generationConfig"]["stopSequences"] == ["###"]
    elif dialect == "converse":
        assert body["system"] == [{"text": "Be brief."}, {"text": "Be kind."}, {"cachePoint": {"type": "default"}}]
        assert body["inferenceConfig"] == {"maxTokens": 2000, "temperature": 0.5, "stopSequences": ["###"]}
    else:
        system = body["input"][0]
        assert system["role"] in ("developer", "system")
        assert [part["text"] for part in system["content"]] == ["Be brief.", "Be kind."]


def test_what_a_provider_has_no_word_for_is_refused(client):
    with pytest.raises(anthropic.BadRequestError) as raised:
        client.messages.create(**request_of("converse", extra_body={"container": "c"}))
    assert raised.value.body["error"]["type"] == "invalid_request_error"


class Weather(BaseModel):
    city: str
    days: int
    is_wet: bool


def test_structured_output_is_parsed_into_a_model(client, dialect):
    answer = client.messages.parse(**request_of(dialect), output_format=Weather)
    assert answer.parsed_output == Weather(city="Paris", days=7, is_wet=True)
    assert answer.stop_reason == "end_turn"


def test_thinking_is_signed_by_the_provider_that_signs_and_goes_back_to_it(client, provider):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    request = request_of("messages", behaviour={"thinking": 2}, thinking=thinking)
    answer = client.messages.create(**request)
    thought = answer.content[0]
    assert (thought.thinking, thought.signature) == ("thought0 thought1 ", "c2ltdWxhdGVkIHNpZ25hdHVyZSAvLys/")
    turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "and?"}]
    client.messages.create(**{**request, "messages": request["messages"] + turns})
    assert provider.last()["body"]["messages"][1]["content"][0]["signature"] == thought.signature


# The class and the type of an error, and the status that a translated one has.
CLASSES = [
    (400, 400, anthropic.BadRequestError, "invalid_request_error"),
    (403, 403, anthropic.PermissionDeniedError, "permission_error"),
    (404, 404, anthropic.NotFoundError, "not_found_error"),
    (413, 413, anthropic.RequestTooLargeError, "request_too_large"),
    (422, 422, anthropic.UnprocessableEntityError, "invalid_request_error"),
    (429, 429, anthropic.RateLimitError, "rate_limit_error"),
    (500, 502, anthropic.InternalServerError, "api_error"),
    (503, 503, anthropic.ServiceUnavailableError, "overloaded_error"),
    (529, 503, anthropic.ServiceUnavailableError, "overloaded_error"),
]


@pytest.mark.parametrize("status, got, kind, word", CLASSES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_is_of_the_class_of_its_status(client, dialect, status, got, kind, word, stream):
    if dialect == "messages":
        got, kind = status, {529: anthropic.OverloadedError}.get(status, kind)
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(**request_of(dialect, behaviour={"status": status, "retry_after": 17}), stream=stream)
    error = raised.value
    assert isinstance(error, kind) and error.status_code == got
    assert (error.body["type"], error.body["error"]["type"]) == ("error", word)
    assert "A fault that was asked for." in error.body["error"]["message"]
    assert error.response.headers["retry-after"] == "17"


@pytest.mark.parametrize("behaviour", [{}, {"status": 429}])
def test_a_translated_answer_has_the_id_that_the_sdk_shows(client, behaviour):
    try:
        request_id = client.messages.create(**request_of("chat", behaviour=behaviour))._request_id
    except anthropic.RateLimitError as error:
        request_id = error.request_id
    assert request_id and len(request_id) == 36


def test_the_gateways_own_errors_are_of_their_class(client, translator):
    with pytest.raises(anthropic.NotFoundError) as raised:
        client.messages.create(**{**request_of("chat"), "model": "no-such-model"})
    assert raised.value.body["error"]["type"] == "not_found_error"
    wrong = anthropic.Anthropic(base_url=f"http://{translator.address}", api_key="wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as raised:
        wrong.messages.create(**request_of("chat"))
    assert raised.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("end", ["error_after_events", "cut_after_events"])
def test_a_stream_that_breaks_raises_and_never_ends_well(client, dialect, end):
    stream = client.messages.create(**request_of(dialect, behaviour={"events": 20, "pace_ms": 2, end: 9}), stream=True)
    events = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in stream:
            events.append(event)
    assert raised.value.body["error"]["type"] in ("overloaded_error", "api_error")
    texts = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert texts and texts == [f"word{index} " for index in range(len(texts))]
    assert not {"message_delta", "message_stop"} & {event.type for event in events}


def test_tokens_are_counted_by_the_provider_that_can(client):
    count = client.messages.count_tokens(model=MODELS["messages"], messages=ask(told(input_tokens=7)))
    assert count.input_tokens == 7


def test_models_are_listed_in_anthropics_shape(client):
    page = client.models.list(limit=1000)
    ids = [model.id for model in page.data]
    assert {CHAT, "anthropic/simulated-chat", "gemini/simulated-chat"} <= set(ids)
    assert {model.type for model in page.data} == {"model"}
    assert client.models.retrieve(CHAT).id == CHAT
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_token_serves_as_a_key(translator):
    with anthropic.Anthropic(base_url=f"http://{translator.address}", auth_token=KEY, max_retries=0) as client:
        assert client.messages.create(**request_of("chat", behaviour={"content": "in"})).content[0].text == "in"
