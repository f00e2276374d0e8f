"""The part of a report with the worst mistakes: films and maps where they may be shown.

A film is shown only where its licence, as the manifest states it, lets anyone pass it on: Creative
Commons' CC0, BY and BY-SA, and the public domain. Any other licence has to be named by who makes
the report; films of patients whose licence nobody stated stay out.
"""

import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.model.labels import LABEL_IDS
from training.asking.asking import Asked
from training.data.images import ImageSet
from training.html_report.html_elements import (
    Html,
    inline,
    paragraph,
    picture,
    section,
    table,
    text,
)
from training.html_report.material import Material

_FREE: Final = re.compile(
    r"(cc0|cc by|cc by-sa)( \d\.\d)?( [a-z]{2,4})?|public domain", re.IGNORECASE
)
_WORST: Final = 12
_NORMAL: Final = LABEL_IDS.index("normal")
_SIDE_PX: Final = 224
_STRENGTH: Final = 0.55


@dataclass(frozen=True, slots=True)
class Showing:
    """Which films may be shown.

    Parameters
    ----------
    films : no film at all is shown without it
    licences : shown beside those that let anyone pass a film on, as the manifest writes them
    """

    films: bool = True
    licences: Collection[str] = ()

    def allows(self, licence: str) -> bool:
        """Tell whether a film of this licence may be shown."""
        return self.films and (is_free(licence) or licence in self.licences)


def is_free(licence: str) -> bool:
    """Tell whether a licence, as a manifest writes it, lets anyone pass a film on."""
    return _FREE.fullmatch(" ".join(licence.replace("CC-", "CC ").split())) is not None


def describe_mistakes(found: Material, showing: Showing) -> Html:
    """Write out the mistakes that the model was surest of."""
    asked = found.asked
    if asked is None:
        return ""
    rows = find_worst(asked)
    told = asked.predictions
    wrong = int((told.probabilities.argmax(1) != told.truths).sum())
    lead = paragraph(
        f"{wrong} of {len(told)} images of {asked.split} were called wrongly. The {len(rows)} "
        "whose label called was furthest ahead of the true one:"
    )
    shown = [row for row in rows if asked.images and _allowed(asked.images, row, showing)]
    parts = [lead, _list_rows(asked, rows)]
    if shown and asked.images is not None:
        cards = "".join(_show(asked, asked.images, row) for row in shown)
        parts += [paragraph(_EXPLAINED), f"<div class='films'>{cards}</div>"]
    parts.append(_say_left_out(asked, rows, showing))
    return section("mistakes", "Worst mistakes", parts)


_EXPLAINED: Final = (
    "Each film as the network sees it, both sides set to 224 pixels. Colours mark what speaks for "
    "a label, the strongest of this film the brightest: not where a disease is. `normal` is the "
    "absence of the others and has no map."
)


def find_worst(asked: Asked) -> list[int]:
    """Return the rows called wrongly, those first whose wrong label led the true one by most."""
    told = asked.predictions
    rows = np.arange(len(told))
    called = told.probabilities.argmax(1)
    lead = told.probabilities[rows, called] - told.probabilities[rows, told.truths]
    wrong = np.flatnonzero(called != told.truths)
    order = np.lexsort((told.paths[wrong], -lead[wrong]))
    return [int(row) for row in wrong[order][:_WORST]]


def _allowed(images: ImageSet, row: int, showing: Showing) -> bool:
    return showing.allows(images.samples[row].licence)


def _list_rows(asked: Asked, rows: list[int]) -> Html:
    told, called = asked.predictions, asked.predictions.called
    cells = [
        [
            f"`{told.data_sets[row]}/{told.paths[row]}`",
            told.sources[row],
            told.labels[row],
            called[row],
            f"{told.probabilities[row].max():.3f}",
            f"{told.probabilities[row, told.truths[row]]:.3f}",
            told.statuses[row],
        ]
        for row in rows
    ]
    head = ["image", "source", "true", "called", "probability", "of the true one", "status"]
    return table(head, cells)


def _say_left_out(asked: Asked, rows: list[int], showing: Showing) -> Html:
    if asked.images is None:
        return paragraph("Their films were not read: `--data` brings them.", "faint")
    if not showing.films:
        return paragraph("Films are left out of this report, as was asked (`--no-films`).", "faint")
    samples = [asked.images.samples[row] for row in rows]
    hidden = [sample for sample in samples if not showing.allows(sample.licence)]
    if not hidden:
        return ""
    names = "; ".join(sorted({sample.licence for sample in hidden}))
    return paragraph(
        f"{len(hidden)} film(s) are not shown: a page is passed on easily, and their licence "
        f"({names}) is none of those that let anyone do so. `--show-licence '...'` shows films of "
        "one that you name.",
        "faint",
    )


def _show(asked: Asked, images: ImageSet, row: int) -> Html:
    told, sample = asked.predictions, images.samples[row]
    film = images.images[row, 0]
    called, true = int(told.probabilities[row].argmax()), int(told.truths[row])
    shares = told.probabilities[row]
    views = [_figure(draw_film(film), f"film; {sample.source}, {sample.licence}")]
    if asked.maps is not None:
        views += [
            _figure(
                draw_film(film, asked.maps[row, label]),
                f"{role}: {_name(label)}, {shares[label]:.3f}",
            )
            for role, label in (("called", called), ("true", true))
            if label != _NORMAL
        ]
    name = f"{told.data_sets[row]}/{told.paths[row]}"
    said = (
        f"{text(_name(true))} called <b>{text(_name(called))}</b> with "
        f"{', '.join(filter(None, (f'{shares[called]:.3f}', text(told.statuses[row]))))}"
    )
    return (
        f"<div class='film'><div class='row'>{''.join(views)}</div><p>{said}<br>"
        f"{inline(f'`{name}`')}</p></div>"
    )


def _name(label: int) -> str:
    return LABEL_IDS[label].replace("_", " ")


def _figure(content: bytes, caption: str) -> Html:
    shown = picture(content, "jpeg", caption, f"width='{_SIDE_PX}' height='{_SIDE_PX}'")
    return f"<figure>{shown}<figcaption>{text(caption)}</figcaption></figure>"


def draw_film(film: NDArray[np.uint8], cam: NDArray[np.float32] | None = None) -> bytes:
    """Return a film, uint8 [H, W], as JPEG, what speaks for a label laid over it in colours.

    Parameters
    ----------
    cam : float32 [rows, columns], the label's map; what is negative counts as nothing
    """
    pixels = np.repeat(film[..., np.newaxis], 3, 2).astype(np.float32)
    if cam is not None:
        positive = np.maximum(cam, 0)
        share = positive / (positive.max() or 1)
        size = (film.shape[1], film.shape[0])
        smooth = Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        marked = np.asarray(smooth, np.float32)
        colours = mpl.colormaps["viridis"](marked)[..., :3].astype(np.float32) * 255
        strength = _STRENGTH * marked[..., np.newaxis]
        pixels = pixels * (1 - strength) + colours * strength
    drawn = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(drawn, "JPEG", quality=85)
    return drawn.getvalue()
