"""OpenAI's SDK and its chat completions against providers that speak other dialects: nothing tells them apart."""

import json

import openai
import pytest
from pydantic import BaseModel

from support import MODELS, PATHS, ask, told

DIALECTS = [dialect for dialect in MODELS if dialect != "chat"]
TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end'


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture
def client(translator, make_client):
    return make_client(translator)


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = tool("weather", city={"type": "string"}, days={"type": "integer"})
CLOCK = tool("clock", zones={"type": "array", "items": {"type": "string"}})
NOTHING = tool("nothing")
ARGUMENTS = {"city": "Paris", "days": 7}
COUNTS = {"input_tokens": 10, "output_tokens": 9, "cached_tokens": 5}


def request_of(dialect, text="hi", behaviour={}, **more):
    return {"model": MODELS[dialect], "messages": ask(told(text, **behaviour)), **more}


def test_a_chat_is_answered_in_the_words_of_the_provider(client, provider, dialect):
    answer = client.chat.completions.create(**request_of(dialect, behaviour={"content": TEXT, **COUNTS}))
    assert provider.last()["path"].startswith(PATHS[dialect])
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", TEXT, "stop")
    assert (answer.object, answer.model) == ("chat.completion", MODELS[dialect].split("/")[1])
    usage = answer.usage
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (15, 5)
    assert (usage.completion_tokens, usage.total_tokens) == (9, 24)


@pytest.mark.parametrize("includes_usage", [False, True])
def test_a_stream_has_one_role_one_end_and_usage_when_asked(client, dialect, includes_usage):
    request = request_of(dialect, behaviour={"content": TEXT, **COUNTS}, stream=True)
    if includes_usage:
        request["stream_options"] = {"include_usage": True}
    chunks = list(client.chat.completions.create(**request))
    if includes_usage:
        last = chunks.pop()
        assert last.choices == [] and (last.usage.prompt_tokens, last.usage.completion_tokens) == (15, 9)
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant" and not any(delta.role for delta in deltas[1:])
    assert "".join(delta.content or "" for delta in deltas) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("finish, reason", [("length", "length"), ("filter", "content_filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_to_finish_is_one_of_chats(client, dialect, finish, reason, stream):
    answer = client.chat.completions.create(**request_of(dialect, behaviour={"finish": finish, "events": 2}), stream=stream)
    choice = list(answer)[-1].choices[0] if stream else answer.choices[0]
    assert choice.finish_reason == reason


def test_thoughts_come_apart_from_the_answer(client, dialect):
    request = request_of(dialect, behaviour={"thinking": 2, "events": 2}, reasoning_effort="low", max_tokens=4000)
    message = client.chat.completions.create(**request).choices[0].message
    assert (message.reasoning_content, message.content) == ("thought0 thought1 ", "word0 word1 ")
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**request, stream=True)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "thought0 thought1 "
    assert "".join(delta.content or "" for delta in deltas) == "word0 word1 "


def test_fragments_of_parallel_calls_keep_their_index(client, dialect):
    request = request_of(dialect, behaviour={"tools": 3}, tools=[WEATHER, CLOCK, NOTHING])
    whole = client.chat.completions.create(**request)
    got, finish = {}, []
    for chunk in client.chat.completions.create(stream=True, **request):
        finish.append(chunk.choices[0].finish_reason)
        for part in chunk.choices[0].delta.tool_calls or []:
            call = got.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
            call["arguments"] += part.function.arguments
    assert (finish[-1], any(finish[:-1]), whole.choices[0].finish_reason) == ("tool_calls", False, "tool_calls")
    calls = whole.choices[0].message.tool_calls
    want = [("weather", ARGUMENTS), ("clock", {"zones": ["text"]}), ("nothing", {})]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == want
    assert [(got[index]["name"], json.loads(got[index]["arguments"])) for index in sorted(got)] == want
    assert sorted(got) == [0, 1, 2] and len({call["id"] for call in got.values()}) == 3
    assert len({call.id for call in calls}) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_answered(client, dialect, stream):
    request = request_of(dialect, behaviour={"tools": 2, "thinking": 1}, tools=[WEATHER, CLOCK])
    if stream:
        with client.chat.completions.stream(**request) as running:
            message = running.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**request).choices[0].message
    first, second = message.tool_calls
    results = [
        {"role": "tool", "tool_call_id": first.id, "content": "sunny"},
        {"role": "tool", "tool_call_id": second.id, "content": [{"type": "text", "text": "noon"}]},
    ]
    history = [*request["messages"], message.to_dict(), *results]
    final = client.chat.completions.create(**{**request, "messages": history}).choices[0]
    assert final.finish_reason == "stop"
    assert final.message.content == "This is the simulated provider. The tool said: sunny | noon"


@pytest.mark.parametrize(
    "choice, want",
    [("auto", "weather"), ("required", "weather"), ({"type": "function", "function": {"name": "clock"}}, "clock"), ("none", None)],
)
def test_the_choice_of_a_tool_reaches_the_provider(client, dialect, choice, want):
    answer = client.chat.completions.create(**request_of(dialect, tools=[WEATHER, CLOCK], tool_choice=choice))
    calls = answer.choices[0].message.tool_calls
    assert (calls[0].function.name if calls else None) == want


class Weather(BaseModel):
    city: str
    days: int
    is_wet: bool


PARSED = Weather(city="Paris", days=7, is_wet=True)


def test_structured_output_is_parsed_whole_and_streamed(client, dialect):
    request = request_of(dialect, response_format=Weather)
    answer = client.chat.completions.parse(**request).choices[0]
    assert (answer.message.parsed, answer.finish_reason, answer.message.tool_calls or []) == (PARSED, "stop", [])
    with client.chat.completions.stream(**request) as stream:
        final = stream.get_final_completion().choices[0]
    assert (final.message.parsed, final.finish_reason) == (PARSED, "stop")


def test_the_arguments_of_a_tool_are_parsed_whole_and_streamed(client, dialect):
    request = request_of(dialect, tools=[openai.pydantic_function_tool(Weather)])
    answer = client.chat.completions.parse(**request)
    assert answer.choices[0].message.tool_calls[0].function.parsed_arguments == PARSED
    with client.chat.completions.stream(**request) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.index, event.parsed_arguments) for event in done] == [("Weather", 0, PARSED)]


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_come_apart_where_the_dialect_has_them(client, stream):
    answer = client.chat.completions.create(**request_of("gemini", behaviour={"content": "same"}), n=3, stream=stream)
    texts = {}
    for choice in [choice for chunk in answer for choice in chunk.choices] if stream else answer.choices:
        texts[choice.index] = texts.get(choice.index, "") + ((choice.delta if stream else choice.message).content or "")
    assert texts == {0: "same", 1: "same", 2: "same"}


@pytest.mark.parametrize("dialect", ["messages", "converse", "responses"], indirect=True)
def test_several_choices_are_refused_where_it_has_not(client, dialect):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**request_of(dialect), n=3)
    assert (raised.value.code, raised.value.param) == ("unsupported_field", "n")


def test_settings_of_the_request_reach_the_provider(client, provider, dialect):
    request = request_of(dialect, max_tokens=77, temperature=0.5, top_p=0.25)
    request["messages"].insert(0, {"role": "system", "content": "Be brief."})
    client.chat.completions.create(**request)
    body = provider.last()["body"]
    if dialect == "messages":
        assert [block["text"] for block in body["system"]] == ["Be brief."]
        assert (body["max_tokens"], body["temperature"]) == (77, 0.5)
    elif dialect == "gemini":
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
        config = body["generationConfig"]
        assert (config["maxOutputTokens"], config["temperature"], config["topP"]) == (77, 0.5, 0.25)
    elif dialect == "converse":
        assert body["system"] == [{"text": "Be brief."}]
        assert body["inferenceConfig"] == {"maxTokens": 77, "temperature": 0.5, "topP": 0.25}
    else:
        assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (77, 0.5, 0.25)


# The status that a provider's error has when it was put into another dialect.
STATUSES = [
    (400, 400, openai.BadRequestError),
    (403, 403, openai.PermissionDeniedError),
    (404, 404, openai.NotFoundError),
    (422, 422, openai.UnprocessableEntityError),
    (429, 429, openai.RateLimitError),
    (500, 502, openai.InternalServerError),
    (503, 503, openai.InternalServerError),
    (529, 503, openai.InternalServerError),
]


@pytest.mark.parametrize("status, got, kind", STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_is_of_the_class_of_its_status(client, dialect, status, got, kind, stream):
    with pytest.raises(kind) as raised:
        client.chat.completions.create(**request_of(dialect, behaviour={"status": status, "retry_after": 17}), stream=stream)
    error = raised.value
    assert (type(error), error.status_code) == (kind, got)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert "A fault that was asked for." in error.message
    assert error.response.headers["retry-after"] == "17"


@pytest.mark.parametrize("end", ["error_after_events", "cut_after_events"])
def test_a_stream_that_breaks_raises_and_never_ends_well(client, dialect, end):
    behaviour = {"events": 20, "pace_ms": 2, end: 9}
    chunks = []
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(**request_of(dialect, behaviour=behaviour), stream=True):
            chunks.append(chunk)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text and text == "".join(f"word{index} " for index in range(len(text.split())))
    assert not any(chunk.choices[0].finish_reason for chunk in chunks)
