"""Writes small made-up stand-ins, under the names that the examples read, for data that does not ship.

    cd data && python3 stand_in.py          # README.md says how to get the real ones

They have the real ones' form and can be learned, and no figure of an example comes from them.  Files
that are there already are left alone.
"""
import gzip
import math
import os
import random
import struct
import zlib

random.seed(1)


def write(name, content):
    if not os.path.exists(name):
        with open(name, "wb") as file:
            file.write(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)


def blob(size, label):
    """A picture of a spot whose place says its class, among ten around the middle, with some noise."""
    angle, middle = 2 * math.pi * label / 10 + random.gauss(0, 0.1), (size - 1) / 2
    row, column = middle + size / 4 * math.sin(angle), middle + size / 4 * math.cos(angle)
    width = (size / 10) ** 2
    spot = (255 * math.exp(-((i - row) ** 2 + (j - column) ** 2) / width) for i in range(size) for j in range(size))
    return bytes(min(255, int(value + random.randrange(20))) for value in spot)


def mnist(part, count):
    labels = bytes(random.randrange(10) for _ in range(count))
    images = b"".join(blob(28, label) for label in labels)
    write(f"{part}-images-idx3-ubyte.gz", struct.pack(">IIII", 0x803, count, 28, 28) + images)
    write(f"{part}-labels-idx1-ubyte.gz", struct.pack(">II", 0x801, count) + labels)


def png(size, pixels):
    """A grey picture as a PNG file."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + pixels[size * i : size * (i + 1)] for i in range(size))
    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def signs(count):
    for label in range(10):
        os.makedirs(f"signs/{label}", exist_ok=True)
        for i in range(count):
            write(f"signs/{label}/{i}.png", png(40, blob(40, label)))


def cifar(name, count):
    labels = [random.randrange(10) for _ in range(count)]
    write(name, b"".join(bytes([label]) + blob(32, label) + blob(32, label) + blob(32, 0) for label in labels))


def words(count):
    """Sentences of a few words, with every one of Shakespeare's 65 characters somewhere."""
    some = "the king will not speak of love and war to night but my good lord shall come home again".split()
    text = "!$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n"
    while len(text) < count:
        sentence = " ".join(random.choice(some) for _ in range(random.randint(3, 8)))
        text += sentence.capitalize() + random.choice(".,?!") + "\n"
    return text.encode()


def names(count):
    """Syllables in a row, with all 26 letters in the first lines."""
    parts = [consonant + vowel for consonant in "bcdfghjklmnpqrstvwxyz" for vowel in "aeiou"]
    lines = parts[::5] + parts[1:5] + ["".join(random.choices(parts, k=random.randint(1, 4))) for _ in range(count)]
    return "\n".join(lines).encode()


def passengers(months):
    """Grows by a percent a month, with a summer, and some noise that stays."""
    lines, drift = ["Month,Passengers"], 0
    for month in range(months):
        drift += random.gauss(0, 0.02)
        number = 110 * math.exp(0.01 * month - 0.2 * math.cos(2 * math.pi * month / 12) + drift)
        lines.append(f"{1949 + month // 12}-{month % 12 + 1:02},{number:.0f}")
    return "\n".join(lines + [""]).encode()


def housing(count):
    places = ["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"]
    lines = ["longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,median_income,"
             "median_house_value,ocean_proximity"]
    for _ in range(count):
        longitude, latitude, households = random.uniform(-124, -114), random.uniform(32, 42), random.randint(50, 1500)
        income, place = random.uniform(1, 10), random.choice(places)
        value = 30000 * income + 20000 * places.index(place) + 5000 * (longitude + 124) * random.uniform(0.8, 1.2)
        bedrooms = "" if random.random() < 0.02 else households + random.randint(1, 100)
        lines.append(f"{longitude:.2f},{latitude:.2f},{random.randint(1, 52)},{5 * households},{bedrooms},"
                     f"{3 * households},{households},{income:.4f},{value:.0f},{place}")
    return "\n".join(lines + [""]).encode()


mnist("train", 600)
mnist("t10k", 100)
cifar("cifar10_train.bin.gz", 200)
cifar("cifar10_test.bin.gz", 100)
write("tinyshakespeare.txt", words(20000))
signs(10)
write("names.txt", names(1000))
write("passengers.csv", passengers(144))
write("housing.csv.gz", housing(400))
