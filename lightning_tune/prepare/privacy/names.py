"""Names of persons, by Presidio over a spaCy pipeline that is already installed (extra `names`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.privacy.spans import Found


class NameFinder:
    """Finds names of persons.

    Args:
        language: Language of the texts, as a code of two letters.
        model: An installed spaCy pipeline, or the folder of one.

    Raises:
        ConfigError: if Presidio or the pipeline is not there; nothing is downloaded.
    """

    def __init__(self, language: str, model: str) -> None:
        try:
            import spacy.util
            from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine, RecognizerRegistry
            from presidio_analyzer.nlp_engine import SpacyNlpEngine
            from presidio_analyzer.predefined_recognizers import SpacyRecognizer
        except ImportError as err:
            raise ConfigError(
                f"names: true needs {err.name or 'Presidio'}; pip install 'lightning-tune[names]', "
                "or leave names out."
            ) from err
        # Presidio would download a pipeline that is not there.
        if not (spacy.util.is_package(model) or Path(model).is_dir()):
            raise ConfigError(
                f"names_model={model!r} is neither an installed spaCy pipeline nor a folder; "
                f"install it with pip, or name the folder that holds it."
            )
        engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
        engine.load()
        # One recogniser alone: the others are slower than our rules, and one asks the network.
        registry = RecognizerRegistry(supported_languages=[language])
        registry.add_recognizer(
            SpacyRecognizer(supported_language=language, supported_entities=["PERSON"])
        )
        analyzer = AnalyzerEngine(
            registry=registry, nlp_engine=engine, supported_languages=[language]
        )
        self._language = language
        self._analyzer: Any = BatchAnalyzerEngine(analyzer)

    def __call__(self, texts: Sequence[str]) -> list[list[Found]]:
        """Return where names stand in each text."""
        results = self._analyzer.analyze_iterator(
            list(texts), language=self._language, entities=["PERSON"]
        )
        return [[(each.start, each.end) for each in found] for found in results]
