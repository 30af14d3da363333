"""Small stories whose responses a model can learn, for the tests of brain-tuning."""

import numpy as np

TR = 0.4
SECONDS = 16
N_TARGETS = 6


def audio_of(seed: int, seconds: float = SECONDS) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose colour and loudness change slowly; gives samples and both courses at 10 Hz."""
    rng = np.random.default_rng(seed)
    steps = np.convolve(rng.standard_normal(int(seconds * 10) + 9), np.ones(9) / 3, "same")[:-9]
    course = np.tanh(steps)
    n_samples = int(seconds * 16000)
    time = np.arange(n_samples) / 16000
    mix = np.interp(time, np.arange(len(course)) / 10, course)
    white = rng.standard_normal(n_samples)
    smooth = np.convolve(white, np.ones(12) / np.sqrt(12), "same")
    samples = 0.1 * (np.sqrt((1 + mix) / 2) * white + np.sqrt((1 - mix) / 2) * smooth)
    return samples.astype(np.float32), course


def make_story(seed: int, *subjects: str, name: str = "", seconds: float = SECONDS):
    """A story of which every subject has targets that follow the colour of the sound."""
    from braindash.speech.training.stories import TuningStory

    audio, course = audio_of(seed, seconds)
    times = 0.4 + TR * np.arange(int((seconds - 0.4) / TR))
    window = np.array([course[max(0, int(t * 10) - 12) : int(t * 10) + 1].mean() for t in times])
    signal = (window - window.mean()) / window.std()
    responses = {}
    for subject in subjects or ("A",):
        rng = np.random.default_rng([seed, ord(subject)])
        n_targets = N_TARGETS + (subject == "B")
        gains = np.linspace(1, -0.5, n_targets)
        noise = 0.5 * rng.standard_normal((len(times), n_targets))
        values = signal[:, None] * gains + noise
        values = (values - values.mean(0)) / values.std(0)
        responses[subject] = values.astype(np.float32)
    return TuningStory(name or f"story-{seed}", lambda: audio, times, responses)
