"""Prints the name of the last model in a .nn file: the one an example is about."""

import re
import sys

print(re.findall(r"^model (\w+)", open(sys.argv[1], encoding="utf-8").read(), re.MULTILINE)[-1])
