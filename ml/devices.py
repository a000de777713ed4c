"""Where a model runs: the choice of a device, and why."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ml.perceiving import ModelUnusable, OutOfMemory

SPARE_MEMORY = 512 << 20
"""Bytes of VRAM that a batch may need beside the weights."""


WANTS = ("can't allocate memory", "CUDA error: out of memory", "ALLOC_FAILED")
"""What torch and the libraries under it say of too little memory, where the class does not."""
LARGE_ON_CPU = 4 << 30
"""Bytes of weights from which they are held in half precision on the CPU too."""


def use_all_cores() -> None:
    """Let torch use the cores that this process may run on, not those of the whole machine."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))


def choose_device(wanted: str, size: int) -> tuple[str, str]:
    """Return `cpu` or `cuda`, and why; `size` is that of the weights in bytes.

    Raises ModelUnusable where CUDA is asked for by name and cannot be had.
    """
    if wanted == "cpu":
        return "cpu", "the settings say so"
    if not torch.cuda.is_available():
        if wanted == "cuda":
            raise ModelUnusable("The settings ask for CUDA, but torch finds no GPU; use auto.")
        return "cpu", "torch finds no CUDA device"
    free, total = torch.cuda.mem_get_info()
    if free < size + SPARE_MEMORY:
        reason = (
            f"{(size + SPARE_MEMORY) >> 20} MiB of VRAM are needed,"
            f" {free >> 20} of {total >> 20} are free"
        )
        if wanted == "cuda":
            raise ModelUnusable(f"The settings ask for CUDA, but {reason}.")
        return "cpu", reason
    return "cuda", f"{torch.cuda.get_device_name()} has {free >> 20} MiB of VRAM free"


def floats_for(device: str, size: int) -> torch.dtype:
    """Return how a model's numbers are held; `size` is that of its weights in bytes.

    bfloat16 and not float16 on CUDA: several models overflow the latter. On the CPU only what
    would take much memory is held in it.
    """
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if size > LARGE_ON_CPU else torch.float32


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether torch failed for want of memory, on either device."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(want in said for want in WANTS)


def free_memory() -> None:
    """Give back what a failed batch left behind."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def out_of_memory_told() -> Iterator[None]:
    """Raise what torch says of too little memory as OutOfMemory: a smaller batch may fit."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free_memory()
        raise OutOfMemory(str(error)) from error


def vram_bytes() -> int:
    """Return the graphics memory that this process holds."""
    return torch.cuda.memory_reserved() if torch.cuda.is_available() else 0
