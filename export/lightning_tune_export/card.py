"""README.md of a bundle: what it answers, how well, and how to load it with and without Python."""

from __future__ import annotations

from lightning_tune.reports.display import (
    TASK_TITLES,
    label_text,
    printable,
    setting,
)
from lightning_tune.reports.markdown import escape, markdown_table
from lightning_tune.reports.points import two_digits
from lightning_tune.schema import LabelSet
from lightning_tune.serving.manifest import PORTABLE, Manifest
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.words import headline

_LABELS_SHOWN = 40
_TEXT, _OTHER = "The weather was better than we had hoped.", "It rained all week."
"""Of no field in particular: a model of feelings, topics or pairs may be asked about them."""
_OPENING = """\
import json, numpy as np, onnxruntime
from tokenizers import Tokenizer
{given}
about = json.load(open("bundle.json", encoding="utf-8"))
off = about["session"]["disabled_optimizers"]
session = onnxruntime.InferenceSession(about["model"], disabled_optimizers=off)
read = Tokenizer.from_file("tokenizer.json").encode_batch({encoded})
arrays = {{"input_ids": [e.ids for e in read], "attention_mask": [e.attention_mask for e in read]}}
arrays["token_type_ids"] = [e.type_ids for e in read]
inputs = {{each.name: np.array(arrays[each.name]) for each in session.get_inputs()}}
logits = session.run(["logits"], inputs)[0] / about["calibration"]["temperature"]
"""
_PIPELINE = """\
import {{ env, pipeline }} from "@huggingface/transformers";
env.localModelPath = "..";  // the folder that this one, "bundle", lies in
const classify = await pipeline("text-classification", "bundle", {{ dtype: "{kind}" }});
console.log(await classify("{text}"{all}));
"""
# The pipeline reads one text, and makes 1 of any single number.
_LOGITS = """\
import {{ env, AutoTokenizer, AutoModelForSequenceClassification as Classifier }}
  from "@huggingface/transformers";
env.localModelPath = "..";  // the folder that this one, "bundle", lies in
const read = await AutoTokenizer.from_pretrained("bundle");
const model = await Classifier.from_pretrained("bundle", {{ dtype: "{kind}" }});
const {{ logits }} = await model(read("{text}"{pair}));
console.log(logits.tolist());
"""
_ENDINGS = {
    "binary": 'print([about["labels"]["names"][at] for at in logits.argmax(axis=1)])\n',
    "multiclass": 'print([about["labels"]["names"][at] for at in logits.argmax(axis=1)])\n',
    "multilabel": (
        'limits = np.array(about["calibration"]["thresholds"] or 0.5)\n'
        'names = np.array(about["labels"]["names"])\n'
        "print([names[row].tolist() for row in 1 / (1 + np.exp(-logits)) > limits])\n"
    ),
    "regression": "print(logits[:, 0].tolist())\n",
}


def python_lines(labels: LabelSet, *, pairs: bool) -> str:
    """Return the lines that answer texts with onnxruntime, tokenizers and numpy alone.

    They run in the bundle's folder. Truncation and padding are in tokenizer.json.

    Args:
        labels: The label set.
        pairs: Whether the model reads two texts.
    """
    given = f'texts = ["{_TEXT}", "{_OTHER}"]'
    encoded = "texts"
    if pairs:
        given = f'texts, others = ["{_TEXT}"], ["{_OTHER}"]'
        encoded = "list(zip(texts, others))"
    return _OPENING.format(given=given, encoded=encoded) + _ENDINGS[labels.kind]


def card(report: ExportReport, manifest: Manifest) -> str:
    """Return README.md, which is not among the checksums: it may be edited."""
    parts = [
        _front_matter(manifest),
        _head(report, manifest),
        _python(manifest),
        _javascript(manifest),
        _measured(report),
        _limits(report, manifest),
        _facts(report, manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(manifest: Manifest) -> str:
    tags = f"tags: [onnx, {manifest.labels.kind}]"
    return f"---\npipeline_tag: text-classification\nlibrary_name: onnxruntime\n{tags}\n---"


def _head(report: ExportReport, manifest: Manifest) -> str:
    names = manifest.labels.names
    shown = ", ".join(escape(label_text(name)) for name in names[:_LABELS_SHOWN])
    more = f" and {len(names) - _LABELS_SHOWN} more" if len(names) > _LABELS_SHOWN else ""
    of_pairs = " of pairs of texts" if manifest.fields.text_pair else ""
    lines = [
        f"# {escape(printable(report.title, limit=120))}",
        "",
        f"{TASK_TITLES[manifest.labels.kind]}{of_pairs}, exported by lightning_tune with the "
        f"recipe `{report.recipe}`. {headline(report)} `report.html` has all that was measured.",
    ]
    if names:
        lines += ["", f"Labels: {shown}{more}."]
    return "\n".join(lines)


def _python(manifest: Manifest) -> str:
    lines = python_lines(manifest.labels, pairs=manifest.fields.text_pair is not None)
    return f"""## Load it

With onnxruntime, tokenizers and numpy, in this folder:

```python
{lines}```

With everything that training does to a text ({_treatment(manifest)}), checksums verified first:

```python
from lightning_tune import Bundle

answers = Bundle(".")({_call(manifest)})
```

From the command line, without PyTorch, in the folder that this one, "bundle", lies in (a file that
is added to the bundle itself is taken for damage):

```sh
pip install --no-deps lightning-tune
pip install -r bundle/requirements.txt
python -m lightning_tune score --bundle bundle --input new.csv --output predictions.parquet
```"""


def _call(manifest: Manifest) -> str:
    return f'["{_TEXT}"], ["{_OTHER}"]' if manifest.fields.text_pair else f'["{_TEXT}"]'


def _treatment(manifest: Manifest) -> str:
    encoding = manifest.encoding
    kept = {
        "end": f"what is beyond {encoding.max_length} tokens is cut",
        "head_tail": f"of texts beyond {encoding.max_length} tokens head and tail are kept",
        "windows": f"texts beyond {encoding.max_length} tokens are read in windows",
    }[encoding.truncation]
    return f"lone surrogates replaced, batches of like length, {kept}"


def _javascript(manifest: Manifest) -> str:
    kind = "fp32" if manifest.model == PORTABLE else "q8"
    unknown = {
        "multilabel": ", and knows neither temperature nor thresholds",
        "regression": "",
    }.get(manifest.labels.kind, ", and does not know the temperature")
    lines = _PIPELINE
    if manifest.labels.kind == "regression" or manifest.fields.text_pair:
        lines = _LOGITS
    lines = lines.format(
        kind=kind,
        all=", { top_k: null }" if manifest.labels.kind == "multilabel" else "",
        pair=f', {{ text_pair: "{_OTHER}" }}' if manifest.fields.text_pair else "",
        text=_TEXT,
    )
    return f"""With [transformers.js](https://huggingface.co/docs/transformers.js), which reads
config.json, tokenizer.json, tokenizer_config.json and `{manifest.model}`{unknown}:

```js
{lines}```"""


def _measured(report: ExportReport) -> str:
    rows = [
        [
            escape(check.name),
            f"{two_digits(check.measured)} {check.unit}",
            f"{check.budget:g} {check.unit}",
        ]
        for check in report.checks
    ]
    found = markdown_table("Measured", ["", "Measured", "Budget"], rows)
    errors = report.calibrated.errors
    if not errors:
        return found
    told = (
        f"Expected calibration error on test: {errors['after']:.4f} at the temperature "
        f"{report.calibrated.temperature:.3f}, {errors['before']:.4f} without it."
    )
    return f"{found}\n\n{told}" if found else f"## Measured\n\n{told}"


def _limits(report: ExportReport, manifest: Manifest) -> str:
    foreign = {
        "multilabel": "a text that is foreign to it may get labels all the same, or none.",
        "regression": "nothing shows that a text is foreign to it.",
    }.get(
        manifest.labels.kind,
        "a low probability is the only sign that a text is foreign to it.",
    )
    given = "a number" if manifest.labels.kind == "regression" else "labels of its own"
    lines = [
        "## Limits",
        "",
        f"- It answers with {given} whatever the text is about; {foreign}",
        "- The figures hold for texts like those of the test split, and the times for the machine "
        "named below.",
    ]
    if "dynamic" in report.winner:
        lines.append(
            "- Activations are rounded with scales of each batch, so a text that the model is "
            "unsure about may be answered otherwise alone than beside others."
        )
    if manifest.model != PORTABLE:
        lines.append(
            "- Integer products are rounded: on another kind of processor a logit may differ. The "
            "runtime compares a few with those of the exporting machine before it answers."
        )
    return "\n".join(lines)


def _facts(report: ExportReport, manifest: Manifest) -> str:
    values = {**report.provenance, "processor": ", ".join(manifest.cpu_features) or "not told"}
    rows = [[escape(printable(key)), escape(setting(value))] for key, value in values.items()]
    return markdown_table("Made of", ["", ""], rows)
