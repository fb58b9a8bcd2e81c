"""LangChain's OpenAI models through the gateway."""

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from support import CHAT, EMBED, KEY, sim

TEXT = "Grüße from a chain 🦀"


def chat_of(gateway, **options):
    return ChatOpenAI(model=CHAT, base_url=gateway.base_url, api_key=KEY, max_retries=0, use_responses_api=False, **options)


def test_a_chat_is_invoked_with_usage(gateway):
    answer = chat_of(gateway, extra_body=sim(content=TEXT)).invoke([HumanMessage("hi")])
    assert isinstance(answer, AIMessage) and answer.content == TEXT
    assert answer.usage_metadata["output_tokens"] == len(TEXT.split())
    assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("stream_usage", [True, False])
def test_a_chat_is_streamed_with_usage_only_when_asked(gateway, stream_usage):
    chunks = list(chat_of(gateway, stream_usage=stream_usage, extra_body=sim(content=TEXT)).stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == TEXT
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert [usage["output_tokens"] for usage in usages] == ([len(TEXT.split())] if stream_usage else [])


@tool
def weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days} days"


def test_tools_are_bound_called_and_answered(gateway):
    bound = chat_of(gateway).bind_tools([weather])
    answer = bound.invoke("hi")
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris", "days": 7})
    result = weather.invoke(call)
    assert isinstance(result, ToolMessage) and result.content == "sunny in Paris for 7 days"
    final = bound.invoke([HumanMessage("hi"), answer, result])
    assert final.tool_calls == [] and final.content.startswith("This is the simulated provider.")


def test_streamed_tool_calls_come_together(gateway):
    chunks = list(chat_of(gateway, extra_body=sim(calls=2)).bind_tools([weather]).stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    want = [("weather", {"city": "Paris", "days": 7})] * 2
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == want


class Step(BaseModel):
    text: str
    minutes: int


class Recipe(BaseModel):
    """A recipe."""

    title: str
    steps: list[Step]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_of_its_class(gateway, method):
    chain = chat_of(gateway).with_structured_output(Recipe, method=method)
    assert chain.invoke("hi") == Recipe(title="text", steps=[Step(text="text", minutes=7)])


def test_embeddings_of_documents_and_queries(gateway):
    embeddings = OpenAIEmbeddings(
        model=EMBED, base_url=gateway.base_url, api_key=KEY, check_embedding_ctx_length=False, max_retries=0
    )
    documents = embeddings.embed_documents(["a", "b"])
    assert [vector[:2] for vector in documents] == [[0.0, 7 / 128], [31 / 128, 38 / 128]]
    assert embeddings.embed_query("a") == documents[0]


def test_errors_are_those_of_the_sdk(gateway):
    # LangChain wraps some of the SDK's errors in subclasses of its own.
    with pytest.raises(openai.AuthenticationError):
        ChatOpenAI(model=CHAT, base_url=gateway.base_url, api_key="wrong", max_retries=0).invoke("hi")
    with pytest.raises(openai.RateLimitError):
        chat_of(gateway, extra_body=sim(status=429, retry_after=0.01)).invoke("hi")


def test_a_stream_that_is_cut_raises(gateway):
    seen = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in chat_of(gateway, extra_body=sim(content=TEXT, pace_ms=1, cut_after_events=3)).stream("hi"):
            seen.append(chunk.content)
    assert raised.value.code == "upstream_cut" and "".join(seen) == "Grüße from "
