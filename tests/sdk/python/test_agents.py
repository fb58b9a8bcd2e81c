"""Coding agents on the command line, Claude Code and Codex, led through a conversation by a provider that speaks chat."""

import json
import os
import platform
import socket
import subprocess
import threading

import pytest

from support import KEY, MODELS, PATHS, ROOT, called, streamed_answer, told

PACKAGES = ROOT / "tests/sdk/agents/node_modules"
MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MODEL = "vllm/scripted"
SECRET = "The secret is 42."


def program(pattern):
    found = sorted(PACKAGES.glob(pattern))
    if not found:
        pytest.skip(f"{pattern} is not in {PACKAGES}: it was not installed")
    return str(found[0])


class Outside:
    """Where requests to anything but loopback end: a proxy that answers none and keeps what was asked."""

    def __init__(self):
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._refuse, daemon=True).start()

    def _refuse(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096).split(b"\r\n")[0])


@pytest.fixture
def outside():
    outside = Outside()
    yield outside
    outside.listener.close()


@pytest.fixture
def run(tmp_path, outside):
    """Runs a program to its end, at home and at work in folders of its own, and gives the JSON lines that it told."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "secret.txt").write_text(SECRET)

    def run(*arguments, **env):
        proxies = {name: outside.address for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]}
        nowhere = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "DO_NOT_TRACK": "1"}
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **proxies, **nowhere, **env}
        done = subprocess.run(
            arguments, cwd=work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert outside.asked == []
        return lines

    return run


def bodies_of(scripted):
    return [json.loads(body) for _, body in scripted.seen]


def claude(translator, run, model, prompt):
    env = {
        "ANTHROPIC_BASE_URL": f"http://{translator.address}",
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_BUG_COMMAND": "1",
    }
    binary = program(f"@anthropic-ai/claude-code-linux-{MACHINE}/claude")
    return run(binary, "-p", prompt, "--tools", "Read", "--output-format", "stream-json", "--verbose", **env)


def test_claude_code_reads_a_file_and_answers(translator, scripted, run, tmp_path):
    path = str(tmp_path / "work/secret.txt")
    scripted.will_answer(called("Read", file_path=path), streamed_answer("stop", {"content": "It "}, {"content": "is 42."}))
    lines = claude(translator, run, MODEL, "What is the secret?")
    blocks = [block for line in lines if line["type"] == "assistant" for block in line["message"]["content"]]
    kept = [(block["type"], block.get("name"), block.get("input")) for block in blocks if block["type"] == "tool_use"]
    assert kept == [("tool_use", "Read", {"file_path": path})]
    result = lines[-1]
    assert (result["type"], result["is_error"], result["result"], result["num_turns"]) == ("result", False, "It is 42.", 2)
    assert result["stop_reason"] == "end_turn" and result["usage"]["output_tokens"] == 10
    first, second = bodies_of(scripted)
    assert first["messages"][0]["role"] == "system" and first["stream"] is True
    assert "Read" in [tool["function"]["name"] for tool in first["tools"]]
    call, told = second["messages"][-2:] if second["messages"][-1]["role"] == "tool" else second["messages"][-3:-1]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"file_path": path}
    assert (told["role"], told["tool_call_id"]) == ("tool", call["tool_calls"][0]["id"]) and SECRET in str(told["content"])


SAID = "hello from afar"


def test_claude_code_is_answered_by_providers_of_every_dialect(translator, provider, run, dialect):
    lines = claude(translator, run, MODELS[dialect], told(tools=0, thinking=2, content=SAID, output_tokens=9))
    assert (lines[-1]["result"], lines[-1]["usage"]["output_tokens"]) == (SAID, 9)
    assert provider.last()["path"].startswith(PATHS[dialect])


# What Codex offers beside functions, and how it is told not to.
WITHOUT_FOREIGN_TOOLS = """
web_search = "disabled"
[agents]
enabled = false
"""


def codex(translator, run, tmp_path, more, model=MODEL, prompt="What is the secret?"):
    folder = tmp_path / ".codex"
    folder.mkdir()
    settings = f"""
model = "{model}"
model_provider = "ringway"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
{more}
[features]
plugins = false
[analytics]
enabled = false
[model_providers.ringway]
name = "Ringway"
base_url = "{translator.base_url}"
env_key = "RINGWAY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""
    (folder / "config.toml").write_text(settings)
    binary = program(f"@openai/codex-linux-{MACHINE}/vendor/*/bin/codex")
    arguments = ["exec", "--skip-git-repo-check", "--json", prompt]
    return run(binary, *arguments, RINGWAY_KEY=KEY, CODEX_HOME=str(folder))


def will_read_the_secret(scripted):
    scripted.will_answer(
        called("exec_command", cmd="cat secret.txt"), streamed_answer("stop", {"content": "It "}, {"content": "is 42."})
    )


def test_codex_runs_a_command_and_answers(translator, scripted, run, tmp_path):
    will_read_the_secret(scripted)
    lines = codex(translator, run, tmp_path, WITHOUT_FOREIGN_TOOLS)
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    (command,) = [item for item in items if item["type"] == "command_execution"]
    assert "cat secret.txt" in command["command"] and command["aggregated_output"].strip() == SECRET
    assert [item["text"] for item in items if item["type"] == "agent_message"] == ["It is 42."]
    assert lines[-1]["type"] == "turn.completed"
    assert (lines[-1]["usage"]["input_tokens"], lines[-1]["usage"]["output_tokens"]) == (22, 10)
    first, second = bodies_of(scripted)
    assert "exec_command" in [tool["function"]["name"] for tool in first["tools"]]
    call, told = second["messages"][-2:]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"cmd": "cat secret.txt"}
    assert (told["role"], told["tool_call_id"]) == ("tool", call["tool_calls"][0]["id"]) and SECRET in told["content"]


def test_codex_is_answered_by_providers_of_every_dialect(translator, provider, run, tmp_path, dialect):
    prompt = told(tools=0, thinking=2, content=SAID, output_tokens=9)
    lines = codex(translator, run, tmp_path, WITHOUT_FOREIGN_TOOLS, MODELS[dialect], prompt)
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == [SAID]
    assert lines[-1]["usage"]["output_tokens"] == 9
    assert provider.last()["path"].startswith(PATHS[dialect])


def test_codex_runs_a_command_with_its_own_settings_where_tools_may_be_dropped(dropper, scripted, run, tmp_path):
    will_read_the_secret(scripted)
    lines = codex(dropper, run, tmp_path, "")
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == ["It is 42."]
    assert lines[-1]["type"] == "turn.completed"
    kinds = {tool["type"] for tool in bodies_of(scripted)[0]["tools"]}
    assert "function" in kinds and kinds <= {"function", "custom"}, "what only OpenAI runs is left out"


def test_codex_is_told_what_a_chat_provider_cannot_do_where_nothing_may_be_dropped(translator, scripted, run, tmp_path):
    scripted.will_answer()
    with pytest.raises(AssertionError, match="tools.web_search.*translation.on_unsupported"):
        codex(translator, run, tmp_path, "")
    assert not bodies_of(scripted)
