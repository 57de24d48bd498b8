"""Keras reads our .keras files after a bare `import r3d_keras`, which does not import Keras.

It builds whatever a file names then: `r3d_keras.load_model` is the way for files of strangers.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

# To import them registers every class of ours that a .keras file can name.
REGISTERING_MODULES = ("r3d_keras.models", "r3d_keras.training.sgd")


def register_with_keras() -> None:
    """Registers our classes now where Keras is imported already, otherwise as soon as it is."""
    if "keras" in sys.modules:
        _import_registering_modules()
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _import_registering_modules() -> None:
    for name in REGISTERING_MODULES:
        importlib.import_module(name)


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras where the other finders do, and registers our classes after Keras has been executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader: importlib.abc.Loader) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _import_registering_modules()

        loader.exec_module = exec_module
