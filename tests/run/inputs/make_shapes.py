"""make_shapes.py FOLDER COUNT: PNG files of bars and spots, COUNT each, in folders of these names."""
import os
import random
import struct
import sys
import zlib

folder, count = sys.argv[1], int(sys.argv[2])
random.seed(count)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows):
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def draw(kind):
    row, column, size = random.randrange(4, 12), random.randrange(4, 12), 16
    if kind == "bar":
        return [[220 if abs(i - row) < 2 else 20 for _ in range(size)] for i in range(size)]
    return [[220 if (i - row) ** 2 + (j - column) ** 2 < 10 else 20 for j in range(size)] for i in range(size)]


for kind in ("bar", "spot"):
    os.makedirs(f"{folder}/{kind}")
    for i in range(count):
        with open(f"{folder}/{kind}/{i}.png", "wb") as file:
            file.write(png(draw(kind)))
