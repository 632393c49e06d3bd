"""What W&B would find here: compared, where it can be, with what W&B itself finds."""

from pathlib import Path

import pytest
import wandb
from wandb.sdk.lib.wbauth import authenticate_session

from lightning_tune.training.wandb_account import DEFAULT_URL, read_wandb_account

KEY = "0123456789" * 4
OWN = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home without any W&B account, and no W&B session in this process."""
    wandb.teardown()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "WANDB_CONFIG_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    wandb.teardown()


def variables(monkeypatch, values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def settings(home: Path, text: str, *, folder: str = ".config/wandb") -> None:
    (home / folder).mkdir(parents=True, exist_ok=True)
    (home / folder / "settings").write_text(f"[default]\n{text}\n")


def netrc(home: Path, *machines: str, name: str = ".netrc", password: str = KEY) -> Path:
    path = home / name
    entries = (f"machine {one} login user password {password}\n" for one in machines)
    path.write_text("".join(entries))
    path.chmod(0o600)
    return path


def wandb_has_a_key() -> bool:
    """Ask what `wandb.login` asks, without the server that it would ask for a name."""
    url = wandb.setup().settings.base_url
    return bool(authenticate_session(host=url, source="test", prompt=False, update_session=False))


def test_nothing_is_found_where_nothing_is(home):
    account = read_wandb_account({})
    assert (account.url, account.mode, account.key_from) == (DEFAULT_URL, "online", "")
    assert (account.offline_by, account.proxied) == ("", False)
    assert not wandb_has_a_key()


def test_a_variable_holds_the_key(home, monkeypatch):
    account = read_wandb_account(variables(monkeypatch, {"WANDB_API_KEY": KEY}))
    assert account.key_from == "WANDB_API_KEY"
    assert wandb_has_a_key()


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_netrc_holds_the_key(home, name):
    path = netrc(home, "api.wandb.ai", name=name)
    assert read_wandb_account({}).key_from == str(path)
    assert wandb_has_a_key()


def test_a_variable_names_the_netrc_file(home, monkeypatch):
    netrc(home, "api.wandb.ai")
    path = netrc(home, "elsewhere", name="other")
    assert read_wandb_account(variables(monkeypatch, {"NETRC": str(path)})).key_from == ""
    assert not wandb_has_a_key()


@pytest.mark.parametrize("by", ["variable", "file"])
def test_an_own_server_has_a_key_of_its_own(home, monkeypatch, by):
    environment = variables(monkeypatch, {"WANDB_BASE_URL": OWN} if by == "variable" else {})
    if by == "file":
        settings(home, f"base_url = {OWN}")
    netrc(home, "api.wandb.ai")
    account = read_wandb_account(environment)
    assert (account.url, account.key_from) == (OWN, "")
    assert not wandb_has_a_key()
    wandb.teardown()
    path = netrc(home, "127.0.0.1:9")
    assert read_wandb_account(environment).key_from == str(path)
    assert wandb_has_a_key()


def test_a_settings_file_of_this_folder_wins_over_the_users(home):
    settings(home, f"base_url = {OWN}\nmode = offline")
    settings(home, "base_url = http://127.0.0.1:8", folder="wandb")
    account = read_wandb_account({})
    assert account.url == wandb.setup().settings.base_url == "http://127.0.0.1:8"
    assert account.mode == wandb.setup().settings.mode == "offline"
    assert account.offline_by == f"mode=offline in {home / '.config/wandb/settings'}"


def test_a_settings_file_may_hold_the_key(home, monkeypatch):
    environment = variables(monkeypatch, {"WANDB_CONFIG_DIR": str(home / "own")})
    settings(home, f"api_key = {KEY}", folder="own")
    assert read_wandb_account(environment).key_from == str(home / "own" / "settings")
    assert wandb_has_a_key()


@pytest.mark.parametrize(
    ("value", "mode"),
    [("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")],
)
def test_a_variable_says_the_mode(home, value, mode):
    account = read_wandb_account({"WANDB_MODE": value})
    assert account.mode == mode
    assert account.offline_by == ("" if mode == "online" else f"WANDB_MODE={value}")


def test_a_proxy_of_wandbs_own_is_seen(home):
    assert read_wandb_account({"WANDB_HTTPS_PROXY": "http://127.0.0.1:3128"}).proxied


@pytest.mark.parametrize(
    "text", ["machine machine machine", "machine api.wandb.ai login user", "\xff\xfe"]
)
def test_a_broken_netrc_holds_no_key(home, text):
    (home / ".netrc").write_bytes(text.encode("latin-1"))
    (home / ".netrc").chmod(0o600)
    assert read_wandb_account({}).key_from == ""


@pytest.mark.parametrize("text", ["no section", "[default]\nno value", "[other]\na = b", "\xff"])
def test_a_broken_settings_file_says_nothing(home, text):
    (home / "wandb").mkdir()
    (home / "wandb" / "settings").write_bytes(text.encode("latin-1"))
    assert read_wandb_account({}).url == DEFAULT_URL


def test_the_key_itself_is_never_kept(home):
    netrc(home, "api.wandb.ai")
    settings(home, f"api_key = {KEY}")
    assert KEY not in repr(read_wandb_account({"WANDB_API_KEY": KEY}))
