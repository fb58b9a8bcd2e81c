"""OpenAI's Responses by its SDK, against providers of every dialect."""

import json

import openai
import pytest
from pydantic import BaseModel

from support import MODELS, PATHS, told

TEXT = 'Grüße, 世界! one two  three 🦀 "quoted" \\ end'
COUNTS = {"input_tokens": 10, "output_tokens": 9, "cached_tokens": 5, "reasoning_tokens": 0}


@pytest.fixture
def client(translator, make_client):
    return make_client(translator).responses


def request_of(dialect, text="hi", behaviour={}, **more):
    return {"model": MODELS[dialect], "input": told(text, **behaviour), **more}


def test_a_response_is_created_in_the_words_of_the_provider(client, provider, dialect):
    answer = client.create(**request_of(dialect, behaviour={"content": TEXT, **COUNTS}))
    assert provider.last()["path"].startswith(PATHS[dialect])
    assert (answer.object, answer.status, answer.error, answer.incomplete_details) == ("response", "completed", None, None)
    assert (answer.output_text, answer.model) == (TEXT, MODELS[dialect].split("/")[1])
    (message,) = answer.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    assert message.content[0].annotations == [] and answer.created_at > 1_700_000_000
    usage = answer.usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (15, 5)
    assert (usage.output_tokens, usage.output_tokens_details.reasoning_tokens, usage.total_tokens) == (9, 0, 24)


def kinds_of(events):
    """The types in order, repeated ones once."""
    kinds = [event.type.removeprefix("response.") for event in events]
    return [kind for at, kind in enumerate(kinds) if kind != kinds[at - 1] or at == 0]


MESSAGE = [
    "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]


def test_a_stream_has_the_events_of_a_response_in_order(client, provider, dialect):
    events = list(client.create(**request_of(dialect, behaviour={"events": 3, **COUNTS}), stream=True))
    assert provider.last()["path"].startswith(PATHS[dialect])
    assert kinds_of(events) == ["created", "in_progress", *MESSAGE, "completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["word0 ", "word1 ", "word2 "]
    (done,) = [event.text for event in events if event.type == "response.output_text.done"]
    whole = events[-1].response
    assert done == whole.output_text == "word0 word1 word2 "
    of_items = [event for event in events if hasattr(event, "item_id")]
    assert {event.item_id for event in of_items} == {whole.output[0].id}
    assert {event.output_index for event in of_items} == {0}
    usage = whole.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (15, 9, 24)
    assert events[0].response.id == whole.id and events[0].response.status == "in_progress"


def test_reasoning_is_an_item_before_the_message(client, dialect):
    request = request_of(dialect, behaviour={"thinking": 2, "events": 2}, reasoning={"effort": "low", "summary": "auto"})
    answer = client.create(**request)
    # Gemini signs the text too: what it wants back stands beside the message, where only it is read.
    thought, *state, message = answer.output
    assert [(item.type, item.summary[0].text) for item in state] == [("reasoning", "")] * (dialect == "gemini")
    assert (thought.type, message.type) == ("reasoning", "message")
    assert thought.summary[0].text == "thought0 thought1 " and answer.output_text == "word0 word1 "
    with client.stream(**request) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == final.output[0].summary[0].text == "thought0 thought1 "
    assert final.output_text == "word0 word1 "
    added = [(event.output_index, event.item.type) for event in events if event.type == "response.output_item.added"]
    assert added == [(0, "reasoning"), (1, "message"), (2, "reasoning")][: 3 if dialect == "gemini" else 2]


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "name": name, "parameters": parameters, "strict": True}


WEATHER = tool("weather", city={"type": "string"}, days={"type": "integer"})
CLOCK = tool("clock", zone={"type": "string"})
NOTHING = tool("nothing")
CALLS = [("weather", {"city": "Paris", "days": 7}), ("clock", {"zone": "text"}), ("nothing", {})]


def test_streamed_calls_are_items_of_their_own(client, dialect):
    request = request_of(dialect, behaviour={"tools": 3, "events": 1}, tools=[WEATHER, CLOCK, NOTHING])
    events = list(client.create(**request, stream=True))
    whole = events[-1].response
    assert events[-1].type == "response.completed"
    assert [item.type for item in whole.output] == ["message", "function_call", "function_call", "function_call"]
    calls = whole.output[1:]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == CALLS
    assert len({call.call_id for call in calls}) == len({call.id for call in calls}) == 3
    for index, call in enumerate(calls, start=1):
        mine = [event for event in events if getattr(event, "output_index", None) == index]
        kinds = kinds_of(mine)
        assert kinds == CALL or (call.name == "nothing" and set(kinds) < set(CALL))
        pieces = [event.delta for event in mine if event.type == "response.function_call_arguments.delta"]
        (done,) = [event.arguments for event in mine if event.type == "response.function_call_arguments.done"]
        assert done == call.arguments and "".join(pieces) in (done, "")


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_answered(client, dialect, stream):
    request = request_of(dialect, behaviour={"tools": 2, "thinking": 1}, tools=[WEATHER, CLOCK])
    if stream:
        with client.stream(**request) as running:
            running.until_done()
            answer = running.get_final_response()
    else:
        answer = client.create(**request)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == CALLS[:2]
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name}!"} for call in calls]
    history = [{"role": "user", "content": request["input"]}]
    history += [item.to_dict() for item in answer.output] + outputs
    final = client.create(**{**request, "input": history})
    assert final.output_text == "This is the simulated provider. The tool said: weather! | clock!"


@pytest.mark.parametrize(
    "choice, want",
    [("auto", "weather"), ("required", "weather"), ({"type": "function", "name": "clock"}, "clock"), ("none", None)],
)
def test_the_choice_of_a_tool_reaches_the_provider(client, dialect, choice, want):
    answer = client.create(**request_of(dialect, tools=[WEATHER, CLOCK], tool_choice=choice))
    assert [item.name for item in answer.output if item.type == "function_call"] == ([want] if want else [])


class Weather(BaseModel):
    city: str
    days: int
    is_wet: bool


PARSED = Weather(city="Paris", days=7, is_wet=True)


def test_structured_output_is_parsed_whole_and_streamed(client, dialect):
    assert client.parse(**request_of(dialect), text_format=Weather).output_parsed == PARSED
    with client.stream(**request_of(dialect), text_format=Weather) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == PARSED


def test_the_arguments_of_a_tool_are_parsed(client, dialect):
    answer = client.parse(**request_of(dialect, tools=[openai.pydantic_function_tool(Weather)]))
    assert answer.output[0].parsed_arguments == PARSED


@pytest.mark.parametrize("finish, reason", [("length", "max_output_tokens"), ("filter", "content_filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_not_whole_says_so(client, dialect, finish, reason, stream):
    answer = client.create(**request_of(dialect, behaviour={"finish": finish, "events": 2}), stream=stream)
    if stream:
        last = list(answer)[-1]
        assert last.type == "response.incomplete"
        answer = last.response
    assert (answer.status, answer.incomplete_details.reason, answer.output_text) == ("incomplete", reason, "word0 word1 ")


def test_settings_of_the_request_reach_the_provider(client, provider, dialect):
    settings = {"instructions": "Be brief.", "max_output_tokens": 77, "temperature": 0.5}
    answer = client.create(**request_of(dialect, **settings))
    assert (answer.instructions, answer.max_output_tokens, answer.temperature) == ("Be brief.", 77, 0.5) or dialect == "responses"
    body = provider.last()["body"]
    if dialect == "chat":
        assert body["messages"][0]["content"] == "Be brief."
        assert (body["max_tokens"], body["temperature"]) == (77, 0.5)
    elif dialect == "messages":
        assert [block["text"] for block in body["system"]] == ["Be brief."]
        assert (body["max_tokens"], body["temperature"]) == (77, 0.5)
    elif dialect == "gemini":
        assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
        assert (body["generationConfig"]["maxOutputTokens"], body["generationConfig"]["temperature"]) == (77, 0.5)
    elif dialect == "converse":
        assert body["system"] == [{"text": "Be brief."}]
        assert body["inferenceConfig"] == {"maxTokens": 77, "temperature": 0.5}
    else:
        assert settings.items() <= body.items()


# The status that a provider's error has when it was put into another dialect.
STATUSES = [
    (400, 400, openai.BadRequestError),
    (403, 403, openai.PermissionDeniedError),
    (404, 404, openai.NotFoundError),
    (422, 422, openai.UnprocessableEntityError),
    (429, 429, openai.RateLimitError),
    (500, 502, openai.InternalServerError),
    (503, 503, openai.InternalServerError),
]


@pytest.mark.parametrize("status, got, kind", STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_providers_error_is_of_the_class_of_its_status(client, dialect, status, got, kind, stream):
    got = status if dialect == "responses" else got
    with pytest.raises(openai.APIStatusError) as raised:
        client.create(**request_of(dialect, behaviour={"status": status}), stream=stream)
    error = raised.value
    assert (type(error), error.status_code) == (kind, got)
    assert set(error.body) == {"message", "type", "param", "code"} and error.code
    assert "A fault that was asked for." in error.message


def test_what_needs_a_memory_is_refused_where_there_is_none(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.create(**request_of("messages"), previous_response_id="resp_1")
    assert raised.value.param == "previous_response_id"


@pytest.mark.parametrize("end", ["error_after_events", "cut_after_events"])
def test_a_stream_that_breaks_fails_and_is_never_completed(client, dialect, end):
    behaviour = {"events": 20, "pace_ms": 2, end: 9}
    events = []
    try:
        for event in client.create(**request_of(dialect, behaviour=behaviour), stream=True):
            events.append(event)
    except openai.APIError:
        pass
    else:
        # The Responses API has an event for it, which the SDK hands on.
        assert events[-1].type in ("response.failed", "error")
    kinds = {event.type for event in events}
    assert "response.output_text.delta" in kinds and not {"response.completed", "response.output_text.done"} & kinds
