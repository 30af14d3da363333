"""Short model names tell results apart."""

from braindash.views.captions import short_names


def test_names_lose_what_all_results_of_a_model_share():
    names = ["facebook/hubert-base-ls960 · chunk", "lab/tuned · chunk", "acoustic:logmel"]
    assert list(short_names(names).values()) == ["hubert-base-ls960", "tuned", "acoustic:logmel"]


def test_variants_stay_different():
    names = [
        "tiny · chunk",
        "tiny",
        "untrained:tiny@0",
        "untrained:tiny@7",
        "one/same",
        "two/same",
        "tiny · chunk · ab12cd",
    ]
    short = short_names(names)
    assert len(set(short.values())) == len(names)
    assert short["untrained:tiny@7"] == "tiny · untrained 7"
    assert short["one/same"] == "one/same", "what would become equal stays long"
    assert short["tiny · chunk"] == "tiny · chunk"
    only = short_names(["lab/tiny", "untrained:lab/tiny@0 · chunk"])
    assert only["untrained:lab/tiny@0 · chunk"] == "tiny · untrained"
