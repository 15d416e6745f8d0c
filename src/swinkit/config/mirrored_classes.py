"""Classes that a mirror exchanges: left and right, clockwise and counter-clockwise. Imports no torch."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from swinkit.config.common import Views

V = TypeVar("V", bound=Views)

_LEFT, _RIGHT, _CLOCKWISE, _COUNTER = "\ue000", "\ue001", "\ue002", "\ue003"  # stand for a word in a name
_MIRRORED = str.maketrans(_LEFT + _RIGHT + _CLOCKWISE + _COUNTER, _RIGHT + _LEFT + _COUNTER + _CLOCKWISE)

# words that count also within others ("turnleft"): a class counts only where its mirror image is one too
_PARTS = {
    _LEFT: "left links linke linker linkes linken linkem gauche izquierda izquierdo sinistra sinistro "
    "esquerda esquerdo esquerra vänster venstre vasen vasemmalle kiri trái stânga vlevo lewo lewy lewa "
    "влево налево слева левый левая левое ліворуч лівий αριστερά αριστερό 左 왼 좌 ซ้าย "
    "يسار أيسر يسرى שמאל बाएं बाएँ बायां ← ⬅ 👈 ↰ ↩ ( [ { <",
    _RIGHT: "right rechts rechte rechter rechtes rechten rechtem droite droit derecha derecho destra destro "
    "direita direito dreta höger højre høyre oikea oikealle kanan phải dreapta vpravo prawo prawy prawa "
    "вправо направо справа правый правая правое праворуч правий δεξιά δεξί 右 오른 우 ขวา "
    "يمين أيمن يمنى ימין दाएं दाएँ दायां → ➡ 👉 ↱ ↪ ) ] } >",
    _CLOCKWISE: "clockwise 顺时针 順時針 時計回り 시계 ↻ ⟳",
    _COUNTER: "counterclockwise anticlockwise 逆时针 逆時針 反時計回り 반시계 ↺ ⟲",
}
_WORDS = {
    _LEFT: "l lh lhs lft sol levá levý bal port",
    _RIGHT: "r rh rhs rgt sağ pravá pravý jobb starboard",
    _CLOCKWISE: "cw",
    _COUNTER: "ccw acw",
}


def why_not_mirrored(names: Iterable[str], *, sided: bool = False) -> str | None:
    """Say why a data set must not be mirrored; None if it may. `sided` is as in `ClassData`."""
    pair = mirrored_pair(names)
    if pair is not None:
        return f"a mirror exchanges the classes {pair[0]!r} and {pair[1]!r}"
    return "Something-Something tells left from right" if sided else None


def without_flip(views: V, names: Iterable[str]) -> tuple[V, str | None]:
    """Return test-time options without `flip` where a mirror exchanges classes, and a note that says so."""
    reason = why_not_mirrored(names) if views.flip else None
    if reason is None:
        return views, None
    return views.model_copy(update={"flip": False}), f"Mirror images are left out (flip): {reason}."


def mirrored_pair(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two of the names that a mirror exchanges; None if there are none.

    "turn_left" and "turn_right" are such, also in other languages and spellings. A name whose counterpart is
    missing is none: in a mirror it looks like no other class.
    """
    return _mirrored_pair(tuple(names))


@lru_cache(maxsize=16)
def _mirrored_pair(names: tuple[str, ...]) -> tuple[str, str] | None:
    plain = {_plain(name): name for name in names}
    for pattern, symbols in (_of_words({**_PARTS, **_joined()}, whole=True), _of_words(_PARTS, whole=False)):
        seen: dict[str, str] = {}
        for text, name in plain.items():
            marked = _marked(text, pattern, symbols)
            if marked == text:
                continue
            other = seen.get(marked.translate(_MIRRORED))
            if other is not None and other != name and not _is_letter_of_many(text, plain):
                return other, name
            seen[marked] = name
    return None


def _marked(text: str, pattern: re.Pattern[str], symbols: dict[str, str]) -> str:
    return pattern.sub(lambda match: symbols[match[0]], text)


def _plain(name: str) -> str:
    """Return a name in lower case, single blanks between words, one word for each sense of rotation."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name)).casefold()
    text = " ".join(re.sub(r"[\W_]+", _separator, text).split())
    return re.sub(r"\b(counter|anti) clock ?wise", "counterclockwise", text).replace(
        "clock wise", "clockwise"
    )


def _separator(match: re.Match[str]) -> str:
    """Return a blank for what stands between words; symbols that have a side stay."""
    kept = "".join(letter for letter in match[0] if any(letter in words for words in _PARTS.values()))
    return f" {kept} "


def _joined() -> dict[str, str]:
    return {symbol: f"{_PARTS[symbol]} {words}" for symbol, words in _WORDS.items()}


def _of_words(words: dict[str, str], *, whole: bool) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern of all words, the longest first, and the symbol of each."""
    symbols = {word.casefold(): symbol for symbol, listed in words.items() for word in listed.split()}
    longest = sorted(symbols, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest))
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)" if whole else pattern), symbols


def _is_letter_of_many(text: str, plain: dict[str, str]) -> bool:
    """Whether one letter tells a name from others with other letters: L is then no side but a letter."""
    template = re.compile(re.sub(r"(?<!\w)[lr](?!\w)", "[a-km-qs-z]", re.escape(text)))
    return template.pattern != re.escape(text) and any(template.fullmatch(other) for other in plain)
