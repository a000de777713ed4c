"""Reads TensorFlow checkpoints of the second version ("tensor bundles") with numpy alone.

A checkpoint is an index and one data file. The index is a sorted table of LevelDB (blocks of
prefix-compressed keys, a footer of 48 bytes that names the index block), its values are
`BundleEntryProto` messages: tensorflow/core/protobuf/tensor_bundle.proto and
tensorflow/core/lib/io/table_format.txt describe both.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = bytes.fromhex("57fb808b247547db")
FLOAT = 1
"""DT_FLOAT of tensorflow/core/framework/types.proto."""
FOOTER_BYTES = 48


def read_bundle(index: Path, data: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return the float tensors by name. Raises ValueError for what is no such checkpoint."""
    table, tensors = index.read_bytes(), np.fromfile(data, "<f4")
    footer = table[-FOOTER_BYTES:]
    if footer[-len(MAGIC) :] != MAGIC:
        raise ValueError(f"{index} is no index of a TensorFlow checkpoint.")
    place = 0
    for _ in range(2):  # where the meta index is; nobody needs it
        _, place = _varint(footer, place)
    start, place = _varint(footer, place)
    size, _ = _varint(footer, place)
    found = {}
    for _, handle in _entries(table, start, size):
        block, place = _varint(handle, 0)
        length, _ = _varint(handle, place)
        for key, value in _entries(table, block, length):
            entry = _fields(value)
            if key and entry.get(1) == FLOAT:
                shape = _shape(entry.get(2, b""))
                first = int(_number(entry.get(4, 0))) // 4
                count = int(np.prod(shape, dtype=np.int64))
                found[key.decode()] = tensors[first : first + count].reshape(shape)
    return found


def _entries(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block."""
    block = table[start : start + size]
    if table[start + size] != 0:
        raise ValueError("A compressed block is not understood.")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    place, key = 0, b""
    while place < end:
        shared, place = _varint(block, place)
        fresh, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + length]
        place += length


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Return the fields of a protocol buffer; of a repeated one the last."""
    fields: dict[int, int | bytes] = {}
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == 0:
            fields[tag >> 3], place = _varint(message, place)
        elif tag & 7 == 2:
            length, place = _varint(message, place)
            fields[tag >> 3] = message[place : place + length]
            place += length
        elif tag & 7 == 5:
            fields[tag >> 3] = message[place : place + 4]
            place += 4
        else:
            raise ValueError("A field of an unknown kind.")
    return fields


def _shape(message: int | bytes) -> tuple[int, ...]:
    """Return the sizes in a TensorShapeProto: each a message whose first field is the size."""
    assert isinstance(message, bytes)
    sizes, place = [], 0
    while place < len(message):
        _, place = _varint(message, place)
        length, place = _varint(message, place)
        sizes.append(int(_number(_fields(message[place : place + length]).get(1, 0))))
        place += length
    return tuple(sizes)


def _number(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[place]
        place += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, place
