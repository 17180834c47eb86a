"""Judging what is wrong, from what each engine says of itself: what it is, the evidence, and what to do."""

from collections import Counter
from collections.abc import Sequence

from photosynth.bitcoin.node import NodeHealth, Template
from photosynth.documents import (
    Condition,
    NodeDocument,
)
from photosynth.miners.view import MachineView
from photosynth.operations.alerting.alerts import Failing
from photosynth.operations.supervisor import Trouble
from photosynth.quantities.format import duration
from photosynth.quantities.instants import iso_utc
from photosynth.sites.meter_wait import Waiting
from photosynth.treasury.income import Misfit
from photosynth.treasury.mining.unknown_intervals import UnknownIntervals
from photosynth.treasury.suspense import Unexplained


def machine_conditions(view: MachineView) -> list[Condition]:
    """What is wrong with one machine."""
    return [
        Condition(
            id=f"{item.id}:{view.id}",
            severity=item.severity,
            subject=view.id,
            summary=item.summary,
            evidence=item.evidence,
            advice=item.advice,
            since_ms=item.since_ms,
        )
        for item in view.conditions
    ]


def system_conditions(
    *,
    meters_fault: str | None,
    health: NodeHealth | None,
    pool_fault: str | None,
    books_fault: str | None,
    waiting: Waiting | None,
    reconciled: bool | None,
    now_ms: int,
) -> list[Condition]:
    """What is wrong with the parts that are not machines; None is no fault, and a node without health is unreachable."""
    found = []
    if meters_fault is not None:
        summary = "the meters cannot be read, so nothing is mined on a surplus that nobody sees"
        found.append(_critical("meters_unreachable", "meters", summary, meters_fault, "Check their power, cable and address."))
    if health is None:
        summary = "the Bitcoin node does not answer"
        found.append(_critical("node_unreachable", "bitcoin", summary, "no answer", "Start it, and check its address."))
    elif not health.synchronised:
        evidence = "; ".join(health.warnings) or f"height {health.tip.height} of {health.headers}"
        summary = "the Bitcoin node is not to be trusted now"
        found.append(
            _critical("node_behind", "bitcoin", summary, evidence, "Wait, or mend what it warns of: see the Nodes page.")
        )
    elif health.warnings:
        found.append(
            Condition(
                id="node_warns",
                severity="warning",
                subject="bitcoin",
                summary="the Bitcoin node warns",
                evidence="; ".join(health.warnings),
                advice="Do what the warning says: see the Nodes page.",
                since_ms=0,
            )
        )
    if pool_fault is not None:
        summary = "the pool cannot work as it should"
        found.append(_critical("pool", "pool", summary, pool_fault, "Free disk space, or mend the Bitcoin node."))
    if books_fault is not None:
        found.append(_critical("books_wait", "books", "the books have to wait", books_fault, _BOOKS_GO_ON))
    if waiting is not None:
        found.append(_waiting(waiting))
    if reconciled is False:
        found.append(_critical("books_disagree", "books", _BOOKS_DISAGREE, "see the log", _PAY_NOTHING))
    return [item.model_copy(update={"since_ms": now_ms}) for item in found]


_BOOKS_GO_ON = "It is tried again and again; nothing is lost meanwhile. Mend what it names."
_BOOKS_DISAGREE = "journal and chain do not agree to the satoshi"
_PAY_NOTHING = "Pay nothing out; find the transaction that touched these coins. The log names them."


def chain_conditions(chain: str, fault: str | None, reconciled: bool | None, now_ms: int) -> list[Condition]:
    """What is wrong with the books of a chain that no site mines on; a site tells of those of its own."""
    found = []
    if fault is not None:
        summary = f"the books of {chain} have to wait"
        found.append(_critical(f"books_wait:{chain}", chain, summary, fault, _BOOKS_GO_ON))
    if reconciled is False:
        summary = f"{chain}: {_BOOKS_DISAGREE}"
        found.append(_critical(f"books_disagree:{chain}", chain, summary, "see the log", _PAY_NOTHING))
    return [item.model_copy(update={"since_ms": now_ms}) for item in found]


def _waiting(waiting: Waiting) -> Condition:
    """A quarter hour that stays open for a meter."""
    names = ", ".join(waiting.meters)
    more = "" if waiting.open_intervals == 1 else f" and {waiting.open_intervals - 1} later ones"
    return Condition(
        id="quarter_hours_wait",
        severity="warning",
        subject="books",
        summary=f"the quarter hour from {iso_utc(waiting.start_ms)}{more} cannot be closed: waiting for {meters_named(names)}",
        evidence=f"{waiting.why}; waited {duration(round(waiting.waited_s))}",
        advice=f"Check their power, cable and address. What they latched is read as soon as they answer, and is exact; in "
        f"{duration(round(waiting.left_s))} the quarter hour is closed with what is missing unknown (ledger.meter_grace).",
        since_ms=0,
    )


def unexplained_conditions(found: Sequence[Unexplained]) -> list[Condition]:
    """Coins that came to our wallets or left them for no reason that the books know: one condition a transaction and wallet."""
    return [
        Condition(
            id=f"coins_unexplained:{item.posting_id}:{item.wallet}",
            severity="warning",
            subject=item.wallet,
            summary=f"{item.asset} {'came to' if item.amount > 0 else 'left'} the wallet {item.wallet}, and nothing says why",
            evidence=f"transaction {item.txid}: {abs(item.amount)} base units; posting {item.posting_id} has them in suspense",
            advice="Find out who paid, or what was paid. If it was not you, somebody has the wallet's keys: move the rest.",
            since_ms=item.time_ms,
        )
        for item in found
    ]


def misfit_conditions(found: Sequence[Misfit]) -> list[Condition]:
    """Payments of networks that fit no rule of the books: one condition each."""
    return [
        Condition(
            id=f"income_in_suspense:{item.chain}:{item.id}:{item.state}",
            severity="warning",
            subject=item.node,
            summary=f"{item.kind} of {item.chain}, {item.state}, is in suspense",
            evidence=f"{item.id}, {item.amount} base units of {item.asset}: {item.why}",
            advice="Add the wallet to the fleet file, or install a package of its network with a rule for it, and start again: "
            "what fits then is posted anew.",
            since_ms=item.time_ms,
        )
        for item in found
    ]


def unknown_conditions(found: Sequence[UnknownIntervals]) -> list[Condition]:
    """Quarter hours of the last day that were closed although a meter's registers never came."""
    return [_unknown(unknown) for unknown in found]


def _unknown(unknown: UnknownIntervals) -> Condition:
    number = "a quarter hour was" if unknown.count == 1 else f"{unknown.count} quarter hours were"
    return Condition(
        id="quarter_hours_unknown",
        severity="warning",
        subject="books",
        summary=f"{number} closed without {meters_named(', '.join(unknown.meters))}; their energy is unknown, not zero",
        evidence=f"of the last day, the first from {iso_utc(unknown.first_ms)}, the last from {iso_utc(unknown.last_ms)}",
        advice="Their energy and its cost are missing from the books. Keep the meters' own load profile for the correction.",
        since_ms=unknown.last_ms,
    )


def meters_named(names: str) -> str:
    """One meter or several, by name."""
    return f"the meter{'s' if ', ' in names else ''} {names}"


def money_conditions(template: Template, usual_sat: int, now_ms: int) -> list[Condition]:
    """Regtest's subsidy halves every 150 blocks: say so when it no longer pays twice what a block here usually earns."""
    if template.coinbase_value_sat >= 2 * usual_sat:
        return []
    return [
        Condition(
            id="demonstration_money_ends",
            severity="warning",
            subject="bitcoin",
            summary="the demonstration chain's subsidy runs out",
            evidence=f"block {template.height} can pay {template.coinbase_value_sat} sat at most, and its work earns {usual_sat}",
            advice="Start anew with `photosynth up --fresh`: regtest halves its subsidy every 150 blocks.",
            since_ms=now_ms,
        )
    ]


def ended_conditions(replay: str | None, end_ms: int | None) -> list[Condition]:
    """A replayed day has an end, at which the fleet's time stands still."""
    return [
        Condition(
            id="day_ended",
            severity="info",
            subject="clock",
            summary=f"the recorded day {replay} has ended, and time stands still",
            evidence=f"it has come to {iso_utc(end_ms or 0)}",
            advice="Stop it with Ctrl-C; ledger and evidence of the whole day stay in the state folder.",
            since_ms=end_ms or 0,
        )
    ]


def control_conditions(mistake: str | None, now_ms: int) -> list[Condition]:
    """What is wrong with a site's decisions; None is no fault."""
    if mistake is None:
        return []
    summary = "no decision can be made, so everything sleeps"
    advice = "This is a mistake of the program: please report it with its trace, which is in the log."
    return [_critical("control_fault", "control", summary, mistake, advice).model_copy(update={"since_ms": now_ms})]


def audit_conditions(fault: str | None, waiting: int, now_ms: int) -> list[Condition]:
    """What is wrong with writing down what is done; None is no fault."""
    if fault is None:
        return []
    summary = "actions cannot be written down, so nothing is switched on; switching off goes on"
    evidence, advice = f"{waiting} entries wait; {fault}", "Free disk space, or mend what it names."
    return [_critical("audit_waits", "audit", summary, evidence, advice).model_copy(update={"since_ms": now_ms})]


def database_conditions(fault: str | None, now_ms: int) -> list[Condition]:
    """What is wrong with the database; None is no fault."""
    if fault is None:
        return []
    summary = "the database does not answer; what is said of ledger and proof is from before"
    advice = "Mining goes on, and what is earned is kept and booked later. Start the database, and see that it can be reached."
    return [_critical("database_away", "database", summary, fault, advice).model_copy(update={"since_ms": now_ms})]


def alert_conditions(failing: Sequence[Failing], now_ms: int) -> list[Condition]:
    """Targets of alerts that take nothing: one condition each."""
    return [
        Condition(
            id=f"alerts_undelivered:{item.id}",
            severity="critical",
            subject=item.id,
            summary=f"alerts do not arrive at {item.id}",
            evidence=f"{item.attempts} attempts in a row failed, the last one: {item.why}",
            advice="They are sent again and again, at least every 15 minutes. Mend the target, and try `photosynth alerts test`.",
            since_ms=now_ms,
        )
        for item in failing
    ]


def overflow_conditions(left_out: int, now_ms: int) -> list[Condition]:
    """More is wrong than a list can hold."""
    if not left_out:
        return []
    summary = "more is wrong than is kept as incidents"
    evidence = f"{left_out} conditions are not among the incidents"
    advice = "Look for what they have in common: a network, a switch, a power supply. What is left out is in the status."
    return [_critical("incidents_overflow", "incidents", summary, evidence, advice).model_copy(update={"since_ms": now_ms})]


_TROUBLES = {
    "down": (
        "does not run",
        "It is begun again and again, at least once a minute; everything else goes on. Mend what it names.",
    ),
    "waits": ("waits", "It begins as soon as what it waits for runs."),
    "starts": (
        "is still being started",
        "Everything else goes on. Where it lasts, see whether its disk or node hangs.",
    ),
}


def trouble_conditions(troubles: Sequence[Trouble], now_ms: int) -> list[Condition]:
    """Parts of the fleet that do not run; what they are is told by scope and name."""
    found = []
    for trouble in troubles:
        _, _, owner = trouble.scope.partition(":")
        what, advice = _TROUBLES[trouble.kind]
        found.append(
            Condition(
                id=f"part_{trouble.kind}:{trouble.scope}:{trouble.name}",
                severity="critical" if trouble.kind == "down" else "warning",
                subject=owner or trouble.name,
                summary=f"{trouble.name} of {owner or 'the fleet'} {what}",
                evidence=trouble.why,
                advice=advice,
                since_ms=now_ms,
            )
        )
    return found


def _critical(kind: str, subject: str, summary: str, evidence: str, advice: str) -> Condition:
    return Condition(id=kind, severity="critical", subject=subject, summary=summary, evidence=evidence, advice=advice, since_ms=0)


def node_conditions(nodes: Sequence[NodeDocument], now_ms: int) -> list[Condition]:
    """What is wrong with the fleet's nodes, but for what is only told. Of several of one kind each has a name of its own."""
    found = []
    for node in nodes:
        kinds = Counter[str]()
        for condition in node.conditions:
            kinds[condition.kind] += 1
            number = kinds[condition.kind]
            if condition.severity != "info":
                found.append(
                    Condition(
                        id=f"{condition.kind}:{node.id}" + (f":{number}" if number > 1 else ""),
                        severity=condition.severity,
                        subject=node.id,
                        summary=condition.summary,
                        evidence=condition.evidence,
                        advice=condition.runbook,
                        since_ms=now_ms,
                    )
                )
    return found
