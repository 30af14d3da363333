"""Start Streamlit for this app: ``python -m braindash.ui.serve app.py [options of streamlit run]``.

A server started by plain ``streamlit run`` treats its very first visit as an app without
``st.navigation``, because a folder named ``pages`` stands beside ``app.py``: when that visit is a
deep link, a "Page not found" box covers the page. Here the folder is ignored from the start.
"""

import sys

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli


def main() -> None:
    """Run the server until it is stopped."""
    PagesManager.uses_pages_directory = False
    sys.argv = ["streamlit", "run", *sys.argv[1:]]
    cli.main(prog_name="streamlit")


if __name__ == "__main__":
    main()
