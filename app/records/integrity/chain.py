"""The chain: rows that each hold the MAC of the one before, and where a chain has come to.

A chain has one writer, one worker from its start to its end, so nobody waits for another. Its
rows are numbered from 1 without gaps. A segment is what it wrote on one day (UTC).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from app.records.integrity.audit_key import AuditKey, as_text

Row = dict[str, Any]
"""A row of `app.records.store.database.ROWS`, by column; what is None may be absent."""

ROW: Final = "row"
"""What is signed by this purpose is a row of the trail."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain has come to: `seq` and `mac` of its last row, and the segment it is in.

    Parameters
    ----------
    segment : day as YYYY-MM-DD; empty before the first row
    first_seq : of the segment
    """

    chain: str
    segment: str = ""
    first_seq: int = 1
    seq: int = 0
    mac: str = ""

    @property
    def unsealed(self) -> int:
        """Rows of the segment that no seal covers yet."""
        return self.seq - self.first_seq + 1

    def after(self, row: Mapping[str, Any]) -> "Head":
        """Return where the chain is once it holds `row`."""
        begins = row["segment"] != self.segment
        return Head(
            chain=self.chain,
            segment=row["segment"],
            first_seq=row["seq"] if begins else self.first_seq,
            seq=row["seq"],
            mac=row["mac"],
        )

    def sealed(self) -> "Head":
        """Return where the chain is once a seal covers all it holds."""
        return replace(self, segment="", first_seq=self.seq + 1)

    def signed(self, key: AuditKey) -> dict[str, Any]:
        """Return it with its signature, for a table or a file."""
        values = asdict(self)
        return values | {"tag": key.sign("head", values)}


def read_head(values: Mapping[str, Any], key: AuditKey) -> Head | None:
    """Return a head that was `signed`; None if its signature is wrong."""
    head = Head(**{name: values.get(name) for name in Head.__slots__})  # type: ignore[arg-type]
    return head if values.get("tag") == key.sign("head", asdict(head)) else None


def genesis(chain: str, key: AuditKey) -> str:
    """Return what the first row of a chain holds instead of the MAC before it."""
    return key.sign("chain", {"chain": chain})


def link(head: Head, key: AuditKey, time_ns: int, columns: Mapping[str, Any]) -> tuple[Head, str]:
    """Return where a chain is with one row more, and that row as a line of JSON.

    Parameters
    ----------
    time_ns : since the epoch
    columns : of the row; None counts as absent
    """
    time = format_time(time_ns)
    segment = max(head.segment, time[:10])  # a clock may be set back
    text = as_text(
        {
            **columns,
            "chain": head.chain,
            "seq": head.seq + 1,
            "segment": segment,
            "time": time,
            "previous": head.mac or genesis(head.chain, key),
        }
    )
    mac = key.sign_text(ROW, text)
    first_seq = head.first_seq if segment == head.segment else head.seq + 1
    after = Head(head.chain, segment, first_seq, head.seq + 1, mac)
    return after, f'{text[:-1]}, "mac": "{mac}"}}\n'


def format_time(time_ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the microsecond, so that texts sort as times do."""
    seconds, rest_ns = divmod(time_ns, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
