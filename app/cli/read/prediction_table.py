"""What is said of films, as a person at a terminal sees it: bars for a few, a table for many."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text as Styled

from app.cli.read.film_files import shown
from app.cli.read.film_results import Result
from app.cli.read.prediction_lines import UNCERTAIN, explain_warning
from app.language import Language, Text
from app.model.labels import LABEL_IDS
from app.render.wording import NOTICE, REASONS

if TYPE_CHECKING:
    from app.model.card import Card
    from app.reading.judge import Judgement

_FEW: Final = 3
"""So many films have bars; of more each has a row, where the terminal has room for one."""

_NARROW: Final = 72

_WIDE: Final = 100
"""Columns from which a row has room for all four labels."""

_BARRED: Final = 50
_NUMBER: Final = 10
_LONGEST_BAR: Final = 40
_FILM: Final = Text("Film", "Radiografía")
_ANSWER: Final = Text("Answer", "Respuesta")
_SHARE: Final = Text("Probability", "Probabilidad")
_STATUS: Final = Text("Status", "Estado")
_NOTES: Final = Text("Notes", "Notas")
_NOT_READ: Final = Text("not read", "no leída")
_WHY: Final = Text("Uncertain: {text}", "Dudoso: {text}")
_MIND: Final = Text("Mind: {text}", "Atención: {text}")
_PROBLEM: Final = Text("Not read: {text}", "No leída: {text}")
_OF_ALL: Final = Text("Of all of them", "De todas")
_FOLDER: Final = Text("In {folder}", "En {folder}")
_SUM: Final = Text(
    "{films} films: {ok} ok, {uncertain} uncertain, {failed} not read.",
    "{films} radiografías: {ok} ok, {uncertain} dudosas, {failed} no leídas.",
)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is kept of a film: no pixels. Without a judgement it was not read."""

    path: Path
    judgement: "Judgement | None"
    notes: list[str]


@dataclass
class PredictionTable:
    """Takes results one by one, and shows them all at the end."""

    language: Language
    console: Console
    rows: list[_Row] = field(default_factory=list)
    card: "Card | None" = None

    def add(self, result: Result) -> None:
        """Keep what is to be shown of a film."""
        path, language = result.file.path, self.language
        if result.reading is None:
            text = result.error.detail(language) if result.error else ""
            self.rows.append(_Row(path, None, [_PROBLEM.render(language, text=text)]))
            return
        self.card, judgement = result.reading.card, result.reading.judgement
        why = [REASONS[code].render(language) for code in judgement.reasons]
        mind = [explain_warning(code, language) for code in judgement.warnings]
        notes = [_WHY.render(language, text=text) for text in why]
        notes += [_MIND.render(language, text=text) for text in mind if text not in why]
        self.rows.append(_Row(path, judgement, notes))

    def end(self) -> None:
        """Print bars or a table, what its notes mean, and what no answer is."""
        console = self.console
        if not self.rows:
            return
        of_all = [
            note
            for note in dict.fromkeys(note for row in self.rows for note in row.notes)
            if all(note in row.notes for row in self.rows if row.judgement or len(self.rows) == 1)
        ]
        numbers = _number(self.rows, of_all)
        if len(self.rows) <= _FEW or console.width < _NARROW:
            for row in self.rows:
                self._show_bars(row, of_all)
        else:
            console.print(self._tabulate(numbers, console.width))
            _list_notes(numbers, console)
        if of_all and len(self.rows) > 1:
            console.print(_OF_ALL.render(self.language), style="bold")
        for note in of_all:
            console.print(Padding(Styled(note), (0, 0, 0, 2), expand=False))
        if len(self.rows) > 1:
            console.print(self._sum(), style="bold")
        console.print(Styled(NOTICE.render(self.language)), style="dim")

    def _show_bars(self, row: _Row, of_all: Sequence[str]) -> None:
        console = self.console
        console.print(Styled(shown(row.path), style="bold"), soft_wrap=True)
        console.print(Padding(self._answer(row), (0, 0, 0, 2), expand=False))
        if row.judgement is not None and self.card is not None:
            bars = Table.grid(padding=(0, 1))
            bars.add_column(no_wrap=True)
            bars.add_column(justify="right", no_wrap=True)
            bars.add_column()
            room = min(_LONGEST_BAR, console.width - 36)
            for label, share in row.judgement.probabilities.items():
                called = "bold" if label == row.judgement.label else ""
                bars.add_row(
                    Styled(self.card.display(label, self.language), style=called),
                    Styled(f"{share:.1%}", style=called),
                    _bar(share, room) if console.width >= _BARRED else "",
                )
            console.print(Padding(bars, (0, 0, 0, 4), expand=False))
        for note in row.notes:
            if note not in of_all:
                console.print(Padding(Styled(note), (0, 0, 0, 2), expand=False))
        console.print()

    def _tabulate(self, numbers: Mapping[str, int], width: int) -> Table:
        language = self.language
        folder = _common_folder([row.path for row in self.rows])
        table = Table(
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            title=Styled(_FOLDER.render(language, folder=shown(folder))) if folder else None,
            title_justify="left",
            title_style="bold",
        )
        table.add_column(_FILM.render(language), overflow="fold", ratio=1)
        table.add_column(_ANSWER.render(language))
        table.add_column(_STATUS.render(language))
        shares = LABEL_IDS if self.card is not None and width >= _WIDE else ()
        for label in shares:
            name = self.card.display(label, language) if self.card else label
            table.add_column(name, justify="right", max_width=_NUMBER)
        if not shares:
            table.add_column(_SHARE.render(language), justify="right")
        if numbers:
            table.add_column(_NOTES.render(language))
        for row in self.rows:
            path = Path(os.path.relpath(row.path, folder)) if folder else row.path
            notes = " ".join(str(numbers[note]) for note in row.notes if note in numbers)
            cells = [Styled(shown(path)), self._label(row), self._status(row)]
            told = row.judgement.probabilities if row.judgement else {}
            if shares:
                for label in shares:
                    called = row.judgement is not None and label == row.judgement.label
                    share = f"{told[label]:.1%}" if told else ""
                    cells.append(Styled(share, style="bold" if called else ""))
            else:
                cells.append(Styled(f"{told[row.judgement.label]:.1%}" if row.judgement else ""))
            table.add_row(*cells, *([Styled(notes)] if numbers else []))
        return table

    def _answer(self, row: _Row) -> Styled:
        """Return the label called with its status, on one line."""
        parts = [part for part in (self._label(row), self._status(row)) if part]
        return Styled(", ").join(parts)

    def _label(self, row: _Row) -> Styled:
        if row.judgement is None or self.card is None:
            return Styled("")
        name = self.card.display(row.judgement.label, self.language)
        return Styled(name, style="bold" if row.judgement.status == "ok" else "bold yellow")

    def _status(self, row: _Row) -> Styled:
        if row.judgement is None:
            return Styled(_NOT_READ.render(self.language), style="red")
        if row.judgement.status == "uncertain":
            return Styled(UNCERTAIN.render(self.language), style="yellow")
        return Styled("ok", style="green")

    def _sum(self) -> str:
        status = [row.judgement.status if row.judgement else None for row in self.rows]
        return _SUM.render(
            self.language,
            films=len(status),
            ok=status.count("ok"),
            uncertain=status.count("uncertain"),
            failed=status.count(None),
        )


def _bar(share: float, width: int) -> ProgressBar:
    return ProgressBar(1.0, share, width, complete_style="cyan", finished_style="cyan")


def _number(rows: Sequence[_Row], of_all: Sequence[str]) -> dict[str, int]:
    """Return the notes of some rows with numbers from 1; those of all rows have none."""
    numbers = count(1)
    notes = dict.fromkeys(note for row in rows for note in row.notes if note not in of_all)
    return {note: next(numbers) for note in notes}


def _list_notes(numbers: Mapping[str, int], console: Console) -> None:
    if not numbers:
        return
    notes = Table.grid(padding=(0, 1))
    notes.add_column(justify="right")
    notes.add_column()
    for note, number in numbers.items():
        notes.add_row(Styled(str(number)), Styled(note))
    console.print(Padding(notes, (0, 0, 1, 0), expand=False))


def _common_folder(paths: Sequence[Path]) -> Path | None:
    """Return the folder that all paths lie in; None if it is this one, or there is none."""
    try:
        common = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:  # absolute and relative ones
        return None
    return common if common != Path() else None
