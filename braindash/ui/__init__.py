"""The dashboard's parts: the only package folder that imports streamlit."""

from pathlib import Path

ICON = str(Path(__file__).with_name("icon.svg"))
