"""Documents out of the database: what belongs to a site names it, and what is the fleet's own does not."""

import pytest

from photosynth.operations.book_documents import action_document
from photosynth.storage.actions import ActionRow


@pytest.mark.parametrize(
    ("kind", "site"),
    [("sleep", "backnang"), ("stop_mining", "backnang"), ("restart_node", None), ("start_process", None), ("end_process", None)],
)
def test_an_action_at_a_site_names_it_and_a_nodes_does_not(kind: str, site: str | None) -> None:
    row = ActionRow(
        id=1,
        key="a",
        time_ms=2,
        wall_ms=3,
        actor="dispatch",
        kind=kind,
        subject="x",
        reason="why",
        request="what",
        result="done",
        answer=None,
        read_back=None,
        verified=None,
        finished_ms=4,
    )
    assert action_document(row, "backnang").site == site
