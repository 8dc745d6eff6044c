"""A model of one's own, as Keras writes it."""

from typing import Any, Literal

from pydantic import Field

from shared.ids import WeightsId
from shared.spec.base import Strict


class KerasSpec(Strict):
    """Any Keras model, as `json.loads(model.to_json())` gives it. Its layers must be Keras's own."""

    kind: Literal["keras"]
    """Architecture of the model."""
    config: dict[str, Any] = Field(json_schema_extra={"additionalProperties": True})
    """Configuration of the model, as Keras writes it."""
    weights: WeightsId | None = None
    """Id of uploaded weights of the model (`PUT /models/{id}`); null: random weights by the seed."""
