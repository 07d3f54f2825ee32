"""x.npy and y.npy: windows of 0 1 2 … 9 0 1 …, and what follows each element.  NumPy is not needed."""
import struct


def write(path, rows):
    head = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 8), }" % len(rows)
    head += " " * (64 - (10 + len(head) + 1) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for row in rows:
            file.write(bytes(row))


write("x.npy", [[(i + k) % 10 for k in range(8)] for i in range(100)])
write("y.npy", [[(i + k + 1) % 10 for k in range(8)] for i in range(100)])
