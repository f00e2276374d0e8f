"""How validation's films lie: what a bundle's card tells, for drift to be seen in service."""

from app.machine import count_cpus
from app.model.bundle import Bundle
from app.model.card import BUNDLE_FORMAT, Card
from app.model.labels import LABEL_IDS
from app.model.measured.reference import Histogram, Reference
from app.model.session import Network, Outputs
from training.config import Config
from training.data.images import ImageSet
from training.files import write_whole
from training.measure.evaluation import in_our_order, run_network


def describe_films(outputs: Outputs) -> Reference:
    """Describe how films lie, by what a graph answered for them; columns are `LABEL_IDS`."""
    called = outputs.probabilities.argmax(1)
    return Reference(
        images=len(called),
        distance=Histogram.of(outputs.distance),
        confidence=Histogram.of(outputs.probabilities.max(1)),
        labels={label: int((called == index).sum()) for index, label in enumerate(LABEL_IDS)},
    )


def add_reference(config: Config, bundle: Bundle, validation: ImageSet) -> Card:
    """Write a bundle's card anew, with the reference by its int8 graph; all else stays.

    Parameters
    ----------
    validation : patients that the network was not fitted to
    """
    network = Network(bundle.graph, count_cpus())
    answers = run_network(network, validation.images, "validation")
    reference = describe_films(in_our_order(answers, bundle.card.labels))
    told = {"reference": reference, "bundle_format": BUNDLE_FORMAT}
    card = Card.model_validate(dict(bundle.card) | told)
    content = card.model_dump_json(indent=1) + "\n"
    write_whole(config.bundle_folder / "card.json", content.encode())
    return card
