"""What the user set: config files and flags, bare config names, unknown keys."""

from pathlib import Path

import pytest
import yaml

from lightning_tune.commands import settings
from lightning_tune.commands.checking import Checker, check_settings
from lightning_tune.commands.fit import TOP_LEVEL
from lightning_tune.errors import ConfigError


def _check(tmp_path, text, *flags):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    args = ["-c", str(file), *flags]
    check_settings("fit", settings.given(args), TOP_LEVEL)


def test_a_bare_name_means_the_shipped_config():
    path = Path(settings.find_config("quickstart"))
    assert yaml.safe_load(path.read_text())["data"]["train"] == "builtin:support"


def test_a_file_here_wins_over_a_shipped_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("seed_everything: 1\n")
    assert settings.find_config("quickstart") == "quickstart"


def test_an_unknown_config_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"config 'quickstrat' is neither .* Did you mean 'quickstart'\?"
    ):
        settings.find_config("quickstrat")


@pytest.mark.parametrize(
    "args", [["-c", "sst2"], ["--config", "sst2"], ["-c=sst2"], ["--config=sst2"]]
)
def test_every_spelling_of_the_config_flag_is_expanded(args):
    assert settings.expand_configs(args)[-1].endswith("sst2.yaml")


def test_a_config_flag_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="-c needs the name"):
        settings.expand_configs(["--model.lr", "1", "-c"])


def test_values_are_flat_keys_with_their_source(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("model:\n  objective:\n    class_path: FGM\n    init_args: {radius: 1}\n")
    found = settings.given(["-c", str(file), "--model.lr", "0.1", "--data.train=a.csv"])
    assert [(s.key, s.value) for s in found] == [
        ("model.objective.class_path", "FGM"),
        ("model.objective.radius", 1),
        ("model.lr", "0.1"),
        ("data.train", "a.csv"),
    ]
    assert found[0].source == str(file)
    assert found[2].source == "--model.lr"


def test_all_unknown_keys_are_reported_together_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError) as caught:
        _check(
            tmp_path,
            "modl: {lr: 1}\ndata: {trian: a}\nmodel: {optimizer: {weight_dekay: 1}}\n",
            "--trainer.max_epoch",
            "3",
        )
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "'modl' is not a setting. Did you mean 'model'?",
        "'data.trian' is not a setting. Did you mean 'train'?",
        "'model.optimizer.weight_dekay' is not a setting. Did you mean 'weight_decay'?",
        "--trainer.max_epoch: 'trainer.max_epoch' is not a setting. Did you mean 'max_epochs'?",
    ):
        assert part in message


def test_known_keys_pass(tmp_path):
    _check(
        tmp_path,
        "seed_everything: 1\nmodel: {lr: 1, objective: Plain, optimizer: {name: sgd}}\n"
        "trainer: {logger+: [], max_epochs: 1}\n",
        "--data.format.kind",
        "tsv",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1", r"mine\.yaml:1: "),
        ("- a\n", "holds a list; a config holds keys"),
        ("\tmodel: 1\n", r"mine\.yaml:1: "),
    ],
)
def test_a_broken_config_names_file_and_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        _check(tmp_path, text)


def test_a_config_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"model: \xff\n")
    with pytest.raises(ConfigError, match="byte 7 is not UTF-8"):
        settings.given(["-c", str(tmp_path / "mine.yaml")])


def test_an_empty_config_sets_nothing(tmp_path):
    (tmp_path / "mine.yaml").write_text("# nothing\n")
    assert settings.given(["-c", str(tmp_path / "mine.yaml")]) == []


def test_every_dotted_flag_is_a_known_key():
    flags = settings.dotted_flags()
    assert "--model.optimizer.weight_decay" in flags
    given = settings.given(flags)
    assert len(given) == len(flags)
    told = [problem for one in given for problem in Checker(given, TOP_LEVEL).problems(one)]
    assert {problem.partition(" ")[2] for problem in told} == {"needs a value after it."}


def test_environment_variables_are_flags_of_their_command(tmp_path):
    environment = {
        "LIGHTNING_TUNE_FIT__MODEL__LR": "x",
        "LIGHTNING_TUNE_TEST__MODEL__LR": "1",
        "PATH": "/bin",
    }
    origins = settings.environment_flags("fit", environment)
    (found,) = settings.given(list(origins), origins)
    assert (found.key, found.value) == ("model.lr", "x")
    assert found.source == "LIGHTNING_TUNE_FIT__MODEL__LR"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "config 'folder' is a folder; name a file in it (a.yaml)."),
        ("empty", "config 'empty' is a folder; name a file in it (no .yaml)."),
        (
            "https://example.org/a.yaml",
            "config 'https://example.org/a.yaml' is a URL; a config is a local file: "
            "download it first.",
        ),
    ],
)
def test_a_config_is_a_file(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        settings.find_config(name)
    assert str(caught.value) == message


def test_a_config_that_is_gone_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"config 'gone\.yaml' is not a file"):
        settings.read_yaml("gone.yaml")


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("model:\n  lr: 1\n  lr: 2\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:3: the key 'lr' stands here twice"):
        settings.read_yaml(str(tmp_path / "mine.yaml"))


def test_anchors_and_merged_keys_are_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("base: &base {lr: 1, eps: 2}\nmodel:\n  <<: *base\n  lr: 3\n")
    assert settings.read_yaml(str(file))["model"] == {"lr": 3, "eps": 2}
