"""What is apple is taken for apple 3 times and for fig once, and so on."""
import sys

TAKEN = {"apple": [3, 0, 1], "fig": [0, 2, 0], "kiwi, green": [1, 2, 5]}
with open(sys.argv[1], "w") as file:
    file.write("x[0],x[1],x[2],kind\n")
    for kind, row in TAKEN.items():
        for guess, count in enumerate(row):
            for _ in range(count):
                file.write(",".join(str(int(guess == i)) for i in range(3)) + f',"{kind}"\n')
