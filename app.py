"""Start-up of the dashboard: page config and navigation, nothing else."""

import streamlit as st

from braindash.ui import ICON

# An icon of our own: a named one would be fetched from another host.
st.set_page_config(page_title="braindash", page_icon=ICON, layout="wide")

navigation = st.navigation(
    {
        "Explore": [
            st.Page(
                "pages/explore/overview.py",
                title="Overview",
                icon=":material/dashboard:",
                default=True,
            ),
            st.Page("pages/explore/layers.py", title="Layers", icon=":material/show_chart:"),
            st.Page("pages/explore/cortex.py", title="Cortex", icon=":material/neurology:"),
            st.Page("pages/explore/compare.py", title="Compare", icon=":material/compare:"),
            st.Page("pages/explore/probes.py", title="Probes", icon=":material/hub:"),
            st.Page("pages/explore/data.py", title="Data", icon=":material/database:"),
        ],
        "Compute": [
            st.Page("pages/compute/run.py", title="Run", icon=":material/play_circle:"),
            st.Page("pages/compute/tuning.py", title="Tuning", icon=":material/model_training:"),
            st.Page("pages/compute/jobs.py", title="Jobs", icon=":material/list_alt:"),
        ],
    }
)
navigation.run()
