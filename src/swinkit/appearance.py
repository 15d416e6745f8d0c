"""How names look to people, and what of them cannot be seen: shown escaped in messages."""

from __future__ import annotations

import re
import unicodedata

# letters of other alphabets that look like Latin ones
_LOOKALIKES = str.maketrans(
    "асеԁһіјорѕухАВСЕНІЈКМОРЅТХУαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "acedhijopsyxABCEHIJKMOPSTXYaopvABEZHIKMNOPTYX"
)
_SCRIPTS = {"LATIN", "CYRILLIC", "GREEK"}


def quoted(name: str) -> str:
    """A name in quotes, with what cannot be seen of it as escapes."""
    return ascii(name) if _is_deceptive(name) else repr(name)


def visible(text: object) -> str:
    """A path or name as it is, with escapes for what cannot be seen of it."""
    plain = str(text)
    return plain if plain.isprintable() and not _is_deceptive(plain) else ascii(plain)[1:-1]


def look_of(name: str) -> str:
    """What a name looks like: names of one look are not to be told apart by eye."""
    plain = unicodedata.normalize("NFKC", name).translate(_LOOKALIKES)
    return " ".join("".join(letter for letter in plain if unicodedata.category(letter) != "Cf").split())


def _is_deceptive(text: str) -> bool:
    """Whether letters are composed in the uncommon way, or a word mixes alphabets that look alike."""
    if text.isascii():
        return False
    if unicodedata.normalize("NFC", text) != text:
        return True
    for word in re.split(r"[\W\d_]+", text):
        scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
        if len(scripts & _SCRIPTS) > 1:
            return True
    return False
