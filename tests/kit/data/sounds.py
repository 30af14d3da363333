"""Files of sound as other programs leave them: joined, streamed, cut, with wrong counts."""

import io
import struct
from functools import cache

import numpy as np
import soundfile

RATE = 16000


def speechlike(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Noise that comes and goes, (n_samples,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    noise = rng.standard_normal(time.size)
    return (0.05 * noise * (1.2 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def encoded(samples: np.ndarray, form: str, subtype: str | None = None, rate: int = RATE) -> bytes:
    """A whole file."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, subtype=subtype)
    return stream.getvalue()


@cache
def encoded_as(kind: str, seconds: float, rate: int = RATE, seed: int = 0) -> bytes:
    """A whole file of one of the kinds in ``KINDS``."""
    return encoded(speechlike(seconds, rate, seed), *KINDS[kind], rate=rate)


KINDS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}
ID3 = b"ID3\x03\x00\x00\x00\x00\x02\x00" + b"TIT2" + bytes(252)
# A tag of APEv2 with its header and its footer, which counts the footer and 200 bytes.
APE = b"".join(
    b"APETAGEX" + struct.pack("<IIII", 2000, 232, 5, flags) + bytes(8) + content
    for flags, content in ((0xA0000000, b"q" * 200), (0x80000000, b""))
)
# What programs write behind the sound of a WAV; the second as long as a second of sound.
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf58.29.100\0"
BIG_LIST = b"LIST" + struct.pack("<I", 32012) + b"INFOICMT" + struct.pack("<I", 32000)
BIG_LIST += b"x" * 32000
# Kbit/s of frames of MPEG 2, layer III, by index.
_LAYER_3 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def without_count(mp3: bytes) -> bytes:
    """An MP3 of 16 kHz without its first frame, which counts the others."""
    assert b"Xing" in mp3[:64] or b"Info" in mp3[:64]
    return mp3[72 * _LAYER_3[mp3[2] >> 4] * 1000 // 16000 + (mp3[2] >> 1 & 1) :]


def with_count(mp3: bytes, factor: float) -> bytes:
    """An MP3 whose first frame counts wrong."""
    at = max(mp3[:64].find(b"Xing"), mp3[:64].find(b"Info")) + 8
    (count,) = struct.unpack(">I", mp3[at : at + 4])
    return mp3[:at] + struct.pack(">I", int(factor * count)) + mp3[at + 4 :]


def flac_counting(flac: bytes, n_samples: int) -> bytes:
    """A FLAC whose header counts so many samples; 0: unknown. Its checksum is unknown, too."""
    bits = int.from_bytes(flac[18:26], "big") >> 36 << 36 | n_samples
    return flac[:18] + bits.to_bytes(8, "big") + bytes(16) + flac[42:]


def wav_saying(wav: bytes, n_bytes: int, whole: int | None = None) -> bytes:
    """A WAV whose header announces so many bytes of sound."""
    at = wav.index(b"data") + 4
    riff = struct.pack("<I", n_bytes if whole is None else whole)
    return wav[:4] + riff + wav[8:at] + struct.pack("<I", n_bytes) + wav[at + 4 :]


def odd_wav(*, pad: bool) -> bytes:
    """A WAV of 3 s whose sound has an odd number of bytes, with the byte behind it or without."""
    wav = encoded(speechlike(3.0)[:-1], "WAV", "PCM_U8")[: 44 + 3 * RATE - 1]
    return wav + bytes(pad)
