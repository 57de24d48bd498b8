"""The model that the tests of prediction ask."""

import pytest

from tests.prediction.small_model import small_model


@pytest.fixture(scope="package")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model") / "model.keras")
