"""The page Story in a real browser: any sound from a file and the microphone, and without WebGL."""

import pytest
import soundfile
from kit.data.sounds import speechlike
from kit.results.made_up_story import put_story
from kit.results.made_up_weights import put_weights
from kit.site.browser import check_words, pixels, settle, shot

from braindash.io.store import Store

pytestmark = pytest.mark.browser
SAID = ("reversed", "noise-vocoded")  # as names say it
PLAYER = ".braindash-viewer.player[data-ready]"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two made-up models of one subject, with a story that can be played and with weights."""
    root = tmp_path_factory.mktemp("listen")
    for seed, model in enumerate(("toy-tuned", "toy-model")):
        made = put_story(Store(root / "store"), root / "data", model=model, seed=seed, n_layers=2)
        put_weights(Store(root / "store"), made.result, layer=0, seed=seed)
    return root / "store"


@pytest.fixture(scope="module")
def url(serve, store):
    return serve(store).url


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "my clip.wav"
    soundfile.write(path, speechlike(12.0), 16000)
    return path


def played(page, code: str):
    return page.locator(PLAYER).evaluate(
        f"(root) => {{ const it = root.braindashPlayback; {code} }}"
    )


def wait_for_sound(page) -> None:
    page.wait_for_selector(PLAYER, timeout=300_000)  # the worker starts, and opens the model
    page.wait_for_function(
        "() => [...document.querySelectorAll('audio')].some((one) => one.readyState > 2)"
    )
    settle(page)


def check_width(page, most: int) -> None:
    """Nothing has to be scrolled sideways."""
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= most


def test_a_file_is_predicted_and_contrasted_with_itself_reversed(page, url, store, clip):
    page.goto(f"{url}/story?heard=sound&model=toy-model&beside=reversed")
    page.locator("input[type=file]").first.set_input_files(clip)
    page.get_by_text("my clip.wav").first.wait_for()
    page.get_by_role("button", name="Predict").click()
    wait_for_sound(page)
    shot(page, "sound-light")
    assert not list(store.glob("heard/*/*")), "what was brought is gone"
    names = [one.text_content() for one in page.locator(".title .name").all()]
    assert names == ["A: my clip.wav", "B: my clip.wav, reversed"]
    page.get_by_text("It is a prediction for this subject, not a measurement.").first.wait_for()
    # Predictions go on behind the sound's end, over silence: 6 rows of 2 s and 4 behind.
    assert played(page, "return [it.story.rows, it.story.seconds]") == [10, 22]
    page.get_by_role("button", name="A minus B").click()
    settle(page)
    names = [one.text_content() for one in page.locator(".title .name").all()]
    assert names[-1] == "A minus B"
    still = pixels(page)
    played(page, "it.seek(9)")
    settle(page)
    assert pixels(page) != still
    difference = played(page, "return it.surface.panels.at(-1).valueAt(5000)")
    one, two = played(page, "return it.series.map((series) => series.valueAt(5000))")
    shot(page, "sound-contrast")
    assert difference == pytest.approx(one - two, abs=1e-5)
    assert page.locator('[data-part="course-now"]').text_content().count("minus") == 1
    # What is heard can be the other one; the moment and the maps are kept.
    before = played(page, "return it.settings.story")
    page.get_by_role("radio", name="B").click()
    page.wait_for_function("([e, id]) => e.braindashPlayback.settings.story !== id",
                           arg=[page.locator(PLAYER).element_handle(), before])  # fmt: skip
    page.wait_for_timeout(1500)
    assert played(page, "return it.clock.now") == pytest.approx(9, abs=0.1)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(1500)
    shot(page, "sound-dark")
    check_words(page)
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    shot(page, "sound-390")
    check_width(page, 390)
    page.set_viewport_size({"width": 1920, "height": 1080})
    settle(page)
    shot(page, "sound-1920")
    check_width(page, 1920)
    assert page.locator(PLAYER).bounding_box()["width"] > 1500, "the page has its whole width"
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


@pytest.mark.campaign
@pytest.mark.parametrize("altered", SAID)
def test_what_the_microphone_hears_is_predicted_and_contrasted(hearing, url, clip, altered):
    page = hearing(clip)
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto(f"{url}/story?heard=sound&model=toy-model&beside={altered}")
    page.get_by_label("Record").first.click(timeout=300_000)
    page.wait_for_timeout(4000)
    page.get_by_label("Stop recording").first.click()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Predict").click()
    wait_for_sound(page)
    shot(page, f"microphone-{altered}-1920")
    seconds = played(page, "return it.story.seconds")
    assert 10 < seconds < 60, "four seconds or so, more on a busy machine, and the delays"
    names = [one.text_content() for one in page.locator(".title .name").all()]
    assert len(names) == 2 and names[1] == f"{names[0].replace('A: ', 'B: ')}, {altered}"
    page.get_by_role("button", name="A minus B").click()
    settle(page)
    values = played(page, "return it.series.map((one) => [...one.pieces.get(0).maps])")
    assert len(values) == 2 and values[0] != values[1]
    assert all(len(set(one)) > 20 for one in values), "silence would be one colour"
    played(page, "it.seek(6)")
    settle(page)
    difference = played(page, "return it.surface.panels.at(-1).valueAt(5000)")
    one, two = played(page, "return it.series.map((series) => series.valueAt(5000))")
    assert difference == pytest.approx(one - two, abs=1e-5)
    shot(page, f"microphone-{altered}-contrast-1920")
    check_width(page, 1920)
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


def test_without_webgl_the_processor_paints_the_story(chromium_without_webgl, url):
    context = chromium_without_webgl.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/story?model=toy-model&t=40")
    page.wait_for_selector(PLAYER)
    settle(page)
    shot(page, "painted")
    assert page.get_by_text("the processor paints the surface").is_visible()
    colours = page.locator('canvas[data-part="canvas"]').evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const found = { grey: 0, painted: 0 };
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 200) continue;
            const three = [data[i], data[i + 1], data[i + 2]];
            found[Math.max(...three) - Math.min(...three) > 40 ? "painted" : "grey"] += 1;
          }
          return found;
        }"""
    )
    assert colours["painted"] > 10_000 and colours["grey"] > 10_000
    still = pixels(page)
    played(page, "it.seek(80)")
    settle(page)
    assert pixels(page) != still
    moved = pixels(page)
    page.keyboard.press("f")
    page.wait_for_timeout(1000)
    assert pixels(page) != moved, "it unfolds"
    shot(page, "painted-flat")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_the_story_have_contrast(page, url, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{url}/story?model=toy-model&compare=toy-tuned&t=20")
    wait_for_sound(page)
    shot(page, f"story-{scheme}")
    check_words(page)
