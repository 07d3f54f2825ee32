# The lit suite: every .nn and .test file under tests/; each has RUN lines.  Files that tests read
# lie in folders named inputs/ and are no tests themselves.
#
#   gradc FileCheck not     the programs, found through PATH
#   %cc %cxx                compilers for C and C++, with the build's sanitizers
#   %gradrt %include        libgradrt.a; the folder of gradrt.h
#   %python                 a Python 3
#   %examples %std %root    examples/, compiler/std/, the project's folder
#   %data                   real data sets, where the feature shared-data says there are some
#
# Features: shared-data, torch, safetensors, dot, gdb, png, x86, avx512, llvm-19 … llvm-22, cxx, sanitizer, address, thread.

import os
import platform
import shutil
import subprocess

import lit.formats
import lit.util

config.name = "gradc"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".nn", ".test"]
config.excludes = ["unit", "fuzz", "inputs", "CMakeLists.txt"]
config.test_source_root = os.path.join(config.source_root, "tests")
config.test_exec_root = config.tests_build

# ---- programs ---------------------------------------------------------------------------------------

path = [os.path.dirname(config.gradc), config.tools, config.environment.get("PATH", "")]
config.environment["PATH"] = os.pathsep.join(path)
# What a terminal or a user's settings would change stays out of the tests.
config.environment["LC_ALL"] = "C.UTF-8"
config.environment["TERM"] = "dumb"
# What gradc links with has to be the compiler that the runtime was built with.
config.environment["CC"] = config.cc
for variable in ("NO_COLOR", "COLUMNS"):
    config.environment.pop(variable, None)
for variable in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "CI", "GRADC_RANDOM"):
    if variable in os.environ:
        config.environment[variable] = os.environ[variable]
if config.sanitizers:
    config.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

flags = "-fsanitize=" + ",".join(config.sanitizers) if config.sanitizers else ""
data = os.environ.get("GRADC_DATA") or os.path.join(config.source_root, os.pardir, "shared", "data")
data = os.path.abspath(data)

for name, value in (
    ("%cc", f"{config.cc} {flags}".strip()),
    ("%cxx", f"{config.cxx} {flags}".strip()),
    ("%gradrt", config.gradrt),
    ("%include", os.path.join(config.source_root, "runtime")),
    ("%python", config.python),
    ("%examples", os.path.join(config.source_root, "examples")),
    ("%std", os.path.join(config.source_root, "compiler", "std")),
    ("%root", config.source_root),
    ("%data", data),
):
    config.substitutions.append((name + r"\b", value.replace("\\", "\\\\")))

# ---- features ---------------------------------------------------------------------------------------


def has_module(name):
    found = subprocess.run([config.python, "-c", f"import {name}"], capture_output=True)
    return found.returncode == 0


def cpu_flags():
    try:
        with open("/proc/cpuinfo") as info:
            return next((set(line.split()) for line in info if line.startswith("flags")), set())
    except OSError:
        return set()


config.available_features.add("llvm-" + config.llvm_version)
if os.path.isdir(data):
    config.available_features.add("shared-data")
if has_module("torch"):
    config.available_features.add("torch")
    if has_module("safetensors.torch"):
        config.available_features.add("safetensors")
if config.png and not config.png.endswith("NOTFOUND"):
    config.available_features.add("png")
for program in ("dot", "gdb", "qemu-aarch64", "aarch64-linux-gnu-gcc"):
    if shutil.which(program):
        config.available_features.add(program)
if config.cxx and os.path.exists(config.cxx):
    config.available_features.add("cxx")
if platform.machine() in ("x86_64", "AMD64"):
    config.available_features.add("x86")
    if "avx512f" in cpu_flags():
        config.available_features.add("avx512")
if config.sanitizers:
    config.available_features.update(["sanitizer"] + config.sanitizers)
