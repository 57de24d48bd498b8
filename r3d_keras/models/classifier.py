"""The model class: a functional Keras model that knows what it was made for."""

import json
from dataclasses import asdict

import keras

from r3d_keras.metadata import Metadata
from r3d_keras.models.normalization import ClipNormalization


@keras.saving.register_keras_serializable("r3d_keras")
class ClipClassifier(keras.Model):
    """A functional model from raw clips to logits, with `metadata` that survives saving and loading.

    Input: [batch, frames, height, width, channels], uint8 or float 0 to 255. Output: float32 logits
    [batch, classes]; of a model without a head, features [batch, channels].
    """

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """See `keras.Model`. A model of an earlier version holds its metadata here, not in its first layer."""
        config = dict(config)
        metadata = config.pop("metadata", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if metadata is not None:
            model.metadata = Metadata.from_dict(metadata)
        return model

    @property
    def metadata(self) -> Metadata:
        """What the model was made for; its first layer keeps it, so that every clone of the layers has it too."""
        text = self._first_layer().metadata
        if text is None:
            raise AttributeError("the model has no metadata yet")  # what Keras expects while it is set
        return Metadata.from_dict(json.loads(text))

    @metadata.setter
    def metadata(self, metadata: Metadata) -> None:
        self._first_layer().metadata = json.dumps(asdict(metadata), ensure_ascii=False)

    def _first_layer(self) -> ClipNormalization:
        return next(layer for layer in self.layers if isinstance(layer, ClipNormalization))
