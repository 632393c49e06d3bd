"""What is redacted, and what stands in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from lightning_tune.errors import ConfigError, nearest

Kind = Literal[
    "url", "email", "iban", "national_id", "card", "ip", "birth_date", "phone", "address"
]
"""What rules find. Where two overlap, the earlier one in this list names the whole."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class PrivacySettings:
    """How texts are redacted.

    Args:
        kinds: What is looked for by rules. A url is one with credentials in it; a birth_date is a
            date that the words around it call one.
        names: Whether persons' names are looked for too, by Presidio (extra `names`).
        names_language: Language of the texts, for names.
        names_model: The spaCy pipeline that finds names: an installed package or a folder. Nothing
            is downloaded.
        replace: A placeholder of its kind, such as [EMAIL]; or a pseudonym, such as
            [EMAIL_kbdpolmaecnf], the same for the same value under the same key.
        key_env: Environment variable that holds the secret key of pseudonyms, 16 bytes at least.
        key_file: File that holds it instead. The key itself never stands in a recipe.
    """

    kinds: tuple[Kind, ...] = KINDS
    names: bool = False
    names_language: str = "en"
    names_model: str = "en_core_web_lg"
    replace: Literal["placeholder", "pseudonym"] = "placeholder"
    key_env: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if wrong := [kind for kind in self.kinds if kind not in KINDS]:
            raise ConfigError(
                f"kinds holds {wrong[0]!r}; what can be redacted is {', '.join(KINDS)}."
                + nearest(wrong[0], KINDS)
            )
        if not self.kinds and not self.names:
            raise ConfigError("kinds is empty and names is false: nothing would be redacted.")
        if self.replace not in ("placeholder", "pseudonym"):
            raise ConfigError(f"replace={self.replace!r} is neither placeholder nor pseudonym.")
        self._check_key()

    def _check_key(self) -> None:
        """Refuse no key, or two. What is written there is not shown: it might be the key itself."""
        named = [name for name in ("key_env", "key_file") if getattr(self, name) is not None]
        if self.replace == "placeholder" and named:
            raise ConfigError(f"{named[0]} is for replace: pseudonym; placeholders need no key.")
        if self.replace == "pseudonym" and len(named) != 1:
            raise ConfigError(
                "replace: pseudonym needs a secret key; set either key_env, the name of an "
                f"environment variable, or key_file, {'both are' if named else 'neither is'} set."
            )
        if self.key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_env):
            raise ConfigError(
                "key_env is no name of an environment variable; a key never stands in a recipe."
            )
