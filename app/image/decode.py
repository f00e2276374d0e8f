"""From the bytes of an upload to the 224 x 224 grey image the network sees.

The only preprocessing in the project: training reads its images through the same
`decode` and `resize`, so the two can't drift apart. Bright means dense (MONOCHROME2).

Rules
-----
- The content decides the format (JPEG, PNG or DICOM), never a name or a header of the request.
- Limits are checked on the image's header, before any pixel is decoded. So is the number of
  its parts (PNG chunks, JPEG segments and scans): each costs time however few its bytes.
- Colour becomes grey by ITU-R 601-2 luma; transparency is laid over black.
- EXIF rotation is applied.
- 16-bit PNG of every colour type is read at full depth and mapped to 8 bits by `window`.
- A PNG's gAMA is applied, unless a colour space says otherwise (sRGB, iCCP, cICP).
- JPEG larger than twice 448 px is decoded at 1/2, 1/4 or 1/8 scale (libjpeg's own scaling). What
  libjpeg would only warn of (lost or damaged data) is refused.
- DICOM is shown as a viewer shows it, by the rules of `dicom.grey_scale`.
- Resizing treats both axes independently (no crop, no bars), with a bilinear filter
  widened by the scale (antialiased).
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops

from app.errors import (
    ImageTooManyPixels,
    ImageTruncated,
    ImageUndecodable,
    RequestError,
    UnsupportedMediaType,
)
from app.image import jpeg, png
from app.image.file_format import Format, recognise
from app.image.grey_image import NORMAL_LIMITS, GreyImage, ImageFacts, Limits
from app.image.stripes import stripes
from app.image.window import to_eight_bits

_SIDEWAYS: Final = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_TRANSPOSITIONS: Final = MappingProxyType(  # as of `PIL.ImageOps.exif_transpose`
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)

_CHUNKS_THAT_TURN: Final = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_LUMA: Final = (19595, 38470, 7471)  # ITU-R 601-2, in 65536ths

# Pillow spends about 10 us on a chunk: megabytes of tiny ones would hold a thread for minutes.
# Encoders write chunks of 8 kB or more.
_MAX_CHUNKS: Final = 20_000

# Of odd metadata Pillow warns, once a tag: an upload could write thousands of lines to stderr.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Pillow only warns of a decompression bomb between its limit and twice that; make it raise.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def decode(
    data: bytes,
    limits: Limits = NORMAL_LIMITS,
    window: int | None = None,
    least_px: int = 0,
) -> GreyImage:
    """Decode a JPEG, PNG or DICOM file to grey.

    Parameters
    ----------
    window : which of a DICOM file's VOI LUTs and windows, counted from 0, LUTs first; the first if
        None. Other formats have none, and take no notice of it.
    least_px : a side that is longer is not decoded smaller than this, nor than the network needs

    Raises
    ------
    EmptyUpload, UnsupportedMediaType, ImageTooSmall, ImageTooManyPixels, ImageTruncated,
    ImageUndecodable
        Of a file of any format.
    DicomUnsupported
        Of a DICOM file that is sound, but none that Neumo reads.
    InvalidParameter
        If a DICOM file has no such `window`.
    """
    image_format = recognise(data)
    if image_format == "DICOM":
        return _decode_dicom(data, limits, window, least_px)
    if image_format == "JPEG":
        return _decode_jpeg(data, limits, least_px)
    chunks = png.read_chunks(data, _MAX_CHUNKS)
    if chunks is None:
        raise ImageUndecodable(format="PNG")
    header = png.read_header(chunks)
    image = None
    if header is not None:
        most = min(limits.max_pixels, header.most_pixels)
        replace(limits, max_pixels=most).check(header.width, header.height)
        if header.bits == png.DEEP_BITS:
            image = _decode_deep_png(data, header, chunks, limits)
        elif png.is_plain(data, header, chunks):
            image = _decode_plain_png(data, header, png.read_gamma(chunks))
    return image or _decode_png_by_pillow(data, chunks, limits)


def _decode_dicom(data: bytes, limits: Limits, window: int | None, least_px: int) -> GreyImage:
    """Decode by the extra `dicom`, which is loaded by the first DICOM file, if it is there."""
    try:
        from app.image.dicom.film import decode_film  # noqa: PLC0415 - 250 ms, 45 MB
    except ModuleNotFoundError:
        raise UnsupportedMediaType(reason="dicom") from None
    return decode_film(data, limits, window, least_px)


def _decode_plain_png(data: bytes, header: png.Header, gamma: float) -> GreyImage | None:
    """Decode by the faster decoder what it decodes; None for the rest."""
    samples = png.decode_plain(data, header)
    if samples is None:
        return None
    grey = samples if header.channels == 1 else np.asarray(Image.fromarray(samples).convert("L"))
    return _upright(_apply(gamma, grey), data, "PNG", (header.width, header.height), 8)


def _decode_deep_png(
    data: bytes, header: png.Header, chunks: list[png.Chunk], limits: Limits
) -> GreyImage | None:
    """Decode 16 bits of any colour type at full depth; None for what can't be."""
    if not png.has_sound_pixels(chunks):
        return None
    samples: NDArray[np.uint16] | None
    if header.is_large and header.channels == 1:
        with _opened(data, "PNG", limits) as image:
            read = np.asarray(image, np.uint16)[..., np.newaxis]
        samples = png.hide_transparent(read, header, chunks)
    else:
        samples = png.decode_deep(header, chunks)
    if samples is None:
        return None
    deep = samples[..., 0] if samples.shape[2] == 1 else _luma(samples)
    pixels = to_eight_bits(deep, png.read_gamma(chunks))
    orientation = 1
    if any(chunk.name in _CHUNKS_THAT_TURN for chunk in chunks):
        with _opened(data, "PNG", limits) as image:
            orientation = _orientation(image)
    size = (header.width, header.height)
    return _upright(pixels, data, "PNG", size, header.bits, orientation)


def _decode_png_by_pillow(data: bytes, chunks: list[png.Chunk], limits: Limits) -> GreyImage:
    with _opened(data, "PNG", limits) as image:
        bits = png.read_bits(chunks)
        pixels = _apply(png.read_gamma(chunks), _to_grey(image))
        if image.mode.startswith("I") or bits == png.DEEP_BITS or not png.has_sound_pixels(chunks):
            raise ImageUndecodable(format="PNG")  # Pillow reads over what is wrong with it
        return _upright(pixels, data, "PNG", image.size, bits, _orientation(image))


def _decode_jpeg(data: bytes, limits: Limits, least_px: int) -> GreyImage:
    """Decode by simplejpeg what Pillow has read the header of."""
    structure = jpeg.read_structure(data)
    if not structure.is_sane:
        raise ImageUndecodable(format="JPEG")
    with _opened(data, "JPEG", limits) as image:
        width, height = image.size
        if structure.takes_too_long(width * height):
            raise ImageUndecodable(format="JPEG")
        pixels = jpeg.decode_grey(data, structure, width, height, image.mode, least_px)
        return _upright(pixels, data, "JPEG", image.size, 8, _orientation(image))


@contextmanager
def _opened(data: bytes, image_format: Format, limits: Limits) -> Iterator[Image.Image]:
    """Open a file whose size is within `limits`, and name what fails with it."""
    try:
        with Image.open(io.BytesIO(data), formats=[image_format]) as image:
            limits.check(*image.size)
            yield image
    except (RequestError, MemoryError):
        raise  # a want of memory is Neumo's own, not the image's fault
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooManyPixels(max_pixels=limits.max_pixels) from None
    except Exception as error:  # noqa: BLE001 - Pillow raises anything on hostile bytes
        if "truncated" in str(error).lower():
            raise ImageTruncated from None
        raise ImageUndecodable(format=image_format) from None


def _orientation(image: Image.Image) -> int:
    orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation


def _upright(
    pixels: NDArray[np.uint8],
    data: bytes,
    image_format: Format,
    size: tuple[int, int],
    bits: int,
    orientation: int = 1,
) -> GreyImage:
    """Return the image as it is shown: turned as EXIF tells, its facts too.

    Parameters
    ----------
    size : width and height, as the file's header says
    orientation : EXIF's; 1 and what it doesn't know is upright
    """
    width, height = reversed(size) if orientation in _SIDEWAYS else size
    method = _TRANSPOSITIONS.get(orientation)
    if method is not None:
        pixels = np.asarray(Image.fromarray(pixels).transpose(method))
    sha256 = hashlib.sha256(data).hexdigest()
    return GreyImage(pixels, ImageFacts(image_format, width, height, bits, sha256))


def _luma(samples: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return grey [height, width] of RGB [height, width, 3], as Pillow does of 8 bits."""
    grey = np.empty(samples.shape[:2], np.uint16)
    for rows in stripes(samples):  # products take twice the room
        stripe = samples[rows].astype(np.uint32)
        weighted = sum(stripe[..., channel] * weight for channel, weight in enumerate(_LUMA))
        grey[rows] = (weighted + 0x8000) >> 16
    return grey


def _apply(gamma: float, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if gamma == 1:
        return grey
    table = np.rint((np.arange(256) / 255) ** gamma * 255).astype(np.uint8)
    return table[grey]


def _to_grey(image: Image.Image) -> NDArray[np.uint8]:
    if image.has_transparency_data:
        clear = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
        image = ImageChops.multiply(clear.convert("L"), clear.getchannel("A"))
    return np.asarray(image if image.mode == "L" else image.convert("L"))
