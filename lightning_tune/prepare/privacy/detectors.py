"""The table of detectors: what each finds, and what a text must hold before it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lightning_tune.prepare.privacy import triggers
from lightning_tune.prepare.privacy.addresses import addresses
from lightning_tune.prepare.privacy.births import births
from lightning_tune.prepare.privacy.cards import cards
from lightning_tune.prepare.privacy.chinese_addresses import chinese_addresses
from lightning_tune.prepare.privacy.emails import emails
from lightning_tune.prepare.privacy.ibans import ibans
from lightning_tune.prepare.privacy.ids import national_ids
from lightning_tune.prepare.privacy.ips import ips
from lightning_tune.prepare.privacy.phones import phones
from lightning_tune.prepare.privacy.settings import Kind
from lightning_tune.prepare.privacy.spans import Find
from lightning_tune.prepare.privacy.urls import urls


@dataclass(frozen=True)
class Detector:
    """One rule.

    Args:
        kind: What it finds.
        needs: Whether a plain text could hold it, at little cost.
        find: Finds it in a plain text.
    """

    kind: Kind
    needs: Callable[[str], bool]
    find: Find


DETECTORS = (
    Detector("url", triggers.scheme, urls),
    Detector("email", triggers.at_sign, emails),
    Detector("iban", triggers.six_digits, ibans),
    Detector("card", triggers.six_digits, cards),
    Detector("national_id", triggers.six_digits, national_ids),
    Detector("ip", triggers.dots_or_colons, ips),
    Detector("birth_date", triggers.digit, births),
    Detector("phone", triggers.six_digits, phones),
    Detector("address", triggers.digit, addresses),
    Detector("address", triggers.house, chinese_addresses),
)
