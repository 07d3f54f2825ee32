"""Reads a checkpoint: the tensors of a safetensors file as tuples of numbers, and its metadata."""

import json
import struct

FORMATS = {"F64": "d", "F32": "f", "I32": "i", "U16": "H", "U8": "B", "BOOL": "?"}


def read(path):
    with open(path, "rb") as file:
        whole = file.read()
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8:8 + length]), whole[8 + length:]
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        letter = FORMATS[entry["dtype"]]
        tensors[name] = struct.unpack(f"<{(end - begin) // struct.calcsize(letter)}{letter}", data[begin:end])
    return tensors, metadata


def log(path):
    with open(path) as file:
        return [json.loads(line) for line in file]
