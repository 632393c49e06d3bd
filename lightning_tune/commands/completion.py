"""`completion`: print a shell script that completes commands, options and shipped configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightning_tune.cli import COMMANDS
from lightning_tune.commands.settings import dotted_flags, shipped_configs
from lightning_tune.errors import ConfigError, nearest

SHELLS = ("bash", "zsh")

SCRIPT = """\
_lightning_tune() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" options=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word")); return
  fi
  case "$before" in
    -c|--config)
      COMPREPLY=($(compgen -W "{configs}" -- "$word") $(compgen -f -X '!*.yaml' -- "$word"))
      return;;
  esac
  case "$word" in
    -*) ;;
    *) COMPREPLY=($(compgen -f -- "$word")); return;;
  esac
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$options" -- "$word"))
}}
complete -o filenames -F _lightning_tune lightning-tune
"""


def main(name: str, args: Sequence[str]) -> int:
    """Print the script for a shell.

    Use it with `eval "$(lightning-tune completion bash)"`, or put its output where the shell looks.

    Raises:
        ConfigError: if the shell is not one of bash and zsh.
    """
    if args and args[0] in ("-h", "--help"):
        print(
            'usage: lightning-tune completion bash|zsh\n\neval "$(lightning-tune completion bash)"'
        )
        return 0
    shell = args[0] if args else "bash"
    if shell not in SHELLS:
        raise ConfigError(
            f"no completion for {shell!r}; name one of {', '.join(SHELLS)}.{nearest(shell, SHELLS)}"
        )
    print(script(shell, {command: _options(command) for command in COMMANDS}), end="")
    return 0


def script(shell: str, options: Mapping[str, Sequence[str]]) -> str:
    """Return the script: one case a command, with its options."""
    cases = "\n".join(
        f'    {command}) options="{" ".join(words)}";;' for command, words in options.items()
    )
    body = SCRIPT.format(
        commands=" ".join(options), configs=" ".join(shipped_configs()), cases=cases
    )
    return f"autoload -U +X bashcompinit && bashcompinit\n{body}" if shell == "zsh" else body


def _options(command: str) -> list[str]:
    trainer = command in ("fit", "validate", "test", "predict")
    own = ["--config", "--ckpt_path", "--seed_everything", "--print_config"] if trainer else []
    return ["--help", *own, *(dotted_flags() if trainer else [])]
