"""Start Streamlit for this app: ``python -m braindash.ui.serve app.py [options of streamlit run]``.

A server started by plain ``streamlit run`` treats its very first visit as an app without
``st.navigation``, because a folder named ``pages`` stands beside ``app.py``: when that visit is a
deep link, a "Page not found" box covers the page. Here the folder is ignored from the start.

``--until-input-ends`` before all makes it end when its standard input does: so it ends with whoever
started it, also where that is killed and can stop nothing any more.
"""

import os
import signal
import sys
import threading

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli


def main() -> None:
    """Run the server until it is stopped."""
    PagesManager.uses_pages_directory = False
    given = sys.argv[1:]
    if given[0] == "--until-input-ends":
        given.pop(0)
        threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = ["streamlit", "run", *given]
    cli.main(prog_name="streamlit")


def _end_with_input() -> None:
    # Not through sys.stdin: its buffer's lock would be held when the interpreter ends for another
    # reason, which is a fatal error then.
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
