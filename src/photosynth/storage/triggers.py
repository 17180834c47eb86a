"""What keeps written rows as they are, in both databases: triggers, so that no program and no hand changes them by mistake."""

from collections.abc import Iterator, Sequence

_UNCHANGED = ("id", "key", "time_ms", "wall_ms", "actor", "kind", "subject", "reason", "request")
_AGAIN = "OLD.result <> 'planned' OR NEW.result = 'planned' OR " + " OR ".join(f"OLD.{c} <> NEW.{c}" for c in _UNCHANGED)
_ONCE = "an action is finished once and otherwise unchanged"


def keeping(dialect: str, append_only: Sequence[str]) -> Iterator[str]:
    """The statements that make these tables append-only, and let an action be finished once."""
    return _sqlite(append_only) if dialect == "sqlite" else _postgres(append_only)


def _sqlite(append_only: Sequence[str]) -> Iterator[str]:
    for table in append_only:
        for change in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    yield "CREATE TRIGGER actions_no_delete BEFORE DELETE ON actions BEGIN SELECT RAISE(ABORT, 'actions is append-only'); END"
    refused = f"BEGIN SELECT RAISE(ABORT, '{_ONCE}'); END"
    yield f"CREATE TRIGGER actions_only_finishing BEFORE UPDATE ON actions WHEN {_AGAIN} {refused}"


def _postgres(append_only: Sequence[str]) -> Iterator[str]:
    yield (
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0]; END $$"
    )
    for table in append_only:
        refused = f"EXECUTE FUNCTION refuse_change('{table} is append-only')"
        yield f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refused}"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refused}"
    refused = "EXECUTE FUNCTION refuse_change('actions is append-only')"
    yield f"CREATE TRIGGER actions_no_delete BEFORE DELETE ON actions FOR EACH ROW {refused}"
    yield f"CREATE TRIGGER actions_no_truncate BEFORE TRUNCATE ON actions FOR EACH STATEMENT {refused}"
    yield (
        f"CREATE TRIGGER actions_only_finishing BEFORE UPDATE ON actions FOR EACH ROW WHEN ({_AGAIN}) "
        f"EXECUTE FUNCTION refuse_change('{_ONCE}')"
    )
