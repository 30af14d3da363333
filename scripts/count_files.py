"""Count the files of the package that one command enters: those of which a function runs.

    python scripts/count_files.py encode --data manifest.toml --model MODEL --subject S1 ...

The command runs as it would on the command line, in this process and its threads; what runs while
a module is imported does not count. The files are printed by folder, with how many functions of
each ran, and their number last. A newcomer has to know about so many files to follow the command.
"""

import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType

PACKAGE = Path(__file__).resolve().parents[1] / "braindash"


class Entered:
    """Remembers the functions of the package that ran, by file."""

    def __init__(self) -> None:
        self.files: dict[Path, set[str]] = defaultdict(set)
        self._seen: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take note of a call (profile function)."""
        code = frame.f_code
        if event != "call" or code in self._seen:
            return
        self._seen.add(code)
        path = Path(code.co_filename)
        importing = code.co_name == "<module>" or _is_class_body(frame)
        if path.is_relative_to(PACKAGE) and not importing and not _while_importing(frame):
            self.files[path.relative_to(PACKAGE)].add(code.co_qualname)


def _is_class_body(frame: FrameType) -> bool:
    return "__qualname__" in frame.f_code.co_names and "__module__" in frame.f_code.co_names


def _while_importing(frame: FrameType) -> bool:
    """Say whether a module's body calls: decorators, registries and the like."""
    caller = frame.f_back
    while caller is not None and PACKAGE in Path(caller.f_code.co_filename).parents:
        if caller.f_code.co_name == "<module>" or _is_class_body(caller):
            return True
        caller = caller.f_back
    return False


def main() -> None:
    """Run the command and print what it entered."""
    from braindash.cli import app

    entered = Entered()
    sys.setprofile(entered)
    threading.setprofile(entered)
    try:
        app(sys.argv[1:], standalone_mode=False)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    folder = None
    for path in sorted(entered.files):
        if path.parent != folder:
            folder = path.parent
            print(f"{folder}/")
        print(f"    {path.name:24} {len(entered.files[path]):4} functions")
    print(f"{len(entered.files)} files entered")


if __name__ == "__main__":
    main()
