"""Redaction of what tells who somebody is: found by rules in linear time, counted, never shown."""

from lightning_tune.prepare.privacy.redactor import Redacted, Redactor
from lightning_tune.prepare.privacy.settings import KINDS, Kind, PrivacySettings

__all__ = ["KINDS", "Kind", "PrivacySettings", "Redacted", "Redactor"]
