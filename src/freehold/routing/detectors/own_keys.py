"""Freehold's own virtual keys by the way they are written: `fh_`, 32 random letters and digits, six of a checksum.

32 characters of 62 are 190 bits: nobody guesses one, and nobody finds one from its digest. The checksum (CRC-32, ISO
3309) tells a real key from a placeholder without asking anybody, so that a leaked one is found with certainty. Pure:
drawing one and looking one up is `identity`'s business.
"""

from string import ascii_letters, digits
from zlib import crc32

PREFIX = "fh_"
ALPHABET = digits + ascii_letters
RANDOM_CHARS = 32
CHECK_CHARS = 6
"""62^6 is more than 2^32."""


def checksum(drawn: str) -> str:
    """The last characters of a key whose random ones are these."""
    number = crc32(drawn.encode())
    said = ""
    for _ in range(CHECK_CHARS):
        number, place = divmod(number, len(ALPHABET))
        said = ALPHABET[place] + said
    return said


def is_own_key(text: str) -> bool:
    """Whether it is written as a key of ours and its checksum is right."""
    drawn, check = text[len(PREFIX) : -CHECK_CHARS], text[-CHECK_CHARS:]
    return text.startswith(PREFIX) and len(drawn) == RANDOM_CHARS and text.isascii() and checksum(drawn) == check
