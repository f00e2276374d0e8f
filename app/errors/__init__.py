"""Every error Neumo raises on purpose, in one tree.

`NeumoError`
    `RequestError`: a call that can't be answered; each has an HTTP status.
        400 `Malformed` `InvalidParameter` `EmptyUpload` `MissingFile` `TooManyFiles`
            `InferenceMalformed`
        401 `Unauthenticated`  403 `Refused` `Forbidden` `OriginNotAllowed`
        404 `NotFound` `ModelUnknown` `RecordsOff` `RequestUnknown` `ExchangeOff`
            `ReadingUnknown` `ResultAbsent`
        405 `MethodNotAllowed`  406 `NotAcceptable`
        408 `RequestTimeout`
        409 `ModelNotUsable` `SwitchInProgress` `NoFormerModel` `FeedbackConflict`
        410 `ReadingGone`  413 `BodyTooLarge`
        415 `UnsupportedMediaType`
        422 `ImageTruncated` `ImageUndecodable` `ImageTooSmall` `ImageTooManyPixels`
            `DicomUnsupported` `NotAChestXray`
        429 `RateLimited`  431 `HeadTooLarge`
        500 `InternalError`
        503 `NotReady` `Overloaded` `SwitchFailed` `IssuerUnavailable` `RecordsFull`
            `RecordsUnavailable` `QueueFull` `QueueAway`
        504 `DeadlineExceeded`
    `CallerGone`: nobody waits for the answer any more; nobody is answered.
    `FileUnreadable`: a file that the terminal was given can't be opened.
    `StudyUnknown`: a film that no result can be filed beside, since it names no study.
    `ArchiveUnusable` `FilmNotFetched`: an archive that can't be asked, or does not give a film.
    `FilmsUnusable`: what `neumo accept` was given can't be measured on as it is.
    `ScoreError`: an archive that can't be scored as it was asked for.
        `SourceUnusable` `SourceLost` `DestinationUnusable` `RunDiffers` `EngineFailed`
        `ClusterUnusable`
    `RecordsError`: an audit trail that can't be kept or read; it stops the start.
        `AuditFolderUnusable` `AuditKeyUnusable` `AuditDatabaseUnusable`
    `ExchangeError`: an exchange with hospital systems that can't run; it stops the start.
        `ExchangeFolderUnusable` `ExchangeKeyUnusable` `PartnersUnusable`
    `FilmLost`: what the queue should hold of a film is gone, or was changed.
    `AccessError`: who gets in can't be decided as it is set; it stops the start.
        `NobodyKnown` `KeysUnusable` `TokensUnusable` `TlsUnusable` `DicomTlsUnusable`
        `DicomExposed`
    `BundleError`: a model that must not be served; it stops the start.
        `BundleMissing` `BundleMalformed` `BundleHashMismatch` `GraphUnusable`
        `KnownAnswerWrong` `PriorsUnknown` `BundleChanged` `ChoiceUnusable`
        `SignatureMissing` `SignatureWrong` `SignatureKeysUnusable`
        `AcceptanceMissing` `AcceptanceMalformed` `AcceptanceMismatch` `AcceptancePriorsMismatch`

Texts are templates filled with `facts`: numbers and names of Neumo's own. Nothing that
came from a caller (bytes, file names, header values) may become a fact, so no message
can carry patient data.
"""

from app.errors.access_errors import (
    AccessError,
    DicomExposed,
    DicomTlsUnusable,
    Forbidden,
    IssuerUnavailable,
    KeysUnusable,
    NobodyKnown,
    RateLimited,
    TlsUnusable,
    TokensUnusable,
    Unauthenticated,
)
from app.errors.base_errors import CallerGone, Fact, NeumoError, RequestError
from app.errors.bundle_errors import (
    AcceptanceMalformed,
    AcceptanceMismatch,
    AcceptanceMissing,
    AcceptancePriorsMismatch,
    BundleChanged,
    BundleError,
    BundleHashMismatch,
    BundleMalformed,
    BundleMissing,
    ChoiceUnusable,
    GraphUnusable,
    KnownAnswerWrong,
    ModelNotUsable,
    ModelUnknown,
    NoFormerModel,
    PriorsUnknown,
    SignatureKeysUnusable,
    SignatureMissing,
    SignatureWrong,
    SwitchFailed,
    SwitchInProgress,
)
from app.errors.call_errors import (
    BodyTooLarge,
    DeadlineExceeded,
    EmptyUpload,
    HeadTooLarge,
    InferenceMalformed,
    InternalError,
    InvalidParameter,
    Malformed,
    MethodNotAllowed,
    MissingFile,
    NotAcceptable,
    NotFound,
    NotReady,
    OriginNotAllowed,
    Overloaded,
    Refused,
    RequestTimeout,
    TooManyFiles,
    UnsupportedMediaType,
)
from app.errors.exchange_errors import (
    ArchiveUnusable,
    ExchangeError,
    ExchangeFolderUnusable,
    ExchangeKeyUnusable,
    ExchangeOff,
    FilmLost,
    FilmNotFetched,
    PartnersUnusable,
    QueueAway,
    QueueFull,
    ReadingGone,
    ReadingUnknown,
    ResultAbsent,
)
from app.errors.image_errors import (
    DicomUnsupported,
    FileUnreadable,
    FilmsUnusable,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    ImageUndecodable,
    NotAChestXray,
    StudyUnknown,
)
from app.errors.record_errors import (
    AuditDatabaseUnusable,
    AuditFolderUnusable,
    AuditKeyUnusable,
    FeedbackConflict,
    RecordsError,
    RecordsFull,
    RecordsOff,
    RecordsUnavailable,
    RequestUnknown,
)
from app.errors.score_errors import (
    ClusterUnusable,
    DestinationUnusable,
    EngineFailed,
    RunDiffers,
    ScoreError,
    SourceLost,
    SourceUnusable,
)

__all__ = [
    "AcceptanceMalformed",
    "AcceptanceMismatch",
    "AcceptanceMissing",
    "AcceptancePriorsMismatch",
    "AccessError",
    "ArchiveUnusable",
    "AuditDatabaseUnusable",
    "AuditFolderUnusable",
    "AuditKeyUnusable",
    "BodyTooLarge",
    "BundleChanged",
    "BundleError",
    "BundleHashMismatch",
    "BundleMalformed",
    "BundleMissing",
    "CallerGone",
    "ChoiceUnusable",
    "ClusterUnusable",
    "DeadlineExceeded",
    "DestinationUnusable",
    "DicomExposed",
    "DicomTlsUnusable",
    "DicomUnsupported",
    "EmptyUpload",
    "EngineFailed",
    "ExchangeError",
    "ExchangeFolderUnusable",
    "ExchangeKeyUnusable",
    "ExchangeOff",
    "Fact",
    "FeedbackConflict",
    "FileUnreadable",
    "FilmLost",
    "FilmNotFetched",
    "FilmsUnusable",
    "Forbidden",
    "GraphUnusable",
    "HeadTooLarge",
    "ImageTooManyPixels",
    "ImageTooSmall",
    "ImageTruncated",
    "ImageUndecodable",
    "InferenceMalformed",
    "InternalError",
    "InvalidParameter",
    "IssuerUnavailable",
    "KeysUnusable",
    "KnownAnswerWrong",
    "Malformed",
    "MethodNotAllowed",
    "MissingFile",
    "ModelNotUsable",
    "ModelUnknown",
    "NeumoError",
    "NoFormerModel",
    "NobodyKnown",
    "NotAChestXray",
    "NotAcceptable",
    "NotFound",
    "NotReady",
    "OriginNotAllowed",
    "Overloaded",
    "PartnersUnusable",
    "PriorsUnknown",
    "QueueAway",
    "QueueFull",
    "RateLimited",
    "ReadingGone",
    "ReadingUnknown",
    "RecordsError",
    "RecordsFull",
    "RecordsOff",
    "RecordsUnavailable",
    "Refused",
    "RequestError",
    "RequestTimeout",
    "RequestUnknown",
    "ResultAbsent",
    "RunDiffers",
    "ScoreError",
    "SignatureKeysUnusable",
    "SignatureMissing",
    "SignatureWrong",
    "SourceLost",
    "SourceUnusable",
    "StudyUnknown",
    "SwitchFailed",
    "SwitchInProgress",
    "TlsUnusable",
    "TokensUnusable",
    "TooManyFiles",
    "Unauthenticated",
    "UnsupportedMediaType",
]
