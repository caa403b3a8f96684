"""What every peer does: compute the result once, say `ready`, then run for every line and answer with its seconds.

The other side of `Comparisons.swift`; the driver lets both take turns. `python NAME.py FOLDER THREADS`.
"""

import json
import struct
import sys
import time

import numpy as np


def arguments():
    return sys.argv[1], int(sys.argv[2])


def load(folder, name):
    """The tensors of a safetensors file as NumPy arrays, and its metadata."""
    with open(f"{folder}/{name}.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        content = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32}
    tensors = {}
    for key, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[key] = np.frombuffer(memoryview(content)[start:end], dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def store(folder, name, tensors, metadata=None):
    names = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64", np.dtype(np.int64): "I64"}
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = {key: str(value) for key, value in metadata.items()}
    arrays = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    for key, array in arrays.items():
        header[key] = {
            "dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/{name}.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def serve(folder, name, result, run):
    """`result` gives the tensors both sides must agree on; `run(line)` does the named piece of work."""
    store(folder, f"{name}.peer", result)
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run(line.strip())
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
