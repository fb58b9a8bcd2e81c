"""Retries on either side, timeouts on either side, answers that are cut, and clients that leave."""

import asyncio

import openai
import pytest

from support import CHAT, GOOD_ANSWER, KEY, Counted, ask, bad_answer, eventually, sim


def chats(counted):
    return counted.total("ringway_requests_total", 'endpoint="chat"')


def retry_count(error):
    """How often the SDK had tried before the request that failed."""
    return int(error.request.headers["x-stainless-retry-count"])


@pytest.mark.parametrize("retries", [0, 2])
def test_the_sdk_retries_as_set_when_the_gateway_does_not(plain_gateway, make_client, retries):
    counted = Counted(plain_gateway)
    client = make_client(plain_gateway, max_retries=retries)
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), extra_body=sim(status=503, retry_after=0.01))
    assert retry_count(raised.value) == retries
    assert chats(counted) == retries + 1
    assert counted.total("ringway_retries_total") == 0


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_does_not_retry_what_the_gateway_has_retried(gateway, make_client, status, stream):
    counted = Counted(gateway)
    client = make_client(gateway, max_retries=3)
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(
            model=CHAT, messages=ask(), stream=stream, extra_body=sim(status=status, retry_after=0.01)
        )
    assert raised.value.status_code == status and raised.value.response.headers["x-should-retry"] == "false"
    assert retry_count(raised.value) == 0 and chats(counted) == 1
    assert counted.total("ringway_retries_total", 'provider="simulated"', 'reason="status"') == 2


def test_an_error_that_no_retry_can_help_is_asked_for_once(gateway, make_client):
    counted = Counted(gateway)
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        make_client(gateway, max_retries=3).chat.completions.create(
            model=CHAT, messages=ask(), extra_body=sim(status=422)
        )
    assert retry_count(raised.value) == 0 and chats(counted) == 1 and counted.total("ringway_retries_total") == 0


def test_a_provider_that_recovers_costs_the_client_nothing(gateway, client, scripted):
    scripted.will_answer(bad_answer(503), bad_answer(429, **{"retry-after-ms": 1}), GOOD_ANSWER)
    counted = Counted(gateway)
    answer = client.chat.completions.create(model="vllm/scripted", messages=ask())
    assert answer.choices[0].message.content == "good" and chats(counted) == 1
    bodies = [body for _, body in scripted.seen]
    assert len(bodies) == 3 and len(set(bodies)) == 1


def test_a_retry_of_the_sdk_succeeds_behind_a_gateway_that_asks_once(plain_gateway, make_client, scripted):
    scripted.will_answer(bad_answer(429, **{"retry-after-ms": 1}), GOOD_ANSWER)
    client = make_client(plain_gateway, max_retries=1)
    answer = client.chat.completions.create(model="vllm/scripted", messages=ask())
    assert answer.choices[0].message.content == "good" and len(scripted.seen) == 2


def test_a_timeout_of_the_client_frees_the_provider(gateway, make_client):
    counted = Counted(gateway)
    client = make_client(gateway, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=CHAT, messages=ask(), extra_body=sim(stall="head"))
    left(gateway, counted, 1)


def test_a_timeout_of_the_client_in_a_stream_frees_the_provider(gateway, make_client):
    counted = Counted(gateway)
    stream = make_client(gateway, timeout=1).chat.completions.create(
        model=CHAT, messages=ask(), stream=True, extra_body=sim(stall="body")
    )
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(Exception) as raised:
        next(stream)
    assert "timeout" in type(raised.value).__name__.lower()
    left(gateway, counted, 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_does_not_begin_is_a_gateway_timeout(impatient_gateway, make_client, stream):
    with pytest.raises(openai.APIStatusError) as raised:
        make_client(impatient_gateway).chat.completions.create(
            model=CHAT, messages=ask(), stream=stream, extra_body=sim(stall="head")
        )
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_first_byte_timeout")


def test_a_provider_that_stops_in_its_answer_is_a_gateway_timeout(impatient_gateway, make_client):
    client = make_client(impatient_gateway)
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), extra_body=sim(stall="body"))
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_idle_timeout")


def read_until_error(stream):
    """The chunks that came, and the error that ended them; fails when the stream ends as if it were whole."""
    chunks = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in stream:
            chunks.append(chunk)
    return chunks, raised.value


def test_a_provider_that_stops_in_a_stream_is_an_error_in_it(impatient_gateway, make_client):
    stream = make_client(impatient_gateway).chat.completions.create(
        model=CHAT, messages=ask(), stream=True, extra_body=sim(stall="body")
    )
    chunks, error = read_until_error(stream)
    assert len(chunks) == 1 and error.code == "upstream_idle_timeout"


@pytest.mark.parametrize("way", ["cut_after_events", "reset_after_events"])
@pytest.mark.parametrize("count", [1, 3, 21])
def test_a_stream_that_is_cut_raises_and_never_ends_well(client, way, count):
    # 22 events hold everything but the finish reason and the marker.
    stream = client.chat.completions.create(
        model=CHAT, messages=ask(), stream=True, extra_body=sim(events=21, pace_ms=1, **{way: count})
    )
    chunks, error = read_until_error(stream)
    assert len(chunks) <= count and (way.startswith("reset") or len(chunks) == count)
    assert error.code == "upstream_cut" and not any(chunk.choices[0].finish_reason for chunk in chunks)


def test_the_stream_helper_raises_on_a_cut(client):
    with client.chat.completions.stream(model=CHAT, messages=ask(), extra_body=sim(cut_after_events=2)) as stream:
        with pytest.raises(openai.APIError) as raised:
            stream.get_final_completion()
    assert raised.value.code == "upstream_cut"


def test_a_stream_that_is_cut_before_its_first_event_is_a_server_error(client):
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), stream=True, extra_body=sim(cut_after_events=0))
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_cut")


@pytest.mark.parametrize("way", ["cut_after_bytes", "reset_after_bytes"])
def test_a_short_answer_that_is_cut_is_a_server_error(client, way):
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), extra_body=sim(**{way: 100}))
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_cut")


@pytest.mark.parametrize("way", ["cut_after_bytes", "reset_after_bytes"])
def test_a_long_answer_that_is_cut_is_a_connection_error(client, way):
    body = sim(content="long " * 100_000, **{way: 300_000})
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=CHAT, messages=ask(), extra_body=body)


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_a_server_error(client, stream):
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=CHAT, messages=ask(), stream=stream, extra_body=sim(garbage=True))
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_malformed")


def left(gateway, counted, count):
    """That many clients have left, and no connection to the provider is held for them."""

    def is_free():
        samples = gateway.metrics()
        busy = samples['ringway_upstream_connections{provider="simulated",state="busy"}']
        return busy == 0 and samples["ringway_requests_in_flight"] <= 1

    eventually("the provider's connections to be released", is_free)
    assert counted.total("ringway_clients_gone_total") == count


def test_a_client_that_leaves_a_stream_frees_the_provider(gateway, client, make_client):
    counted = Counted(gateway)
    clients = [make_client(gateway) for _ in range(8)]
    streams = [
        one.chat.completions.create(
            model=CHAT, messages=ask(), stream=True, extra_body=sim(events=100_000, pace_ms=5)
        )
        for one in clients
    ]
    for stream in streams:
        assert [next(stream).choices[0].delta.content for _ in range(3)] == ["", "word0 ", "word1 "]
    busy = gateway.metrics()['ringway_upstream_connections{provider="simulated",state="busy"}']
    assert busy == len(streams)
    for stream in streams:
        stream.close()
    left(gateway, counted, len(streams))
    answer = client.chat.completions.create(model=CHAT, messages=ask(), extra_body=sim(content="next"))
    assert answer.choices[0].message.content == "next"


def test_a_task_that_is_cancelled_frees_the_provider(gateway):
    async def run():
        async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as client:
            has_begun = asyncio.Event()

            async def read():
                stream = await client.chat.completions.create(
                    model=CHAT, messages=ask(), stream=True, extra_body=sim(events=100_000, pace_ms=5)
                )
                async for _ in stream:
                    has_begun.set()

            task = asyncio.create_task(read())
            await asyncio.wait_for(has_begun.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    counted = Counted(gateway)
    asyncio.run(run())
    left(gateway, counted, 1)
