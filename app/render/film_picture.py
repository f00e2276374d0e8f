"""The film as it was read: 8 bits of grey, as PNG or JPEG.

What is drawn is what the network's pixels are made from: upright, bright means dense, a DICOM file
by its window. Nothing of a file but its pixels goes into the picture.
"""

import io
from typing import Final, Literal

from PIL import Image

from app.image.grey_image import GreyImage

MOST_PX: Final = 4096
DEFAULT_PX: Final = 1024
"""No larger than a screen."""
LEAST_PX: Final = 64
_FASTEST_COMPRESSION: Final = 1
_JPEG_QUALITY: Final = 90


def draw_film(image: GreyImage, picture_format: Literal["PNG", "JPEG"], max_px: int) -> bytes:
    """Return the film as a grey picture, its longer side at most `max_px`; never enlarged.

    Parameters
    ----------
    image : as decoded
    max_px : of the longer side
    """
    picture = Image.fromarray(image.pixels)
    scale = max_px / max(picture.size)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    file = io.BytesIO()
    if picture_format == "PNG":
        picture.save(file, "PNG", compress_level=_FASTEST_COMPRESSION)
    else:
        picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
