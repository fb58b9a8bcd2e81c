"""Chat, streams and completions as applications call them; what they send and get is compared, not just received."""

import asyncio
import json

import openai
import pytest

from support import CHAT, DRIVER, KEY, Counted, ask, sim


def test_the_gateway_runs_on_the_event_loop_that_was_asked_for(gateway):
    loop = gateway.first_line.split(" shards on ")[1].split(";")[0]
    assert loop == DRIVER or DRIVER == "auto"


@pytest.mark.parametrize("model", [CHAT, "simulated-chat"])
def test_a_chat_is_answered_with_usage(client, model):
    answer = client.chat.completions.create(model=model, messages=ask())
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.finish_reason == "stop"
    assert choice.message.content.startswith("This is the simulated provider.")
    assert answer.usage.completion_tokens == len(choice.message.content.split())
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == "simulated-chat"


def test_several_choices_come_apart(client):
    answer = client.chat.completions.create(model=CHAT, messages=ask(), n=3, extra_body=sim(content="same"))
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, "same"), (1, "same"), (2, "same")]


ODD_FIELDS = {
    "unknown": {"nested": [1, 2.50, -0.0, 1e300, None, True, {"deep": [[[[]]]]}]},
    "größe": "ü🦀\u2028\u0000\"\\",
    "cache_control": {"type": "ephemeral"},
    "empty": {},
}


@pytest.mark.parametrize("text", ["hi", "ü🦀\n\t\"\\ \u0000", "x" * (1 << 20)])
def test_a_provider_gets_the_very_bytes_of_the_sdk_but_for_the_models_name(client, text):
    body = {**ODD_FIELDS, **sim(echo=True)}
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT, messages=ask(text), temperature=0.3, seed=7, metadata={"a": "b"}, extra_body=body
    )
    sent = raw.http_request.content.decode()
    assert raw.parse().choices[0].message.content == sent.replace(f'"{CHAT}"', '"simulated-chat"', 1)
    assert json.loads(sent)["unknown"] == ODD_FIELDS["unknown"]


def test_a_stream_asks_for_usage_and_changes_nothing_else(client):
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT, messages=ask(), stream=True, extra_body={**ODD_FIELDS, **sim(echo=True)}
    )
    sent = raw.http_request.content.decode().replace(f'"{CHAT}"', '"simulated-chat"', 1)
    got = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    assert json.loads(got).pop("stream_options") == {"include_usage": True}
    assert got.replace(',"stream_options":{"include_usage":true}', "") == sent


TEXT = "Grüße, 世界! one two  three 🦀 \"quoted\" \\ end"


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_a_stream_without_usage_shows_none_although_the_gateway_counts_it(gateway, client, options):
    counted = Counted(gateway)
    stream = client.chat.completions.create(
        model=CHAT, messages=ask(), stream=True, extra_body=sim(content=TEXT), **options
    )
    chunks = list(stream)
    assert [chunk for chunk in chunks if chunk.usage is not None] == []
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant" and not any(delta.role for delta in deltas[1:])
    assert "".join(delta.content or "" for delta in deltas) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert counted.total("ringway_tokens_total", 'provider="simulated"', 'kind="out"') == len(TEXT.split())


def test_a_stream_with_usage_ends_with_one_chunk_of_it(client):
    stream = client.chat.completions.create(
        model=CHAT, messages=ask(), stream=True, stream_options={"include_usage": True}, extra_body=sim(content=TEXT)
    )
    *chunks, last = list(stream)
    assert last.choices == [] and last.usage.completion_tokens == len(TEXT.split())
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("behaviour", [{"pace_ms": 1}, {"drip_ms": 0}, {"events": 3000}])
def test_a_stream_is_whole_at_any_pace_and_length(client, behaviour):
    count = behaviour.get("events", 20)
    stream = client.chat.completions.create(
        model=CHAT, messages=ask(), stream=True, extra_body=sim(**{"events": count, **behaviour})
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == "".join(f"word{index} " for index in range(count))


def test_the_stream_helper_puts_the_answer_together(client):
    with client.chat.completions.stream(model=CHAT, messages=ask(), extra_body=sim(content=TEXT)) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == TEXT
    assert final.choices[0].finish_reason == "stop"


def test_completions_answer_whole_and_in_streams(client):
    body = sim(content=TEXT)
    answer = client.completions.create(model=CHAT, prompt="Say", extra_body=body)
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == ("text_completion", TEXT, "stop")
    assert answer.usage.completion_tokens == len(TEXT.split())
    chunks = list(client.completions.create(model=CHAT, prompt="Say", stream=True, extra_body=body))
    assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
    assert all(chunk.usage is None for chunk in chunks)
    options = {"include_usage": True}
    *_, last = client.completions.create(model=CHAT, prompt="Say", stream=True, stream_options=options, extra_body=body)
    assert last.choices == [] and last.usage.completion_tokens == len(TEXT.split())


def test_request_ids_and_rate_limit_headers_reach_the_client(client):
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=ask())
    assert len(raw.headers["x-request-id"]) == 36
    assert raw.parse()._request_id == raw.request_id == raw.headers["x-request-id"]
    assert raw.headers["x-upstream-request-id"] == "req_simulated"
    assert raw.headers["x-ratelimit-remaining-requests"] == "9999"
    own = client.chat.completions.with_raw_response.create(
        model=CHAT, messages=ask(), extra_headers={"x-request-id": "mine-1"}
    )
    assert own.headers["x-request-id"] == "mine-1"


def test_an_answer_can_be_read_as_it_comes(client):
    streaming = client.chat.completions.with_streaming_response
    with streaming.create(model=CHAT, messages=ask(), stream=True, extra_body=sim(events=3)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines) and lines[-1] == "data: [DONE]"
    assert lines.count("data: [DONE]") == 1


async def chat_of_each(gateway, count):
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:

        async def whole(index):
            answer = await client.chat.completions.create(
                model=CHAT, messages=ask(), extra_body=sim(content=f"answer {index}", delay_ms=index % 7)
            )
            return answer.choices[0].message.content

        async def streamed(index):
            stream = await client.chat.completions.create(
                model=CHAT, messages=ask(), stream=True, extra_body=sim(content=f"stream {index} of it", pace_ms=index % 5)
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        return await asyncio.gather(*map(whole, range(count)), *map(streamed, range(count)))


def test_concurrent_calls_of_the_async_client_get_each_their_own_answer(gateway):
    count = 40
    want = [f"answer {index}" for index in range(count)] + [f"stream {index} of it" for index in range(count)]
    assert asyncio.run(chat_of_each(gateway, count)) == want
