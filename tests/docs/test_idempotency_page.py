"""What docs/idempotency.md says of keys is what holds."""

from pathlib import Path

from freehold.config.settings import IdempotencySettings
from freehold.dispatch.chat_attempt import PASSED_ON_HEADERS
from freehold.fault import FAULTS, LASTING, Kind
from freehold.server.idempotency.asked import HEADER, LONGEST
from freehold.server.redacting import KEY_FILE

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_numbers_and_names_on_the_page_hold() -> None:
    page, held = " ".join((DOCS / "idempotency.md").read_text().split()), IdempotencySettings()
    said = [
        f"A key is 1 to {LONGEST} printable ASCII characters",
        f"after `wait_s` ({held.wait_s:g} s) a {FAULTS[Kind.IDEMPOTENCY_UNDER_WAY].status}",
        f"more than `max_answer_mib` ({held.max_answer_mib:g})",
        f"asked something else | {FAULTS[Kind.IDEMPOTENCY_MISMATCH].status} |",
        f"refused with {FAULTS[Kind.IDEMPOTENCY_AWAY].status} when the store is away",
        *(f"`{kind}`" for kind in (Kind.IDEMPOTENCY_UNDER_WAY, Kind.IDEMPOTENCY_UNKNOWN, Kind.IDEMPOTENCY_MISMATCH)),
        *(f"`{name}`" for name in PASSED_ON_HEADERS),
        f"(`{KEY_FILE}` in the data directory)",
    ]
    assert [words for words in said if words not in page] == []
    assert (held.keep_s, HEADER, Kind.IDEMPOTENCY_UNKNOWN in LASTING) == (86_400, "idempotency-key", True), "a day; not repeated"


def test_the_record_of_the_decision_is_there() -> None:
    page = (DOCS / "idempotency.md").read_text()
    [record] = (DOCS / "decisions").glob("0005-*.md")
    assert record.name in page
