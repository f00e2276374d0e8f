"""Who may ask for an association: application entity titles, each bound to an address or not."""

import ipaddress
from dataclasses import dataclass
from typing import Self

from app.settings.exchange_settings import ExchangeSettings, parse_callers


@dataclass(frozen=True, slots=True)
class CallerList:
    """Titles that may call, from everywhere or from some addresses; empty: anybody may.

    A title is no proof of who calls: that is what client certificates and firewalls are for.
    """

    callers: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, settings: ExchangeSettings) -> Self:
        """Return those that settings name."""
        return cls(parse_callers(settings.dicom_callers))

    def __bool__(self) -> bool:
        """Return whether anybody is named."""
        return bool(self.callers)

    def allows(self, title: str, address: str) -> bool:
        """Return whether `title` may call from `address`."""
        if not self.callers:
            return True
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)  # of a socket that takes IPv4 and IPv6
        return (title, "") in self.callers or (title, str(mapped or found)) in self.callers
