"""Write `normal.dcm`: the drawn `normal.jpg` as a computed radiograph, as an archive holds it.

    .venv-dev/bin/python -m examples.write_dicom

It is written so that whoever shows its stored values as they are gets a wrong picture: MONOCHROME1
(high values are dark), 12 bits in 16, and a window narrower than the range of the bits. Its second
window is a harder one. It names nobody.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

FOLDER: Final = Path(__file__).parent
_HALF: Final = 2  # 512 pixels a side are more than are read, and half a megabyte
_BLACK: Final = 3500  # the stored value of grey 0
_STEP: Final = 10  # stored values to a grey level
_INSTANCE, _SERIES, _STUDY, _SOFTWARE = (
    UID(f"2.25.{number}")
    for number in (
        285263401790012480155923190746508531201,
        285263401790012480155923190746508531202,
        285263401790012480155923190746508531203,
        285263401790012480155923190746508531204,
    )
)


def write_dicom(jpeg: bytes) -> bytes:
    """Write a drawn radiograph, a grey JPEG, as DICOM; the same bytes each time."""
    with Image.open(io.BytesIO(jpeg)) as film:
        grey = np.asarray(film.convert("L").reduce(_HALF), np.uint16)
    stored = _BLACK - _STEP * grey
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = _INSTANCE
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _SOFTWARE
    meta.ImplementationVersionName = "NEUMO_EXAMPLE"
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.SOPClassUID, image.SOPInstanceUID = ComputedRadiographyImageStorage, _INSTANCE
    image.StudyInstanceUID, image.SeriesInstanceUID = _STUDY, _SERIES
    for empty in (
        *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "SeriesNumber"),
        *("Laterality", "InstanceNumber"),
    ):
        setattr(image, empty, None)
    image.Manufacturer = "drawn by a computer"
    image.Modality, image.BodyPartExamined, image.ViewPosition = "CR", "CHEST", "PA"
    image.PatientAge, image.PatientOrientation = "061Y", ["L", "F"]
    image.BurnedInAnnotation = "NO"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME1"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    middle, width = _BLACK - _STEP * 255 / 2, _STEP * 255
    image.WindowCenter, image.WindowWidth = (
        [middle + 0.5, middle + 0.5],
        [width + 1, width * 3 // 4 + 1],
    )
    image.WindowCenterWidthExplanation = ["NORMAL", "HARD"]
    image.PixelData = stored.astype("<u2").tobytes()
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


def main() -> None:
    """Write it beside the JPEG."""
    (FOLDER / "normal.dcm").write_bytes(write_dicom((FOLDER / "normal.jpg").read_bytes()))


if __name__ == "__main__":
    main()
