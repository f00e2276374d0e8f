"""The acceptance that is served: of the bundle, measured with the priors it is served with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.errors import AcceptanceMismatch, AcceptancePriorsMismatch
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.acceptance_file import Acceptance, hash_of_bundle, load_acceptance
from app.model.session import Model

Priors = Mapping[LabelId, float]

_SAME: Final = 1e-6
"""Priors that differ by less are alike."""


def find_acceptance(
    where: str, model: Model, priors: Priors | None = None, *, needed: bool
) -> Acceptance | None:
    """Return the acceptance of a bundle among several files; None if there is none.

    Parameters
    ----------
    where : a file, or a folder whose ``*.json`` are looked through; or several, with commas between
    priors : that are served with; the card's own where None
    needed : whether a file that is named has to be this bundle's; those of a folder never have to

    Raises
    ------
    AcceptanceMissing, AcceptanceMalformed, AcceptanceMismatch
    AcceptancePriorsMismatch
        If the bundle has acceptances, and none of them was measured with these priors.
    """
    named, found = list_named(where), []
    for path in [*named, *_list_in_folders(where)]:
        acceptance = load_acceptance(path)
        if acceptance.sha256 == hash_of_bundle(model):
            found.append((acceptance, path))
    own = model.card.priors
    fitting = [each for each, _ in found if _are_alike(each.priors or own, priors or own)]
    if fitting:
        return max(fitting, key=lambda each: each.date)
    if found:
        acceptance, path = max(found, key=lambda each: each[0].date)
        raise AcceptancePriorsMismatch(
            file=path.name, bundle=model.card.name, measured=_write_priors(acceptance.priors)
        )
    if needed and named:
        raise AcceptanceMismatch(file=named[0].name, bundle=model.card.name)
    return None


def _are_alike(one: Priors | None, other: Priors | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(abs(one[label] - other[label]) < _SAME for label in LABEL_IDS)


def _write_priors(priors: Priors | None) -> str:
    """Write priors as NEUMO_PRIORS takes them."""
    if priors is None:
        return '""'
    return ",".join(f"{label}={priors[label]:.6g}" for label in LABEL_IDS)


def list_named(where: str) -> list[Path]:
    """Return the files that are named themselves, not by their folder."""
    return [path for path in _list_paths(where) if not path.is_dir()]


def fits_model(path: Path, model: Model) -> bool:
    """Whether an acceptance file is of this bundle.

    Raises
    ------
    AcceptanceMissing, AcceptanceMalformed
    """
    return load_acceptance(path).sha256 == hash_of_bundle(model)


def _list_paths(where: str) -> list[Path]:
    if not where or Path(where).exists():  # its own name may hold a comma
        return [Path(where)] if where else []
    return [Path(each.strip()) for each in where.split(",") if each.strip()]


def _list_in_folders(where: str) -> list[Path]:
    folders = [path for path in _list_paths(where) if path.is_dir()]
    return [path for folder in folders for path in sorted(folder.glob("*.json"))]
