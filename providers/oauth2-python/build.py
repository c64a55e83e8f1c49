"""Builds one provider of this folder.

    python3 build.py oauth2 OUT.wasm

The module `oauth2` gets the world `oauth2-provider` of wit/worlds.wit, and so on. WASI's WIT is taken from the crate
wasip2, which the kit for Rust uses as well; without Cargo, `--wasi` names another folder that holds it.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# The other files of each module.
SOURCES = {"oauth2": ["answer.py", "guard.py", "wasi_http.py"], "signed": ["guard.py"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds one provider of this folder.")
    parser.add_argument("module", choices=SOURCES, help="the provider's module, without .py")
    parser.add_argument("output", type=pathlib.Path, help="the component to write")
    parser.add_argument("--wasi", type=pathlib.Path, help="the folder with WASI 0.2.12's WIT")
    parser.add_argument("--contract", type=pathlib.Path, default=HERE / "../../wit", help="the folder with the contract")
    parser.add_argument("--componentize-py", default="componentize-py", help="the program, if it is not on the path")
    arguments = parser.parse_args()

    # Dependencies come first. The contract's types get a name of their own, which otherwise would depend on the other
    # packages with an interface `types`.
    wit = [part for folder in (arguments.wasi or wasi(), arguments.contract, HERE / "wit") for part in ("-d", str(folder))]
    names = ["--import-interface-name", "delegation:tokens/types@0.2.0=contract"]
    world = ["-w", f"deputy:python/{arguments.module}-provider"]
    output = arguments.output.resolve()
    with tempfile.TemporaryDirectory() as sources:
        # A separate folder, because every file in the path becomes a part of the component.
        for file in [f"{arguments.module}.py", *SOURCES[arguments.module]]:
            (pathlib.Path(sources) / file).write_bytes((HERE / file).read_bytes())
        build = ["componentize", "-p", sources, "-o", str(output), arguments.module]
        subprocess.run([arguments.componentize_py, "-q", *wit, *names, *world, *build], check=True)


def wasi() -> pathlib.Path:
    command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", str(HERE / "../../kit/rust/Cargo.toml")]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    manifest = next(package["manifest_path"] for package in metadata["packages"] if package["name"] == "wasip2")
    return pathlib.Path(manifest).parent / "wit"


if __name__ == "__main__":
    main()
