"""What leaves braindash as files: results in, files out; never streamlit, never torch."""
