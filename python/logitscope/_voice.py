"""What a recorder has to say: warnings, each once, and none that ends a training."""

from __future__ import annotations

import sys
import warnings


class LogitscopeWarning(UserWarning):
    """Something that a recorder met and that does not end the training."""


class Voice:
    def __init__(self) -> None:
        self._said: set[str] = set()
        self._unsaid: list[str] = []

    def later(self, key: str, text: str) -> None:
        """Keeps what the thread has to say for the next call: a warning in a thread can go unseen."""
        if key not in self._said:
            self._said.add(key)
            self._unsaid.append(text)

    def has_said(self, key: str) -> bool:
        return key in self._said

    def say(self, key: str, text: str) -> None:
        self.later(key, text)
        self.speak()

    def speak(self) -> None:
        while self._unsaid:
            text = self._unsaid.pop(0)
            try:
                warnings.warn(f"logitscope: {text}", LogitscopeWarning, stacklevel=5)
            except LogitscopeWarning:  # warnings are errors here, and a training must not end by one of ours
                print(f"logitscope: {text}", file=sys.stderr)
