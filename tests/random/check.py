"""check.py FOLDER-OF-generate.py SCRATCH: compiles and checks programs of seeds 0, 1, 2, …"""
import os
import subprocess
import sys

sys.path.insert(0, sys.argv[1])
from generate import generate

FIRST = 8  # enough to meet most constructs in a short run
count = int(os.environ.get("GRADC_RANDOM", FIRST))
failed = []


def run(*command):
    return subprocess.run(command, cwd=sys.argv[2], capture_output=True, text=True, timeout=300)


for seed in range(count):
    with open(os.path.join(sys.argv[2], "p.nn"), "w", encoding="utf-8") as file:
        file.write(generate(seed))
    for command in (("gradc", "-O1", "p.nn", "-o", "p"), ("./p", "gradcheck")):
        done = run(*command)
        if done.returncode:
            failed.append(seed)
            print(f"seed {seed}: {' '.join(command)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
            break
print(f"{count - len(failed)} of {count} programs agree")
sys.exit(f"failing seeds: {failed}" if failed else 0)
