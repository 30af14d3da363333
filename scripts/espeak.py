"""Speech with word and phone times from espeak-ng, through ctypes; only the corpus needs it."""

import ctypes
from dataclasses import dataclass
from typing import Any, ClassVar

import espeakng_loader
import numpy as np

_SYNCHRONOUS_RETRIEVAL = 1  # espeak hands us the samples and plays nothing
_PHONE_EVENTS_IN_IPA = 0b11
_UTF8 = 1
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_LIST_END, _WORD, _PHONE = 0, 1, 7  # espeak_EVENT_TYPE


class _EventId(ctypes.Union):
    _fields_: ClassVar = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Utterance:
    """One synthesised text.

    Attributes
    ----------
    samples : float32 array, shape (n_samples,)
        Waveform at ``rate``, between -1 and 1.
    rate : int
        Samples per second.
    words : tuple of (float, int)
        Onset in seconds and character position (from 0) of every word event.
    phones : tuple of (float, str)
        Onset in seconds and IPA name of every phone event, "" where a silence begins.
    """

    samples: np.ndarray
    rate: int
    words: tuple[tuple[float, int], ...]
    phones: tuple[tuple[float, str], ...]

    @property
    def seconds(self) -> float:
        """Length of the waveform in seconds."""
        return len(self.samples) / self.rate


class Synthesiser:
    """The one espeak-ng instance of this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._rate = self._library.espeak_Initialize(
            _SYNCHRONOUS_RETRIEVAL, 0, data, _PHONE_EVENTS_IN_IPA
        )
        if self._rate <= 0:
            raise RuntimeError(f"espeak-ng did not start: code {self._rate}, data in {data!r}")
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            *[ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint],
            *[ctypes.c_void_p, ctypes.c_void_p],
        ]
        self._callback = _Callback(self._receive)  # kept, or ctypes would free it
        self._library.espeak_SetSynthCallback(self._callback)
        self._reset()

    def _reset(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._words: list[tuple[float, int]] = []
        self._phones: list[tuple[float, str]] = []

    def _receive(self, samples: Any, n_samples: int, events: Any) -> int:
        if n_samples > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        index = 0
        while events[index].type != _LIST_END:
            event = events[index]
            onset = event.sample / self._rate
            if event.type == _WORD:
                self._words.append((onset, event.text_position - 1))
            elif event.type == _PHONE:
                name = bytes(event.id.string).split(b"\0")[0].decode("utf8", "replace")
                self._phones.append((onset, name))
            index += 1
        return 0

    def say(self, text: str, *, voice: str, words_per_minute: int, pitch: int) -> Utterance:
        """Synthesise one sentence.

        Parameters
        ----------
        text : str
            What to say.
        voice : str
            Voice and variant, such as ``"en-us+f3"``.
        words_per_minute, pitch : int
            Speaking rate, and pitch from 0 to 99.

        Returns
        -------
        Utterance
            Waveform, word onsets and phone onsets.
        """
        self._reset()
        self._require(self._library.espeak_SetVoiceByName(voice.encode()), f"voice {voice!r}")
        self._require(self._library.espeak_SetParameter(_RATE, words_per_minute, 0), "rate")
        self._require(self._library.espeak_SetParameter(_PITCH, pitch, 0), "pitch")
        data = text.encode() + b"\0"
        code = self._library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
        self._require(code, f"text {text!r}")
        self._require(self._library.espeak_Synchronize(), "synchronising")
        samples = np.concatenate(self._blocks).astype(np.float32) / 32768
        return Utterance(samples, self._rate, tuple(self._words), tuple(self._phones))

    @staticmethod
    def _require(code: int, what: str) -> None:
        if code != 0:
            raise RuntimeError(f"espeak-ng refused the {what}: code {code}")
