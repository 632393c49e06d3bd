"""Bad data files and what is said about each, word for word; and odd ones that are fine.

Every case is a real file in an empty folder, read as `fit` reads its training data.
"""
# ruff: noqa: E501  # a message stands on one line, as the user sees it

from __future__ import annotations

import gzip
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightning_tune.data.labels import recognise
from lightning_tune.data.sources import open_source
from lightning_tune.errors import TuneError
from lightning_tune.schema import Label, LabelSet, Split, TaskKind
from lightning_tune.tables import BadRow, BadRows, Fields, RowBatch, TableFormat


@dataclass(frozen=True)
class Case:
    """One file and what becomes of it."""

    name: str
    content: bytes
    message: str = ""
    file: str = "train.csv"
    spec: str | None = None
    fields: Fields = field(default_factory=Fields)
    format: TableFormat = field(default_factory=TableFormat)
    task: TaskKind | None = None
    separator: str | None = None
    rows: list[tuple[str, Label]] = field(default_factory=list)

    def read(
        self,
        on_bad_rows: BadRows = "refuse",
        bad: list[BadRow] | None = None,
        split: Split = "train",
    ) -> list[RowBatch]:
        Path(self.file).parent.mkdir(parents=True, exist_ok=True)
        Path(self.file).write_bytes(self.content)
        source = open_source(
            self.file if self.spec is None else self.spec, split, self.fields, self.format
        )
        return list(source.rows(on_bad_rows, bad))

    def label_set(self, batches: list[RowBatch]) -> LabelSet:
        counts = Counter(label for batch in batches for label in batch.labels or ())
        return recognise(
            list(counts), list(counts.values()), task=self.task, separator=self.separator
        )


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


CSV = b"text,label\n"
GOOD = CSV + b"fine,pos\nbad,neg\n"
NO_HEADER = Fields(columns=("text", "label"))
PAIR = Fields(text_pair="other")
WEIGHT = Fields(weight="weight")
SCORES = b'{"text": "a", "label": 0.5}\n'
ROW = "; correct the row, or set data.on_bad_rows to skip."

FILES = [
    Case(
        "missing file, a near one there",
        GOOD,
        "data/trian.csv does not exist. Did you mean 'train.csv'?",
        file="data/train.csv",
        spec="data/trian.csv",
    ),
    Case(
        "missing file, none near",
        GOOD,
        "data/x.csv does not exist. Correct the path.",
        file="data/train.csv",
        spec="data/x.csv",
    ),
    Case(
        "missing folder",
        GOOD,
        "dat/train.csv does not exist. There is no folder 'dat'.",
        file="data/train.csv",
        spec="dat/train.csv",
    ),
    Case(
        "a folder that prepare did not write",
        GOOD,
        "data is a folder; name a file, a glob such as 'data/*.csv', or a folder that prepare wrote.",
        file="data/train.csv",
        spec="data",
    ),
    Case(
        "glob without a match",
        GOOD,
        "no file matches 'data/*.tsv'. Correct the path.",
        file="data/train.csv",
        spec="data/*.tsv",
    ),
    Case("no path at all", GOOD, "the data path '' is empty; name a file.", spec=""),
    Case(
        "URL that is not there",
        GOOD,
        "memory://nowhere/train.csv does not exist, or is not a file; correct the URL.",
        spec="memory://nowhere/train.csv",
    ),
    Case(
        "URL of an unknown protocol",
        GOOD,
        "ss3://bucket/train.csv: the protocol 'ss3' is unknown to fsspec. Did you mean 's3'?",
        spec="ss3://bucket/train.csv",
    ),
    Case(
        "unknown extension",
        GOOD,
        "train.txt: the extension '.txt' tells no format; set data.format.kind to csv, tsv, jsonl or "
        "parquet.",
        file="train.txt",
    ),
    Case(
        "mistyped extension",
        GOOD,
        "train.cvs: the extension '.cvs' tells no format; set data.format.kind to csv, tsv, jsonl or "
        "parquet. Did you mean '.csv'?",
        file="train.cvs",
    ),
    Case(
        "unknown format",
        GOOD,
        "data.format.kind='excel' is not a format; use one of auto, csv, tsv, jsonl, parquet.",
        format=TableFormat(kind="excel"),  # type: ignore[arg-type]
    ),
    Case(
        "unknown encoding",
        GOOD,
        "data.format.encoding='utf-88' is not a text encoding that Python knows. "
        "Did you mean 'utf-8'?",
        format=TableFormat(encoding="utf-88"),
    ),
    Case(
        "delimiter of two characters",
        GOOD,
        "data.format.delimiter='||' must be one character, neither a quote nor a line end.",
        format=TableFormat(delimiter="||"),
    ),
    Case(
        "unknown builtin data",
        GOOD,
        "builtin:zzz is not a data set of this package; it has support.",
        spec="builtin:zzz",
    ),
    Case(
        "mistyped builtin",
        GOOD,
        "buildin:support: 'buildin' is no kind of data; write hub:NAME, builtin:NAME or a path. "
        "Did you mean 'builtin'?",
        spec="buildin:support",
    ),
    Case(
        "gz that was cut off",
        gzip.compress(GOOD)[:-12],
        "train.csv.gz cannot be read: Compressed file ended before the end-of-stream marker was "
        "reached.",
        file="train.csv.gz",
    ),
    Case(
        "gz that is none",
        GOOD,
        "train.csv.gz cannot be read: Not a gzipped file (b'te').",
        file="train.csv.gz",
    ),
]

TABLES = [
    Case("empty file", b"", "train.csv is empty; it needs a header line and rows."),
    Case("blank lines only", b"\n\r\n\n", "train.csv is empty; it needs a header line and rows."),
    Case(
        "byte order mark only",
        b"\xef\xbb\xbf",
        "train.csv is empty; it needs a header line and rows.",
    ),
    Case(
        "empty file without a header",
        b"",
        "train.csv has no rows; a data file needs at least one.",
        fields=NO_HEADER,
    ),
    Case("header only", CSV, "train.csv has no rows; a data file needs at least one."),
    Case(
        "wrong text column",
        b"txt,label\na,b\n",
        "train.csv has no column 'text' (data.text); it has 'txt', 'label'. Did you mean 'txt'?",
    ),
    Case(
        "wrong label column",
        b"text,category\na,b\n",
        "train.csv has no column 'label' (data.label); it has 'text', 'category'. "
        "Name one of them, or set data.columns where there is no header line.",
    ),
    Case(
        "wrong pair column",
        b"text,label,others\na,b,c\n",
        "train.csv has no column 'other' (data.text_pair); it has 'text', 'label', 'others'. "
        "Did you mean 'others'?",
        fields=PAIR,
    ),
    Case(
        "no header line",
        b"fine,pos\nbad,neg\n",
        "train.csv has no column 'text' (data.text); it has 'fine', 'pos'. "
        "Name one of them, or set data.columns where there is no header line.",
    ),
    Case(
        "header line where columns are stated",
        GOOD,
        "train.csv:1: the first line holds the names in data.columns; drop data.columns, the file "
        "has a header line.",
        fields=NO_HEADER,
    ),
    Case(
        "column twice",
        b"text,label,text\na,b,c\n",
        "train.csv: the column 'text' (data.text) stands there twice; rename one.",
    ),
    Case(
        "a field too many",
        CSV + b"a,b\nc,d,e\n",
        "train.csv:3: 3 fields, the last 'e', where the header names 2" + ROW,
    ),
    Case(
        "a field too few", CSV + b"a,b\nc\n", "train.csv:3: 1 field, where the header names 2" + ROW
    ),
    Case(
        "a field too many without a header",
        b"a\tb\nc\td\te\n",
        "train.tsv:2: 3 fields, the last 'e', where data.columns names 2" + ROW,
        file="train.tsv",
        fields=NO_HEADER,
    ),
    Case("a blank line inside", CSV + b"a,b\n\nc,d\n", "train.csv:3: the line is blank" + ROW),
    Case(
        "a field too many after a text of three lines",
        CSV + b'"a\nb\nc",d\ne,f,g\n',
        "train.csv:5: 3 fields, the last 'g', where the header names 2" + ROW,
    ),
    Case(
        "text after a closing quote",
        CSV + b'a,b\n"he said "hi" twice",pos\n',
        "train.csv:3: broken quotes: 'hi\" twice\",pos' follows the closing quote of field 1" + ROW,
    ),
    Case(
        "a quote that is never closed",
        CSV + b'a,b\n"c,d\ne,f\n',
        "train.csv:3: broken quotes: the quote that opens field 1 is never closed" + ROW,
    ),
    Case(
        "a quote inside a bare field",
        CSV + b'a 5" nail,b\n',
        "train.csv:2: broken quotes: field 1 'a 5\" nail,b' holds a quote and is not quoted" + ROW,
    ),
    Case(
        "a carriage return inside a bare field",
        CSV + b"a\rb,c\n",
        "train.csv:2: field 1 holds a carriage return outside quotes" + ROW,
    ),
    Case(
        "latin-1 bytes",
        CSV + b"fine,pos\ncaf\xe9,neg\n",
        "train.csv:3: the byte 0xe9 at character 4 is not utf-8 (data.format.encoding)" + ROW,
    ),
    Case(
        "undecodable bytes in the header",
        b"t\xffext,label\na,b\n",
        "train.csv:1: the byte 0xff at character 2 is not utf-8 (data.format.encoding); the first line must name the columns.",
    ),
    Case(
        "utf-16 read as utf-8",
        GOOD.decode().encode("utf-16"),
        "train.csv:1: the byte 0xff at character 1 is not utf-8 (data.format.encoding); the first line must name the columns.",
    ),
    Case(
        "half a character in utf-16",
        GOOD.decode().encode("utf-16")[:-1],
        "train.csv cannot be decoded as utf-16 after line 0: truncated data; set data.format.encoding "
        "to the file's encoding.",
        format=TableFormat(encoding="utf-16"),
    ),
    Case("NUL", CSV + b"a\0b,pos\n", "train.csv:2: a NUL at character 2; no text holds one" + ROW),
    Case("empty text", CSV + b"a,b\n,pos\n", "train.csv:3: the text is empty" + ROW),
    Case(
        "white space as text",
        CSV + b" \t ,pos\n",
        "train.csv:2: the text ' \\t ' is only white space" + ROW,
    ),
    Case(
        "empty second text",
        b"text,other,label\na,,pos\n",
        "train.csv:2: the other is empty" + ROW,
        fields=PAIR,
    ),
    Case("empty label", CSV + b"a,\n", "train.csv:2: the label is empty" + ROW),
    Case(
        "weight that is no number",
        b"text,label,weight\na,b,high\n",
        "train.csv:2: the weight 'high' is not a finite number of at least 0" + ROW,
        fields=WEIGHT,
    ),
    Case(
        "negative weight",
        b"text,label,weight\na,b,-1\n",
        "train.csv:2: the weight '-1' is not a finite number of at least 0" + ROW,
        fields=WEIGHT,
    ),
    Case(
        "weight NaN",
        b"text,label,weight\na,b,nan\n",
        "train.csv:2: the weight 'nan' is not a finite number of at least 0" + ROW,
        fields=WEIGHT,
    ),
    Case(
        "empty weight",
        b"text,label,weight\na,b,\n",
        "train.csv:2: the weight is empty" + ROW,
        fields=WEIGHT,
    ),
]

JSON = [
    Case("empty", b"", "train.jsonl is empty; it needs one JSON object a line."),
    Case(
        "invalid JSON",
        SCORES + b'{"text": "b", "label": }\n',
        "train.jsonl:2: no valid JSON: Expecting value (character 24)" + ROW,
    ),
    Case(
        "JSON cut off",
        SCORES + b'{"text": "b", "la',
        "train.jsonl:2: no valid JSON: Unterminated string starting at (character 15)" + ROW,
    ),
    Case("no object", SCORES + b'["b", 1]\n', "train.jsonl:2: no JSON object but ['b', 1]" + ROW),
    Case(
        "one array over lines",
        b'[\n{"text": "b"}\n]\n',
        "train.jsonl:1: no valid JSON: Expecting value (character 2)" + ROW,
        fields=Fields(label=None),
    ),
    Case(
        "nothing but text",
        b"hello\n",
        "train.jsonl:1: no valid JSON: Expecting value (character 1); each line must be a JSON object.",
    ),
    Case(
        "nested too deeply",
        SCORES + b'{"text":' + b"[" * 100_000 + b"\n",
        "train.jsonl:2: no valid JSON: it is nested too deeply" + ROW,
    ),
    Case(
        "a number of 5000 digits",
        SCORES + b'{"text": "b", "label": ' + b"1" * 5000 + b"}\n",
        "train.jsonl:2: no valid JSON: a number has too many digits" + ROW,
    ),
    Case(
        "missing key",
        SCORES + b'{"text": "b"}\n',
        "train.jsonl:2: the object has no key 'label'" + ROW,
    ),
    Case(
        "key in no object",
        b'{"text": "b", "lable": "x"}\n',
        "train.jsonl has no column 'label' (data.label); it has 'text', 'lable'. Did you mean 'lable'?",
    ),
    Case(
        "a blank line inside",
        SCORES + b" \r\n" + SCORES,
        "train.jsonl:2: the line is blank" + ROW,
    ),
    Case("text null", b'{"text": null, "label": "x"}\n', "train.jsonl:1: the text is null" + ROW),
    Case(
        "text a number",
        b'{"text": 5, "label": "x"}\n',
        "train.jsonl:1: the text 5 is a number, not a string" + ROW,
    ),
    Case("label null", b'{"text": "a", "label": null}\n', "train.jsonl:1: the label is null" + ROW),
    Case(
        "label NaN",
        b'{"text": "a", "label": NaN}\n',
        "train.jsonl:1: the label nan is not a finite number" + ROW,
    ),
    Case(
        "label an object",
        b'{"text": "a", "label": {"b": 1}}\n',
        "train.jsonl:1: the label {'b': 1} is an object, not a name, a number or a list of names"
        + ROW,
    ),
    Case(
        "label a list of lists",
        b'{"text": "a", "label": [["b"]]}\n',
        "train.jsonl:1: the label ['b'] is a list, not a name, a number or a list of names" + ROW,
    ),
    Case(
        "labels of mixed types",
        SCORES + b'{"text": "a", "label": "b"}\n',
        "train.jsonl:2: mixed label types: the label 'b' is a string, the one of line 1 is a number"
        + ROW,
    ),
    Case(
        "weight a truth value",
        b'{"text": "a", "label": "b", "weight": true}\n',
        "train.jsonl:1: the weight True is not a finite number of at least 0" + ROW,
        fields=WEIGHT,
    ),
    Case(
        "columns stated",
        SCORES,
        "data.columns=['text', 'label'] is for csv and tsv files without a header line; train.jsonl is jsonl, which names its own columns: drop data.columns.",
        fields=NO_HEADER,
    ),
]

NO_PARQUET = (
    "train.parquet is damaged, or no Parquet file; write it again, or correct data.format.kind."
)
PARQUET = [
    Case("empty", b"", NO_PARQUET),
    Case("other bytes", GOOD, NO_PARQUET),
    Case("cut off", parquet(text=["a"], label=["b"])[:-40], NO_PARQUET),
    Case(
        "no rows",
        parquet(text=pa.array([], pa.string()), label=pa.array([], pa.string())),
        "train.parquet has no rows; a data file needs at least one.",
    ),
    Case(
        "wrong column",
        parquet(texts=["a"], label=["b"]),
        "train.parquet has no column 'text' (data.text); it has 'texts', 'label'. Did you mean 'texts'?",
    ),
    Case(
        "null text",
        parquet(text=["a", None], label=["b", "c"]),
        "train.parquet:2: the text is null" + ROW,
    ),
    Case(
        "a text that is not utf-8",
        parquet(text=pa.array([b"a", b"caf\xe9"]).view(pa.string()), label=["b", "c"]),
        "train.parquet:2: the bytes of 'text' are not utf-8" + ROW,
    ),
    Case(
        "texts of bytes",
        parquet(text=[b"a"], label=["b"]),
        "train.parquet:1: the text b'a' is binary, not a string" + ROW,
    ),
]

LABELS = [
    Case(
        "one class only",
        CSV + b"a,pos\nb,pos\n",
        "all 2 rows have the label 'pos'; a binary task needs at least two classes: add rows of another class.",
    ),
    Case(
        "scores and names",
        CSV + b"a,0.5\nb,good\nc,good\n",
        "the labels are of mixed types: '0.5' in 1 row, 'good' in 2 rows; write all of them alike, or state data.task.",
    ),
    Case(
        "names where regression is stated",
        CSV + b"a,0.5\nb,good\n",
        "the label 'good' in 1 row does not fit a regression task, which needs a number.",
        task="regression",
    ),
    Case(
        "three classes where binary is stated",
        CSV + b"a,x\nb,y\nc,z\n",
        "a binary task needs exactly 2 classes, got 3: ['x', 'y', 'z']; add examples of another class, or state data.task.",
        task="binary",
    ),
    Case(
        "scores where classes are stated",
        b'{"text": "a", "label": 0.5}\n{"text": "b", "label": 1.5}\n',
        "the label 0.5 in 1 row does not fit a multiclass task, which needs a class name; write it as a text or a whole number.",
        file="train.jsonl",
        task="multiclass",
    ),
    Case(
        "a separator where regression is stated",
        CSV + b"a,0.5\n",
        "data.label_separator='|' is for multilabel tasks, data.task is 'regression'; drop one of them.",
        task="regression",
        separator="|",
    ),
    Case(
        "unknown task",
        GOOD,
        "task='multilable' is not a task kind; use one of binary, multiclass, multilabel, regression. Did you mean 'multilabel'?",
        task="multilable",
    ),  # type: ignore[arg-type]
]

OTHERS = {"jsonl": JSON, "parquet": PARQUET}


def all_cases() -> list[object]:
    cases = [pytest.param(case, id=case.name) for case in FILES + TABLES + LABELS]
    for extension, group in OTHERS.items():
        for case in group:
            moved = Case(**{**case.__dict__, "file": f"train.{extension}"})
            cases.append(pytest.param(moved, id=f"{extension}, {case.name}"))
    return cases


@pytest.mark.parametrize("case", all_cases())
def test_a_bad_input_is_refused_with_one_line(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TuneError) as caught:
        case.label_set(case.read())
    assert str(caught.value) == case.message
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


ACCEPTED = [
    Case("a byte order mark", b"\xef\xbb\xbf" + GOOD, rows=[("fine", "pos"), ("bad", "neg")]),
    Case("CRLF", GOOD.replace(b"\n", b"\r\n"), rows=[("fine", "pos"), ("bad", "neg")]),
    Case("no line end at the end", GOOD[:-1], rows=[("fine", "pos"), ("bad", "neg")]),
    Case("blank lines at the end", GOOD + b"\n\r\n\n", rows=[("fine", "pos"), ("bad", "neg")]),
    Case(
        "words that others read as missing",
        CSV + b"NA,null\nnull,None\nNone,NA\nnan,N/A\n",
        rows=[("NA", "null"), ("null", "None"), ("None", "NA"), ("nan", "N/A")],
    ),
    Case("labels 01 and 1", CSV + b"a,01\nb,1\n", rows=[("a", "01"), ("b", "1")]),
    Case("labels 1 and 1.0", CSV + b"a,1.0\nb,1\n", rows=[("a", "1.0"), ("b", "1")]),
    Case(
        "zero-width and bidi characters",
        CSV + "\u200b,a\nx\u202ey\ufeff,b\n".encode(),
        rows=[("\u200b", "a"), ("x\u202ey\ufeff", "b")],
    ),
    Case(
        "a text of 1 MB",
        CSV + b"x" * 1_000_000 + b',a\n"' + b'""' * 500_000 + b'",b\n',
        rows=[("x" * 1_000_000, "a"), ('"' * 500_000, "b")],
    ),
    Case(
        "a label seen once",
        GOOD + b"odd,rare\n",
        rows=[("fine", "pos"), ("bad", "neg"), ("odd", "rare")],
    ),
    Case(
        "quotes, delimiters and line ends in a quoted field",
        CSV + b'"a ""b"", c",x\n"two\nlines","y"\r\n"three\r\n\nlines",z\n',
        rows=[('a "b", c', "x"), ("two\nlines", "y"), ("three\r\n\nlines", "z")],
    ),
    Case(
        "a semicolon as delimiter",
        b"text;label\na,b;x\nc;y\n",
        format=TableFormat(delimiter=";"),
        rows=[("a,b", "x"), ("c", "y")],
    ),
    Case(
        "quotes in a TSV are characters",
        b'text\tlabel\n"a\tx\nhe said "hi"\ty\n',
        file="train.tsv",
        rows=[('"a', "x"), ('he said "hi"', "y")],
    ),
    Case(
        "a quoted TSV",
        b'text\tlabel\n"a\tb"\tx\nc\ty\n',
        file="train.tsv",
        format=TableFormat(quoting=True),
        rows=[("a\tb", "x"), ("c", "y")],
    ),
    Case(
        "U+2028, U+0085 and a lone carriage return end no line",
        "text\tlabel\na\u2028b\tx\nc\x85d\re\x0bf\ty\n".encode(),
        file="train.tsv",
        rows=[("a\u2028b", "x"), ("c\x85d\re\x0bf", "y")],
    ),
    Case(
        "U+2028 in a CSV",
        CSV + 'a\u2028b,x\n"c\u2028d",y\n'.encode(),
        rows=[("a\u2028b", "x"), ("c\u2028d", "y")],
    ),
    Case(
        "latin-1, stated",
        CSV + b"caf\xe9,x\nb,y\n",
        format=TableFormat(encoding="latin-1"),
        rows=[("caf\xe9", "x"), ("b", "y")],
    ),
    Case(
        "utf-16, stated",
        "text,label\n\u732b,x\n\U0001f431,y\n".encode("utf-16"),
        format=TableFormat(encoding="utf-16"),
        rows=[("\u732b", "x"), ("\U0001f431", "y")],
    ),
    Case(
        "a text file, format stated",
        b"a@x\nb@y\n",
        file="train.txt",
        fields=NO_HEADER,
        format=TableFormat(kind="csv", delimiter="@"),
        rows=[("a", "x"), ("b", "y")],
    ),
    Case(
        "an upper-case extension, packed",
        gzip.compress(GOOD),
        file="TRAIN.CSV.GZ",
        rows=[("fine", "pos"), ("bad", "neg")],
    ),
    Case(
        "a glob, sorted",
        GOOD,
        file="train.csv",
        spec="*.csv",
        rows=[("fine", "pos"), ("bad", "neg")],
    ),
    Case(
        "brackets in a file's name",
        GOOD,
        file="train[1].csv",
        rows=[("fine", "pos"), ("bad", "neg")],
    ),
    Case(
        "a column name with quotes and a comma",
        b'"a ""text"", so to say",label\nx,1\ny,2\n',
        fields=Fields(text='a "text", so to say'),
        rows=[("x", "1"), ("y", "2")],
    ),
    Case(
        "JSON of every label type",
        b'{"text": "a", "label": true}\n{"label": false, "text": "b", "more": [1]}\n',
        file="train.jsonl",
        rows=[("a", "true"), ("b", "false")],
    ),
    Case(
        "JSON numbers, whole and not",
        b'{"text": "a", "label": 1}\r\n{"text": "b", "label": 2.5}\r\n',
        file="train.ndjson",
        rows=[("a", "1"), ("b", 2.5)],
    ),
    Case(
        "JSON lists",
        b'{"text": "a", "label": ["x", "y"]}\n{"text": "b", "label": []}\n{"text": "c", "label": [3]}',
        file="train.jsonl",
        rows=[("a", ("x", "y")), ("b", ()), ("c", ("3",))],
    ),
    Case(
        "JSON escapes, a lone surrogate among them",
        b'{"text": "a\\ud800\\n\\u0000", "label": "x"}\n{"text": "\\ud83d\\udc31", "label": "y"}\n',
        file="train.jsonl",
        rows=[("a\ud800\n\0", "x"), ("\U0001f431", "y")],
    ),
    Case(
        "Parquet texts and whole numbers",
        parquet(text=["NA", "b"], label=[1, 0]),
        file="train.parquet",
        rows=[("NA", "1"), ("b", "0")],
    ),
    Case(
        "Parquet dictionaries and lists",
        parquet(text=pa.array(["a", "a"]).dictionary_encode(), label=[["x"], []]),
        file="train.parquet",
        rows=[("a", ("x",)), ("a", ())],
    ),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in ACCEPTED])
def test_an_odd_input_is_read_as_it_is(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batches = case.read()
    read = [row for batch in batches for row in zip(batch.texts, batch.labels or (), strict=True)]
    assert read == case.rows
    case.label_set(batches)


ROW_FAULTS = [case for case in TABLES if case.message.endswith(ROW)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in ROW_FAULTS])
def test_a_bad_row_is_left_out_and_listed_or_kept_with_its_reason(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = case.content.split(b"\n")[0]
    if case.fields.columns is None:
        filler = b",".join([b"1"] * len(header.split(b",")))
        content = case.content.rstrip(b"\n") + b"\n" + filler + b"\n"
    else:
        content = case.content + b"1\t1\n"
    whole = Case(**{**case.__dict__, "content": content})
    where, _, reason = case.message.removesuffix(ROW).partition(": ")
    line = int(where.partition(":")[2])

    skipped: list[BadRow] = []
    left = whole.read("skip", skipped)
    assert (case.file, line, reason) in [(row.source, row.line, row.reason) for row in skipped]
    assert left[-1].texts[-1] == "1"
    assert all(text for batch in left for text in batch.texts)

    kept: list[BadRow] = []
    all_rows = whole.read("keep", kept)
    assert kept == skipped
    reasons = {
        number: error
        for batch in all_rows
        for number, text, error in zip(batch.lines, batch.texts, batch.errors or (), strict=True)
        if error is not None and text == ""
    }
    assert reasons == {row.line: row.reason for row in kept}


def test_skipping_refuses_a_file_of_bad_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case("", CSV + b"a\nb,c,d\n")
    with pytest.raises(TuneError) as caught:
        case.read("skip")
    assert str(caught.value) == (
        "train.csv: none of its 2 rows can be used; line 2: 1 field, where the header names 2; "
        "correct the file, or its data.format."
    )
    assert [batch.texts for batch in case.read("keep")] == [["", ""]]


def test_new_texts_need_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (batch,) = Case("", b"text\na\nb\n").read("keep", split="predict")
    assert (batch.texts, batch.labels, batch.errors) == (["a", "b"], None, [None, None])
    (batch,) = Case("", CSV + b"a,\nb,x\n").read("keep", split="predict")
    assert (batch.texts, batch.labels) == (["a", "b"], ["", "x"])
