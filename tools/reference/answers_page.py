"""docs/reference/answers.md: what an answer can say, in both languages."""

from app.model.bundle import find_bundle, read_bundle
from app.render.wording import NOTICE, REASONS, WARNINGS
from app.settings.settings import Settings
from tools.reference.markdown_table import GENERATED, code, render_table

_STATUSES = (
    ("ok", "The label called reaches its floor, and leads by the margin: in the card, `certainty`"),
    ("uncertain", "The network does not know; `reasons` say why, `candidates` between which"),
)


def render_page() -> str:
    """Return the page."""
    card = read_bundle(find_bundle(Settings.model_fields["model"].default)).card
    lines = ["# What an answer says", "", GENERATED, ""]
    lines += [
        "A film that can be read gets 200 and a Reading. Its members are those of",
        "[`Reading`](http.md#reading); what can't be read gets a [problem](errors.md).",
        "",
        "## Labels",
        "",
        f"Of `{card.name}`, the model that is served by default. `label` is the likeliest one,",
        "whatever `status` is. `normal` means none of the three others, not healthy.",
        "",
        *render_table(
            ["label", "English", "Spanish"],
            [[code(each.id), each.en, each.es] for each in card.labels],
        ),
        "## Status",
        "",
        *render_table(["status", "means"], [[code(name), text] for name, text in _STATUSES]),
        "## Reasons",
        "",
        "Why an answer is `uncertain`: one or several of",
        "",
        *render_table(
            ["code", "English", "Spanish"],
            [[code(name), text.en, text.es] for name, text in REASONS.items()],
        ),
        "## Warnings",
        "",
        "What else to know of an answer, `ok` or `uncertain`. They change nothing of it.",
        "",
        *render_table(
            ["code", "English", "Spanish"],
            [[code(name), text.en, text.es] for name, text in WARNINGS.items()],
        ),
        "## Notice",
        "",
        "Stands in every answer:",
        "",
        f"> {NOTICE.en}",
        "",
        f"> {NOTICE.es}",
        "",
    ]
    return "\n".join(lines).rstrip("\n") + "\n"
