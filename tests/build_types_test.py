#!/usr/bin/python3
"""Every build type of CMake's keeps assertions: they are on in what is released, and tests do work in them.

    build_types_test.py SOURCE_FOLDER CMAKE COMPILER

Configures each type and reads with which options files would be compiled; builds nothing.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

TYPES = ("RelWithDebInfo", "MinSizeRel")  # of the others CI runs the tests


def commands(source, cmake, compiler, kind, folder):
    subprocess.run([cmake, "-S", source, "-B", folder, "-G", "Ninja", f"-DCMAKE_BUILD_TYPE={kind}",
                    f"-DCMAKE_C_COMPILER={compiler}", "-DWEIR_SERVER=OFF"], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(folder, "compile_commands.json")) as file:
        return json.load(file)


def main():
    source, cmake, compiler = sys.argv[1:]
    for kind in TYPES:
        with tempfile.TemporaryDirectory(prefix="weir-build-types-") as folder:
            files = commands(source, cmake, compiler, kind, folder)
            assert files, "nothing would be compiled"
            for file in files:
                said = re.findall(r"-([DU])NDEBUG\b", file["command"])
                assert said and said[-1] == "U", f"{kind} takes assertions out of {file['file']}: {said}"
            print(f"{kind}: {len(files)} files keep them")


if __name__ == "__main__":
    main()
