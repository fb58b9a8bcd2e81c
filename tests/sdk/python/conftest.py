"""Simulated providers and gateways for all tests; a guard that keeps every connection on loopback."""

import os
import socket

import openai
import pytest

from support import KEY, MODELS, Gateway, Scripted, Simulator, Translator

CLIENT_VARIABLES = ("OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "CLAUDE_", "CODEX_", "LANGCHAIN_", "LANGSMITH_")
for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith(CLIENT_VARIABLES):
        del os.environ[name]

_connect = socket.socket.connect


def _connect_to_loopback(self, address):
    is_local = self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1", "localhost")
    assert is_local, f"a connection to {address} would leave this machine"
    return _connect(self, address)


socket.socket.connect = _connect_to_loopback


def stopped_at_end(process):
    yield process
    process.stop()


@pytest.fixture(scope="session")
def simulator():
    yield from stopped_at_end(Simulator())


@pytest.fixture(scope="session")
def scripted():
    yield from stopped_at_end(Scripted())


@pytest.fixture(scope="session")
def gateway(simulator, scripted):
    """Asks providers again, nearly at once."""
    yield from stopped_at_end(Gateway(simulator, scripted, RETRY_INITIAL_BACKOFF="1ms", RETRY_MAX_BACKOFF="5ms"))


@pytest.fixture(scope="session")
def plain_gateway(simulator, scripted):
    """Asks once."""
    yield from stopped_at_end(Gateway(simulator, scripted, RETRY_MAX_RETRIES="0"))


@pytest.fixture(scope="session")
def impatient_gateway(simulator, scripted):
    """Gives a provider that stalls up soon."""
    limits = {"RINGWAY_UPSTREAM_FIRST_BYTE_TIMEOUT": "500ms", "RINGWAY_UPSTREAM_IDLE_TIMEOUT": "500ms"}
    yield from stopped_at_end(Gateway(simulator, scripted, RETRY_MAX_RETRIES="0", **limits))


@pytest.fixture(scope="session")
def provider():
    """The simulated provider behind the translator. Nobody else asks it, so that its last request is the test's."""
    yield from stopped_at_end(Simulator())


@pytest.fixture(scope="session")
def translator(provider, scripted):
    """Speaks to one provider in every dialect, and asks once."""
    yield from stopped_at_end(Translator(provider, scripted))


@pytest.fixture(scope="session")
def dropper(provider, scripted):
    """Leaves out what a provider's dialect cannot say, and asks once."""
    settings = {"RETRY_MAX_RETRIES": "0", "RINGWAY_TRANSLATION_ON_UNSUPPORTED": "drop"}
    yield from stopped_at_end(Gateway(provider, scripted, **settings))


@pytest.fixture(params=MODELS)
def dialect(request):
    """The dialect of the provider: a test that names it runs against each."""
    return request.param


def client_of(gateway, **options):
    defaults = {"base_url": gateway.base_url, "api_key": KEY, "max_retries": 0, "timeout": 60}
    return openai.OpenAI(**{**defaults, **options})


@pytest.fixture
def make_client():
    """Makes clients that do not retry unless told so, and closes them."""
    clients = []

    def make(gateway, **options):
        clients.append(client_of(gateway, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(gateway, make_client):
    return make_client(gateway)
