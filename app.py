"""Start-up of the dashboard: page config and navigation, nothing else."""

import streamlit as st

from braindash.ui import ICON
from braindash.ui.visitors.rights import visitor

FIRST = "pages/explore/overview.py"


def overview() -> None:
    """Open the first page by its name too: it lives at the root of the address."""
    st.switch_page(FIRST, query_params=st.query_params.to_dict())


# An icon of our own: a named one would be fetched from another host.
st.set_page_config(page_title="braindash", page_icon=ICON, layout="wide")

who = visitor()
# Their addresses say why they are not for this visitor, and do nothing.
computes = "visible" if who.may_compute else "hidden"

navigation = st.navigation(
    [
        st.Page(
            FIRST, title="Overview", icon=":material/dashboard:", default=True, url_path="home"
        ),
        st.Page("pages/explore/layers.py", title="Layers", icon=":material/show_chart:"),
        st.Page("pages/explore/cortex.py", title="Cortex", icon=":material/neurology:"),
        st.Page("pages/explore/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("pages/explore/probes.py", title="Probes", icon=":material/hub:"),
        st.Page("pages/explore/story.py", title="Story", icon=":material/headphones:"),
        st.Page("pages/explore/studies.py", title="Studies", icon=":material/table_chart:"),
        st.Page("pages/explore/data.py", title="Data", icon=":material/database:"),
        st.Page(
            "pages/compute/run.py", title="Run", icon=":material/play_circle:", visibility=computes
        ),
        st.Page(
            "pages/compute/tuning.py",
            title="Tuning",
            icon=":material/model_training:",
            visibility=computes,
        ),
        st.Page(
            "pages/compute/jobs.py", title="Jobs", icon=":material/list_alt:", visibility=computes
        ),
        st.Page(overview, url_path="overview", visibility="hidden"),
    ],
    position="top" if who.may_see else "hidden",
)
navigation.run()
