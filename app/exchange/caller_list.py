"""Who may ask for an association: application entity titles, each bound to an address or not."""

import ipaddress
from dataclasses import dataclass
from typing import Final, Self

_MOST_TITLE: Final = 16  # characters of a VR of AE (PS3.5 section 6.2)


@dataclass(frozen=True, slots=True)
class CallerList:
    """Titles that may call, from everywhere or from some addresses; empty: anybody may.

    A title is no proof of who calls: that is what client certificates and firewalls are for.
    """

    callers: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``AET`` and ``AET@address``, separated by commas.

        Raises
        ------
        ValueError
            If a title or an address is none.
        """
        callers = set()
        for word in filter(None, (part.strip() for part in text.split(","))):
            title, _, address = (part.strip() for part in word.partition("@"))
            if not 0 < len(title) <= _MOST_TITLE or not title.isascii() or "\\" in title:
                raise ValueError("a caller is AET or AET@address; a title has 1 to 16 characters")
            if "@" in word:
                try:
                    address = str(ipaddress.ip_address(address))
                except ValueError:
                    raise ValueError("the address in AET@address is an IP address") from None
            callers.add((title, address))
        return cls(frozenset(callers))

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
