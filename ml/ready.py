"""transformers, ready to be imported: `from ml.ready import transformers`.

torchvision's compiled half loads beside the build of torch that it was made for only. Where the
two do not fit (PyTorch's CPU build and PyPI's torchvision) its Python half still works, which is
all that image processors need, once the operators that it registers shapes for are declared.
"""

import importlib
import importlib.util
import sys
from typing import Any

import torch

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _declare_operators() -> list[torch.library.Library]:
    """Declare what torchvision's compiled half would; nothing where it is whole, or not there."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.submodule_search_locations is None:
        return []
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
    else:
        return []
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    declared = []
    for operator in OPERATORS:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define(operator)
        declared.append(library)  # an operator lives as long as its library
    return declared


_KEPT = _declare_operators()

import transformers as _transformers  # noqa: E402  # not before the operators are there

transformers: Any = _transformers
