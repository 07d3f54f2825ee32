"""Writes each ```nn block of a Markdown file to a file of its own, named by its first line.

usage: extract.py FILE.md FOLDER
"""

import os
import re
import shutil
import sys

document, folder = sys.argv[1:]
shutil.rmtree(folder, ignore_errors=True)
os.makedirs(folder)
text = open(document, encoding="utf-8").read()
blocks = list(re.finditer(r"^```nn\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
if not blocks:
    sys.exit(f"{document}: no nn block")
for block in blocks:
    line = text.count("\n", 0, block.start()) + 2
    with open(os.path.join(folder, f"line_{line}.nn"), "w", encoding="utf-8") as out:
        # Empty lines in front, so that messages show the document's line numbers.
        out.write("\n" * (line - 1) + block.group(1))
