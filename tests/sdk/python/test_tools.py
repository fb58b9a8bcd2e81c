"""Tool calls and structured output: whole, in fragments, and through the SDK's own parsers."""

import enum
import json
from typing import Optional

import openai
import pytest
from pydantic import BaseModel

from support import CHAT, ask, sim


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = tool("weather", city={"type": "string"}, days={"type": "integer"}, unit={"enum": ["C", "F"]})
CLOCK = tool("clock", zones={"type": "array", "items": {"type": "string"}})
NOTHING = tool("nothing")
WEATHER_ARGUMENTS = {"city": "Paris", "days": 7, "unit": "C"}


def test_a_tool_is_called_and_its_answer_answered(client):
    answer = client.chat.completions.create(model=CHAT, messages=ask(), tools=[WEATHER, CLOCK])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == WEATHER_ARGUMENTS
    history = [*ask(), choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    final = client.chat.completions.create(model=CHAT, messages=history, tools=[WEATHER], extra_body=sim(echo=True))
    assert final.choices[0].finish_reason == "stop"
    told = json.loads(final.choices[0].message.content)["messages"]
    assert told[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": call.function.arguments}
    assert told[2] == {"role": "tool", "tool_call_id": call.id, "content": "sunny"}


@pytest.mark.parametrize(
    "choice, want",
    [("auto", "weather"), ("required", "weather"), ({"type": "function", "function": {"name": "clock"}}, "clock"), ("none", None)],
)
def test_the_choice_of_a_tool_reaches_the_provider(client, choice, want):
    answer = client.chat.completions.create(model=CHAT, messages=ask(), tools=[WEATHER, CLOCK], tool_choice=choice)
    calls = answer.choices[0].message.tool_calls
    assert (calls[0].function.name if calls else None) == want


def test_fragments_of_parallel_calls_keep_their_index(client):
    request = dict(model=CHAT, messages=ask(), tools=[WEATHER, CLOCK, NOTHING], extra_body=sim(calls=3))
    whole = client.chat.completions.create(**request).choices[0].message.tool_calls
    got, finish = {}, []
    for chunk in client.chat.completions.create(stream=True, **request):
        finish.append(chunk.choices[0].finish_reason)
        for part in chunk.choices[0].delta.tool_calls or []:
            call = got.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": []})
            call["arguments"].append(part.function.arguments)
    assert finish[-1] == "tool_calls" and not any(finish[:-1])
    assert sorted(got) == [0, 1, 2] and len({call["id"] for call in got.values()}) == 3
    assert [call.function.name for call in whole] == ["weather", "clock", "nothing"]
    for index, call in enumerate(whole):
        assert (got[index]["id"], got[index]["name"]) == (call.id, call.function.name)
        assert "".join(got[index]["arguments"]) == call.function.arguments
    assert json.loads(whole[0].function.arguments) == WEATHER_ARGUMENTS and len(got[0]["arguments"]) > 3
    assert whole[2].function.arguments == "{}"


class Unit(str, enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Reading(BaseModel):
    degrees: float
    unit: Unit


class Weather(BaseModel):
    """The weather of a place."""

    city: str
    readings: list[Reading]
    is_wet: bool
    note: Optional[str]
    days: int


WEATHER_PARSED = Weather(
    city="Paris", readings=[Reading(degrees=1.5, unit=Unit.CELSIUS)], is_wet=True, note="text", days=7
)


def test_structured_output_is_parsed_into_a_model(client):
    answer = client.chat.completions.parse(model=CHAT, messages=ask(), response_format=Weather)
    assert answer.choices[0].message.parsed == WEATHER_PARSED
    assert answer.choices[0].message.refusal is None


def test_streamed_structured_output_is_parsed_at_its_end(client):
    with client.chat.completions.stream(model=CHAT, messages=ask(), response_format=Weather) as stream:
        done = [event.parsed for event in stream if event.type == "content.done"]
        final = stream.get_final_completion()
    assert done == [WEATHER_PARSED] and final.choices[0].message.parsed == WEATHER_PARSED


def test_the_arguments_of_a_tool_are_parsed_whole_and_streamed(client):
    request = dict(model=CHAT, messages=ask(), tools=[openai.pydantic_function_tool(Weather)])
    answer = client.chat.completions.parse(**request)
    assert answer.choices[0].message.tool_calls[0].function.parsed_arguments == WEATHER_PARSED
    with client.chat.completions.stream(**request) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.index, event.parsed_arguments) for event in done] == [("Weather", 0, WEATHER_PARSED)]


def test_an_answer_that_is_not_of_the_shape_raises_in_the_parser_and_not_before(client):
    with pytest.raises(ValueError):
        client.chat.completions.parse(model=CHAT, messages=ask(), response_format=Weather, extra_body=sim(content="{}"))
