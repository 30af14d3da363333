"""The dashboard's parts: the only package folder that imports streamlit."""
