"""Results in, figures and tables out: neither torch nor streamlit is known here."""
