"""Files of synonyms: every layout that is accepted, packed or not, and what is refused."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from lightning_tune.errors import DataError
from lightning_tune.words.synonyms import Synonyms, read_synonyms

CILIN = (
    "Aa01A01= \u4eba \u58eb \u4eba\u7269\nAa01A02# \u4eba\u7c7b \u751f\u4eba\nAa01A03@ \u5339\u592b"
)


def write(tmp_path, text, name="words.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "line", ["film movie", "film\tmovie", "  film \t movie \n", "\ufefffilm movie"]
)
def test_a_pair_goes_both_ways(tmp_path, line):
    found = read_synonyms(write(tmp_path, line))
    assert found.of("film") == ["movie"]
    assert found.of("movie") == ["film"]


def test_words_of_a_line_all_mean_the_same():
    assert Synonyms([("a", "b", "c")]).of("b") == ["a", "c"]


def test_a_word_on_several_lines_has_the_synonyms_of_all_each_once(tmp_path):
    found = read_synonyms(write(tmp_path, "film movie\nmovie film\npicture film"))
    assert found.of("film") == ["movie", "picture"]


def test_phrases_stand_between_tabs(tmp_path):
    assert read_synonyms(write(tmp_path, "a lot\tmuch")).of("much") == ["a lot"]


def test_a_thesaurus_gives_synonyms_but_no_related_words(tmp_path):
    found = read_synonyms(write(tmp_path, CILIN))
    assert found.of("\u58eb") == ["\u4eba", "\u4eba\u7269"]
    assert found.of("\u4eba\u7c7b") == []
    assert found.longest == 2


def test_comments_and_empty_lines_say_nothing(tmp_path):
    found = read_synonyms(write(tmp_path, "# film movie\n\nlone\ngood fine\n"))
    assert list(found) == ["good", "fine"]


@pytest.mark.parametrize(
    ("word", "expected"), [("film", "movie"), ("Film", "Movie"), ("FILM", "MOVIE")]
)
def test_a_synonym_takes_the_case_of_the_word(word, expected):
    assert Synonyms([("film", "movie")]).of(word) == [expected]


def test_a_word_is_no_synonym_of_itself():
    assert Synonyms([("Film", "film", "FILM")]).of("film") == []
    assert "FILM" in Synonyms([("Film", "movie")])
    assert 3 not in Synonyms([("Film", "movie")])


def test_packed_files_are_read(tmp_path):
    with gzip.open(tmp_path / "words.txt.gz", "wt") as packed:
        packed.write("film movie")
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/pairs", "film\tmovie\n")
    for name in ("words.txt.gz", "words.zip"):
        assert read_synonyms(str(tmp_path / name)).of("film") == ["movie"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no line with two words"),
        (b"one\ntwo\n", "no line with two words"),
        (b"caf\xe9 coffee", "is not UTF-8"),
    ],
)
def test_a_file_without_synonyms_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_synonyms(str(tmp_path / "words.txt"))
    assert "\n" not in str(caught.value)


def test_a_broken_archive_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "words.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="no zip archive"):
        read_synonyms(str(tmp_path / "words.zip"))
    with pytest.raises(DataError, match="does not exist"):
        read_synonyms(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("name", "word", "other"),
    [
        ("mwa_ppdb.zip", "dangerous", "risky"),
        ("ppdb_synonyms.txt", "modelling", "modeling"),
        ("zh_dict_synonym.txt", "\u4eba\u624b", "\u4eba\u5458"),
    ],
)
def test_real_files_are_read(shared_data, name, word, other):
    found = read_synonyms(str(shared_data / "synonyms" / name))
    assert other in found.of(word)
    assert len(found) > 10_000
