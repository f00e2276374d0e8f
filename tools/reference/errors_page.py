"""docs/reference/errors.md: the tree of `app.errors`, each error with what to do next."""

import inspect
from collections.abc import Iterator

from app.errors import BundleError, NeumoError, RequestError
from app.language import Text
from tools.reference.markdown_table import GENERATED, code, render_table


def render_page() -> str:
    """Return the page."""
    leaves = sorted(_leaves(NeumoError), key=lambda error: error.code)
    calls = [error for error in leaves if issubclass(error, RequestError)]
    bundles = [error for error in leaves if issubclass(error, BundleError)]
    others = [error for error in leaves if not issubclass(error, RequestError | BundleError)]
    lines = [
        "# Errors",
        "",
        GENERATED,
        "",
        "A failed call is answered `application/problem+json` (RFC 9457). Decide by its `code`,",
        "which never changes; show `title` and `detail`, which come in English or Spanish by",
        "`Accept-Language`; quote `request_id` to the operator, whose log has it. Some codes are",
        "told closer by a `reason`. Names in braces stand for a number of yours or of the service.",
        "No error repeats what was sent.",
        "",
        "What is answered with `Retry-After` is worth another try after as many seconds. Of all",
        "others, what stands below says whether the same request can do better.",
        "",
    ]
    statuses = sorted({error.status for error in calls})
    summary = [
        [
            str(status),
            " ".join(f"[{code(e.code)}](#{e.code})" for e in calls if e.status == status),
        ]
        for status in statuses
    ]
    lines += render_table(["status", "codes"], summary)
    lines += ["## Answers to a call", ""]
    for status in statuses:
        for error in (each for each in calls if each.status == status):
            lines += _section(error, f"**{status}.** ")
    lines += [
        "## A start that stops",
        "",
        "The model, or the measurement of it, can't be served: `neumo serve` ends with the exit",
        "code, and says this on standard error.",
        "",
    ]
    for bundle in bundles:
        lines += _section(bundle, f"**Exit code {bundle.exit_code}.** ")
    lines += ["## In the terminal and in the log", ""]
    for other in others:
        lines += _section(other, "")
    return "\n".join(lines).rstrip("\n") + "\n"


def _leaves(root: type[NeumoError]) -> Iterator[type[NeumoError]]:
    for branch in root.__subclasses__():
        if branch.__module__.startswith("app."):
            if not branch.__subclasses__():
                yield branch
            yield from _leaves(branch)


def _section(error: type[NeumoError], before: str) -> list[str]:
    summary = (inspect.getdoc(error) or "").partition("\n")[0]
    rows = [["", *_texts(error.advice)]]
    if issubclass(error, RequestError):
        rows += [[code(reason), *_texts(text)] for reason, text in error.reasons.items()]
    return [
        f"### `{error.code}`",
        "",
        f"{before}{error.title.en}, *{error.title.es}*. {summary}",
        "",
        *render_table(["reason", "what to do", "qué hacer"], rows),
    ]


def _texts(text: Text) -> tuple[str, str]:
    return text.en, text.es
