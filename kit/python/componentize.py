"""Makes a component of a connector in Python.

    python3 kit/python/componentize.py provider.py -o oauth2.wasm

The file holds a class for each interface that its world exports. The worlds are in wit/worlds.wit beside this file; `--wit`
names a folder with a world of your own. `pip install -r kit/python/requirements.txt` brings componentize-py.
"""

import argparse
import pathlib
import shutil
import subprocess
import tempfile

KIT = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a component of a connector in Python.")
    parser.add_argument("source", type=pathlib.Path, help="the connector; modules beside it are taken in as well")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, help="the component to write")
    parser.add_argument("-w", "--world", default="deputy:python/http-provider", help="the world that it has")
    parser.add_argument("--wit", type=pathlib.Path, default=KIT / "wit", help="the folder with this world")
    parser.add_argument("--componentize-py", default="componentize-py", help="the program, if it is not on the path")
    arguments = parser.parse_args()

    # What is depended on comes first.
    folders = (KIT / "../wit", KIT / "../../wit", arguments.wit)
    wit = [part for folder in folders for part in ("-d", str(folder))]
    # The contract's types get a name of their own, which otherwise would depend on the other packages with an interface `types`.
    names = ["--import-interface-name", "delegation:tokens/types@0.2.0=contract"]
    with tempfile.TemporaryDirectory() as folder:
        # A separate folder, because every file in the path becomes a part of the component.
        for file in arguments.source.resolve().parent.glob("*.py"):
            shutil.copy(file, folder)
        shutil.copytree(KIT / "deputy_kit", pathlib.Path(folder, "deputy_kit"))
        build = ["componentize", "-p", folder, "-o", str(arguments.output.resolve()), arguments.source.stem]
        subprocess.run([arguments.componentize_py, "-q", *wit, *names, "-w", arguments.world, *build], check=True)


if __name__ == "__main__":
    main()
