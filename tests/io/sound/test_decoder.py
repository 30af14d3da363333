"""What a decoder writes on stderr: kept from the terminal, and told in words of ours."""

import ctypes
import os
import sys
import threading

import numpy as np
import pytest
import soundfile

from braindash.errors import InputError
from braindash.io.dataset.audio import load_audio, look_at_sound
from braindash.io.sound import decoder
from braindash.io.sound.decoder import Decoder

RATE = 16000


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An MP3 of four seconds."""
    seconds = np.arange(4 * RATE) / RATE
    noise = 0.02 * np.random.default_rng(0).standard_normal(seconds.size)
    sound = 0.3 * np.sin(2 * np.pi * 220 * seconds) * (1 + np.sin(6 * np.pi * seconds)) + noise
    path = tmp_path_factory.mktemp("mp3") / "whole.mp3"
    soundfile.write(path, sound, RATE)
    return path.read_bytes()


def damaged(path, content, at, count):
    """Put zeros in place of some bytes."""
    path.write_bytes(content[:at] + bytes(count) + content[at + count :])
    return path


@pytest.mark.skipif(decoder._caught() is None, reason="only glibc has such a variable")
def test_nothing_of_the_decoder_reaches_the_terminal(tmp_path, whole, capfd):
    path = damaged(tmp_path / "a.mp3", whole, len(whole) // 2, 300)
    soundfile.read(path)
    assert "resync" in capfd.readouterr().err  # what it writes by itself
    told = look_at_sound(path)
    load_audio(path)
    assert capfd.readouterr() == ("", "")
    assert any("bytes between its frames are no sound: it is damaged there" in one for one in told)


def test_damage_within_frames_is_told(tmp_path, whole, capfd):
    found = []
    for seed in range(12):
        content = bytearray(whole)
        rng = np.random.default_rng(seed)
        # Behind the header and side information of a frame: its place stays.
        for at in rng.integers(1500, len(whole), 2):
            content[at] = rng.integers(0, 256)
        path = tmp_path / f"{seed}.mp3"
        path.write_bytes(content)
        with Decoder(path) as file:
            while len(file.read(1 << 16)):
                pass
            complains = file.n_complaints
        if not complains:
            continue
        try:
            told = " ".join(look_at_sound(path))
        except InputError as error:
            told = str(error)
        found.append("damaged" in told or "no sound" in told or "full scale" in told)
    assert all(found) and (found or decoder._caught() is None)
    assert capfd.readouterr().err == "" or decoder._caught() is None


@pytest.mark.skipif(decoder._caught() is None, reason="only glibc has such a variable")
def test_what_others_write_meanwhile_is_not_lost(tmp_path, whole, capfd):
    path = damaged(tmp_path / "a.mp3", whole, len(whole) // 2, 300)
    libc = ctypes.CDLL(None)
    libc.fputs.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    stream = ctypes.c_void_p.in_dll(libc, "stderr")
    done = threading.Event()

    def decode():
        for _ in range(20):
            load_audio(path)
        done.set()

    worker = threading.Thread(target=decode)
    worker.start()
    n_lines = 0
    while not done.wait(0.002):
        os.write(2, b"of the descriptor\n")
        print("of Python", file=sys.stderr, flush=True)
        n_lines += 1
    worker.join()
    with Decoder(path) as file, file._listening():
        libc.fputs(b"of another library\n", stream)
    told = capfd.readouterr().err
    assert told.count("of the descriptor\n") == told.count("of Python\n") == n_lines
    assert told.count("of another library\n") == 1 and "resync" not in told
