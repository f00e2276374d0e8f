"""The Reading: what is said of one image. A domain object, without language, JSON or HTTP.

`app.render` makes its shapes; one Reading can be rendered several times.
"""

from dataclasses import dataclass

from app.image.grey_image import GreyImage, ImageFacts
from app.model.card import Card
from app.model.measured.acceptance_file import Acceptance
from app.model.session import ImageOutputs
from app.reading.judge import Judgement
from app.reading.population import NOBODY, Subject


@dataclass(frozen=True, slots=True)
class Reading:
    """What is said of one image, with all that it was made from.

    Parameters
    ----------
    image : the decoded radiograph, for renderings that show it
    outputs : what the network gave for it
    judgement : what that means
    card : of the model that read it
    acceptance : what the hospital measured of that model; None if it told nothing
    subject : whom it was taken to be of: as was said, and where nothing was, as the file's tags say
    decode_ms, inference_ms : milliseconds of decoding with resizing, and of the network
    """

    image: GreyImage
    outputs: ImageOutputs
    judgement: Judgement
    card: Card
    decode_ms: float
    inference_ms: float
    acceptance: Acceptance | None = None
    subject: Subject = NOBODY

    @property
    def facts(self) -> ImageFacts:
        """What the file says of itself."""
        return self.image.facts
