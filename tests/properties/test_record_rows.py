"""A record that went through the database is the record it was."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.ledger.queries import request
from freehold.storage.engine import open_engine
from support import records
from support.ledgers import Kept

ONE = st.just("req_one")


@settings(max_examples=40, deadline=None)
@given(records.decisions(ONE), st.lists(records.attempts(ONE), max_size=3), records.requests(ONE))
def test_records_round_trip_exactly(decision, attempts, final) -> None:
    tries = [
        type(tried)(
            **{
                **{name: getattr(tried, name) for name in tried.__struct_fields__},
                "attempt_id": f"req_one.{number}",
                "number": number,
            }
        )
        for number, tried in enumerate(attempts, 1)
    ]
    with TemporaryDirectory() as folder:
        store = Kept(Path(folder) / "ledger.db")
        store.writer.put("decisions", decision)
        for tried in tries:
            store.writer.put("attempts", tried)
        store.writer.put("requests", final)
        store.writer.start()
        store.writer.close()
        assert store.told == []
        found = request(open_engine(store.url, read_only=True), "req_one")
        assert found is not None
        assert found.request == final
        assert found.decision == decision
        assert list(found.attempts) == tries
