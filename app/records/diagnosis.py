"""Feedback: what a film turned out to show, said later by somebody who knows."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.model.labels import LABEL_IDS, LabelId

OTHER: Final = "other"
"""A finding that is none of the four; of it `normal` is right, which means none of the three."""

NOT_A_CHEST: Final = "not_a_chest_xray"
"""The one refusal that a diagnosis may be given for: the film was decoded, and got no answer."""

Truth = LabelId | Literal["other"]
Certainty = Literal["definite", "probable", "possible"]


class Feedback(BaseModel):
    """A confirmed diagnosis. No free text: it might say whose film it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: Truth | Annotated[list[LabelId], Field(min_length=1, max_length=3)] = Field(
        description="What the film shows: one of the four labels; several, as a list, if it is one "
        "of these and nobody knows which; or `other`, a finding that is none of the four"
    )
    index: int | None = Field(
        None, ge=0, le=9999, description="Which file of a batch, from 0; needed if it had several"
    )
    certainty: Certainty | None = Field(
        None, description="How sure the diagnosis is, by whoever made it"
    )

    @field_validator("label")
    @classmethod
    def _check_set(cls, label: Truth | list[LabelId]) -> Truth | list[LabelId]:
        if isinstance(label, list) and len(set(label)) != len(label):
            raise ValueError("a label is told twice")
        return label

    @property
    def truth(self) -> list[Truth]:
        """The labels of which one is the case, in the contract's order."""
        if isinstance(self.label, str):
            return [self.label]
        return [label for label in LABEL_IDS if label in self.label]


class TakenFeedback(BaseModel):
    """A diagnosis that was written down, beside what had been answered."""

    model_config = ConfigDict(frozen=True)

    request_id: str = Field(description="Of the call that the film was sent with")
    index: int = Field(description="The file's place in that call, from 0")
    truth: list[Truth] = Field(description="The labels of which one is the case")
    certainty: Certainty | None = Field(description="How sure the diagnosis is")
    called: LabelId | None = Field(description="What had been answered; null: refused")
    status: Literal["ok", "uncertain"] | None = Field(description="What had been answered")
    right: bool = Field(description="Whether the label called is the case")
    replaces: bool = Field(description="Whether there was feedback on that film before")


def is_right(called: str | None, truth: list[Truth] | list[str]) -> bool:
    """Whether a label called is the case."""
    return called in truth or (called == "normal" and truth == [OTHER])
