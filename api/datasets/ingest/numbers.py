"""Numbers in text: plain ones, codes that only look like numbers, and numbers in another notation."""

import pyarrow as pa
import pyarrow.compute as pc

_PLAIN = r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
_SIGNED = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
# Text of this form is a code: as a number it would lose its zeros, its sign or its base.
CODE = r"^\s*[+-]?0[0-9xX]|^\s*\+"

# The beginning that all of the patterns below can have.
NUMBER_LIKE = r"^[-+(]?\s*([$€£¥₹]|USD|EUR|GBP|CHF)?\s*[-+]?[.,]?[0-9]|^[+-]?(?i:inf)"
_CURRENCY = "(?:[$€£¥₹]|USD|EUR|GBP|CHF)"
_DIGITS = "[0-9][0-9.,'\u2019\u00a0\u202f]*"
_PERCENT = rf"^[-+]?{_DIGITS}\s*%$"
_MONEY = rf"^[-+(]?{_CURRENCY}\s*[-+]?{_DIGITS}[kKmMbB]?\)?$|^[-+(]?{_DIGITS}\s*{_CURRENCY}\)?$"
_THOUSANDS = "^[-+]?[0-9]{1,3}([,.'\u2019\u00a0\u202f][0-9]{3})+([.,][0-9]+)?$"
_COMMA = "^[-+]?([0-9]*|[0-9]{1,3}([.'\u2019\u00a0\u202f ][0-9]{3})+),[0-9]+$"
_OTHERWISE = "|".join((_PERCENT, _MONEY, _THOUSANDS, _COMMA))


def matches(words: pa.Array, pattern: str) -> pa.BooleanArray:
    """A mask of the words that match. `pattern` has the syntax of RE2."""
    return pc.match_substring_regex(words, pattern)


def matches_all(words: pa.Array, pattern: str) -> bool:
    """Whether every word matches."""
    return bool(pc.all(matches(words, pattern), min_count=0).as_py())


def are_plain(words: pa.Array) -> pa.BooleanArray:
    """A mask of the words that are numbers and not codes."""
    return pc.and_not(matches(words, _PLAIN), matches(words, CODE))


def are_signed(words: pa.Array) -> pa.BooleanArray:
    """A mask of the words that can be read as numbers, also of those that look like codes."""
    return matches(words, _SIGNED)


def to_numbers(words: pa.Array) -> pa.Array:
    """The words, which must be numbers, as 64-bit integers if all are integers, otherwise as floats."""
    try:
        return words.cast(pa.int64())
    except pa.ArrowInvalid:
        return words.cast(pa.float64())


def are_written_otherwise(words: pa.Array) -> pa.BooleanArray:
    """A mask of the numbers with a percent or currency sign, thousands separators or a decimal comma."""
    return pc.and_not(matches(words, _OTHERWISE), are_signed(words))


def name_notation(words: pa.Array) -> str:
    """The notation of numbers that are not plain, such as `decimal commas`, for an error message."""
    commas, thousands = matches(words, _COMMA), matches(words, _THOUSANDS)
    has_decimals = _any(pc.and_not(commas, thousands))
    # 1,234 alone can be either: the other cells decide.
    separated = pc.and_not(thousands, commas) if has_decimals else thousands
    causes = {
        "percent signs": _any(matches(words, _PERCENT)),
        "currency signs": _any(matches(words, _MONEY)),
        "thousands separators": _any(separated),
        "decimal commas": has_decimals,
    }
    return " and ".join(cause for cause, is_there in causes.items() if is_there)


def _any(mask: pa.BooleanArray) -> bool:
    return bool(pc.any(mask, min_count=0).as_py())
