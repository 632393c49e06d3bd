"""The completion script, run by a real bash."""

import subprocess

import pytest

from lightning_tune.commands import completion
from lightning_tune.errors import ConfigError


def _complete(script: str, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    ask = (
        f"{script}\nCOMP_WORDS=(lightning-tune {quoted}); COMP_CWORD={len(words)}; "
        "_lightning_tune; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def script():
    return completion.script("bash", {"fit": ["--model.lr", "--data.train"], "doctor": ["--json"]})


def test_commands_are_completed(script):
    assert _complete(script, "f") == ["fit"]


def test_options_are_those_of_the_command(script):
    assert _complete(script, "fit", "--mo") == ["--model.lr"]
    assert _complete(script, "doctor", "--") == ["--json"]


def test_shipped_configs_follow_the_config_flag(script):
    assert "quickstart" in _complete(script, "fit", "-c", "quick")


def test_the_command_prints_every_command(capsys):
    assert completion.main("completion", ["zsh"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("autoload")
    assert "--model.optimizer.weight_decay" in out


def test_help_needs_no_shell(capsys):
    assert completion.main("completion", ["--help"]) == 0
    assert "eval" in capsys.readouterr().out


def test_another_shell_is_refused():
    with pytest.raises(ConfigError, match=r"no completion for 'zhs'.* Did you mean 'zsh'\?"):
        completion.main("completion", ["zhs"])
