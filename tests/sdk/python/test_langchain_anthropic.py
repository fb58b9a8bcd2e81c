"""LangChain's Anthropic models through the gateway, against providers of every dialect."""

import anthropic
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from support import KEY, MODELS, PATHS, told

TEXT = "Grüße from a chain 🦀"
COUNTS = {"input_tokens": 10, "output_tokens": 9, "cached_tokens": 5}


def chat_of(translator, dialect, **options):
    root = f"http://{translator.address}"
    return ChatAnthropic(model=MODELS[dialect], base_url=root, api_key=KEY, max_retries=0, max_tokens=2000, **options)


def whole_of(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def test_a_chat_is_invoked_with_usage(translator, provider, dialect):
    answer = chat_of(translator, dialect).invoke([SystemMessage("Be brief."), HumanMessage(told(content=TEXT, **COUNTS))])
    assert provider.last()["path"].startswith(PATHS[dialect])
    assert (answer.content, answer.response_metadata["stop_reason"]) == (TEXT, "end_turn")
    usage = answer.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"], usage["input_token_details"]["cache_read"]) == (15, 9, 5)


def test_a_chat_is_streamed_with_usage(translator, dialect):
    chunks = list(chat_of(translator, dialect).stream(told(content=TEXT, **COUNTS)))
    whole = whole_of(chunks)
    assert (whole.text, whole.response_metadata["stop_reason"]) == (TEXT, "end_turn")
    assert len([chunk for chunk in chunks if chunk.text]) == len(TEXT.split())
    assert whole.usage_metadata["output_tokens"] == 9


@tool
def weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days} days"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_bound_called_and_answered(translator, dialect, stream):
    bound = chat_of(translator, dialect).bind_tools([weather])
    question = HumanMessage(told(thinking=1, tools=2))
    answer = whole_of(list(bound.stream([question]))) if stream else bound.invoke([question])
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Paris", "days": 7})] * 2
    results = [weather.invoke(call) for call in answer.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    final = bound.invoke([question, answer, *results])
    said = "sunny in Paris for 7 days"
    assert final.tool_calls == [] and final.text == f"This is the simulated provider. The tool said: {said} | {said}"


class Step(BaseModel):
    text: str
    minutes: int


class Recipe(BaseModel):
    """A recipe."""

    title: str
    steps: list[Step]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_of_its_class(translator, dialect, method):
    chain = chat_of(translator, dialect).with_structured_output(Recipe, method=method)
    assert chain.invoke("hi") == Recipe(title="text", steps=[Step(text="text", minutes=7)])


def test_errors_are_those_of_the_sdk(translator, dialect):
    with pytest.raises(anthropic.RateLimitError):
        chat_of(translator, dialect).invoke(told(status=429))
