"""Another verifier, written from docs/reference/evidence.md alone with nothing of the package: the page says enough."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GOLDEN = Path(__file__).parent / "golden_evidence.jsonl"
TWO_256 = 1 << 256
SIGNED, NEW_KEY = b"photosynth evidence, version 2\n", b"photosynth evidence, version 2, new key\n"


@dataclass(frozen=True)
class Line:
    """A line whose seal and envelope hold; ``roots`` are those over all heads after each line before it."""

    stream: str
    kind: str
    seq: int
    data: dict[str, Any]
    hashes: dict[str, list[bytes]]
    roots: frozenset[bytes]


@cache
def lines(file: Path = GOLDEN) -> list[Line]:
    """Every line, after its spelling, hash, signature and place in its stream were checked."""
    hashes: dict[str, list[bytes]] = defaultdict(list)
    keys: dict[str, str] = {}
    roots: set[bytes] = set()
    ended: list[str] = []
    found = []
    for raw in file.read_bytes().splitlines():
        text = raw[len(b'{"body":') : raw.rindex(b',"hash":"')]
        line, body = json.loads(raw), json.loads(text)
        assert json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() == text
        assert sorted(body) == ["data", "kind", "previous", "seq", "stream", "version"]
        digest = hashlib.sha256(text).digest()
        assert digest.hex() == line["hash"]
        stream, data = body["stream"], body["data"]
        mine = hashes[stream]
        assert (body["version"], body["seq"]) == (2, len(mine))
        assert body["previous"] == (mine[-1] if mine else bytes(32)).hex()
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys.setdefault(stream, data.get("public_key", ""))))
        key.verify(bytes.fromhex(line["signature"]), SIGNED + digest)
        if body["kind"] in ("site", "books"):
            assert data["public_key"] == keys[stream]
        if body["kind"] == "key":
            keys[stream] = data["public_key"]
            new = bytes.fromhex(data["public_key"])
            signed = NEW_KEY + bytes.fromhex(body["previous"]) + new
            Ed25519PublicKey.from_public_bytes(new).verify(bytes.fromhex(data["proof"]), signed)
        before = {name: list(known) for name, known in hashes.items()}
        found.append(Line(stream, body["kind"], body["seq"], data, before, frozenset(roots)))
        if body["kind"] == "end":
            ended.append(stream)
        else:
            assert not ended
            mine.append(digest)
            roots.add(root_of({name: known[-1] for name, known in hashes.items()}))
    assert ended == sorted(hashes)
    return found


def tagged(tag: bytes, data: bytes) -> bytes:
    name = hashlib.sha256(tag).digest()
    return hashlib.sha256(name + name + data).digest()


def leaf(stream: str, head: bytes) -> bytes:
    return tagged(b"photosynth/evidence/leaf", stream.encode() + head)


def node(left: bytes, right: bytes) -> bytes:
    return tagged(b"photosynth/evidence/node", left + right)


def root_of(heads: dict[str, bytes]) -> bytes:
    row = [leaf(name, heads[name]) for name in sorted(heads)]
    while len(row) > 1:
        pairs = [row[at : at + 2] for at in range(0, len(row), 2)]
        row = [node(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return row[0]


def commits(line: Line, commitment: dict[str, Any], root: bytes) -> bool:
    """Whether a root leads to a line of this stream before this one, and is one over the heads of all streams."""
    own, place = leaf(line.stream, line.hashes[line.stream][commitment["seq"]]), commitment["place"]
    for sibling in commitment["branch"]:
        if sibling is None:
            assert place % 2 == 0
        else:
            own = node(bytes.fromhex(sibling), own) if place % 2 else node(own, bytes.fromhex(sibling))
        place //= 2
    return place == 0 and own == root and root in line.roots


def double(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def half_even(amount: int, over: int) -> int:
    whole, rest = divmod(amount, over)
    return whole + (2 * rest > over or (2 * rest == over and whole % 2 == 1))


def root(coinbase: bytes, branch: list[str]) -> bytes:
    found = double(coinbase)
    for sibling in branch:
        found = double(found + bytes.fromhex(sibling))
    return found


def taken_apart(coinbase: bytes) -> tuple[int, bytes, list[tuple[int, str]]]:
    """Height, commitment and outputs of a coinbase whose script begins with the height and a push of 32 bytes."""
    at = 4 + 1 + 32 + 4
    script = coinbase[at + 1 : at + 1 + coinbase[at]]
    at += 1 + coinbase[at] + 4
    size = 0 if script[0] > 0x50 else script[0]
    height = int.from_bytes(script[1 : 1 + size], "little") if size else script[0] - 0x50
    assert script[1 + size] == 32
    outputs, at = [], at + 1
    for _ in range(coinbase[at - 1]):
        length = coinbase[at + 8]
        outputs.append((int.from_bytes(coinbase[at : at + 8], "little"), coinbase[at + 9 : at + 9 + length].hex()))
        at += 9 + length
    return height, script[2 + size : 34 + size], outputs


def pair(debit: str, credit: str, asset: str, amount: int) -> list[list[Any]]:
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    return [[debit, "debit", asset, amount], [credit, "credit", asset, amount]] if amount else []


def split(value: int, weights: list[int]) -> list[int]:
    total = sum(weights)
    parts = [value * weight // total for weight in weights]
    by_remainder = sorted((-(value * weight % total), at) for at, weight in enumerate(weights))
    for _, at in by_remainder[: value - sum(parts)]:
        parts[at] += 1
    return parts


def used_energy(site: dict[str, Any], meters: list[dict[str, Any]]) -> list[int]:
    roles = {meter["id"]: meter["role"] for meter in site["meters"]}
    used: dict[str, int] = defaultdict(int)
    for meter in meters:
        used[roles[meter["id"]]] += meter["register_end_j"] - meter["register_start_j"]
    return [used[role] for role in ("own_generation", "import", "export", "factory", "mining")]


def wanted_postings(  # noqa: PLR0917
    site: dict[str, Any], hour: dict[str, Any], said: dict[str, Any], meters: list[dict[str, Any]], key: str, wall_ms: int
) -> list[dict[str, Any]]:
    """A quarter hour's postings but for their ids, as meters and prices ask for them; ``said`` has residual and allocation."""
    own, bought, sold, factory, mining = used_energy(site, meters)
    residual, stayed = own + bought - factory - mining - sold, max(0, own - sold)
    own_factory = min(factory, stayed)
    own_mining = min(mining, stayed - own_factory)
    grid = mining - own_mining
    assert residual == said["residual_j"]
    assert said["allocation"] == {
        "own_factory_j": own_factory,
        "own_mining_j": own_mining,
        "grid_mining_j": grid,
        "grid_factory_j": factory - own_factory,
    }
    made = []

    def add(name: str, text: str, lines: list[list[Any]], source: dict[str, Any]) -> None:
        if lines:
            when = {"time_ms": hour["start_utc_s"] * 1000, "wall_ms": wall_ms, "reverses": None}
            named = {"key": key + name, "event": name.split(".", maxsplit=1)[0], "text": text}
            made.append({**named, **when, "lines": lines, "source": source})

    uses = [("E30", factory), ("E40", mining), ("E50", sold), ("E90", max(0, residual))]
    sources = [("E10", own), ("E20", bought), ("E90", max(0, -residual))]
    joules = [[a, "debit", "J", v] for a, v in uses if v] + [[a, "credit", "J", v] for a, v in sources if v]
    add("energy", "Energy of the quarter hour", joules, {})
    prices = hour["prices"]
    quoted = {"price_source": prices["source"], "published_ms": prices["published_ms"]}
    room = min(own_mining, max(0, site["export_limit_w"] * hour["duration_s"] - sold))
    net = prices["spot"] + prices["export_premium"] - prices["export_fee"]
    lines_of = pair("7100", "7200", "EUR", half_even(room * max(0, net), 360_000))
    add("own_energy", "Own energy used for mining", lines_of, {**quoted, "net_export_cent_per_mwh": net, "energy_j": room})
    for name, price in [["spot", prices["spot"]], *prices["import"]]:
        value = half_even(bought * price, 360_000)
        borne = abs(value) * min(grid, bought) // max(1, bought) * (-1 if value < 0 else 1)
        lines_of = pair("5100", "2100", "EUR", borne) + pair("5110", "2100", "EUR", value - borne)
        source = {**quoted, "component": name, "price_cent_per_mwh": price, "energy_j": bought}
        add(f"grid_energy.{name}", f"Bought energy: {name}", lines_of, source)
    names = ("spot", "export_premium", "export_fee")
    spot, premium, fee = (half_even(sold * prices[name], 360_000) for name in names)
    lines_of = pair("1200", "4200", "EUR", spot) + pair("1210", "4210", "EUR", premium) + pair("5200", "1200", "EUR", fee)
    of_prices = zip(("spot_cent_per_mwh", "premium_cent_per_mwh", "fee_cent_per_mwh"), names, strict=True)
    add("export", "Sold energy", lines_of, {**quoted, "energy_j": sold, **{said: prices[name] for said, name in of_prices}})
    return made


def mirrored(posting: dict[str, Any], key: str, before: str, wall_ms: int) -> dict[str, Any]:
    sides = {"debit": "credit", "credit": "debit"}
    return {
        **{name: posting[name] for name in ("source", "time_ms")},
        "key": f"{key}reversed.{posting['key'].removeprefix(before)}",
        "event": f"{posting['event']}_reversed",
        "text": "A later reading replaces this",
        "lines": [[account, sides[side], asset, amount] for account, side, asset, amount in posting["lines"]],
        "reverses": posting["id"],
        "wall_ms": wall_ms,
    }


def test_energy_and_its_postings_follow_from_meters_and_prices() -> None:
    assert energy_holds(GOLDEN) > 25


def energy_holds(file: Path) -> int:
    """Hold each quarter hour's postings against its meters and prices, in whichever later line they stand; how many there are."""
    site: dict[str, Any] = {}
    ends: dict[str, int] = {}
    hours: dict[int, dict[str, Any]] = {}
    wanted: list[dict[str, Any]] = []
    posted: list[dict[str, Any]] = []
    checked = 0
    for line in lines(file):
        data = line.data
        if line.kind == "site":
            site = data
        if line.kind == "quarter_hour":
            hours[data["start_utc_s"]] = data
            known = all(meter["register_end_j"] is not None for meter in data["meters"])
            starts = [(meter["id"], meter["register_start_j"]) for meter in data["meters"]]
            assert all(ends.get(name, start) == start for name, start in starts if start is not None)
            ends = {meter["id"]: meter["register_end_j"] for meter in data["meters"] if meter["register_end_j"] is not None}
            key = f"interval:{line.stream}:{data['start_utc_s'] * 1000}:"
            if known:
                wanted += wanted_postings(site, data, data, data["meters"], key, data["wall_end_ms"])
            else:
                assert data["residual_j"] is data["allocation"] is None
        if line.kind == "correction":
            hour = hours[data["start_utc_s"]]
            late = {meter["id"]: meter for meter in data["meters"]}
            meters = [late.get(meter["id"], meter) for meter in hour["meters"]]
            assert all(meter["register_end_j"] is None for meter in hour["meters"] if meter["id"] in late)
            prefix = f"correction:{line.stream}:{data['start_utc_s'] * 1000}:"
            key, before = f"{prefix}{data['number']}:", f"{prefix}{data['number'] - 1}:"
            stand = [posting for posting in posted if posting["key"].startswith(before)]
            stand = [posting for posting in stand if posting["reverses"] is None]
            wanted += [mirrored(posting, key, before, data["wall_ms"]) for posting in stand]
            wanted += wanted_postings(site, hour, data, meters, key, data["wall_ms"])
        if line.kind == "postings":
            posted += data["postings"]
            found = [p for p in data["postings"] if p["key"].startswith(("interval:", "correction:"))]
            assert [{name: value for name, value in p.items() if name != "id"} for p in found] == wanted
            checked += len(wanted)
            wanted = []
    assert [posting["id"] for posting in posted] == list(range(1, len(posted) + 1))
    assert len({posting["key"] for posting in posted}) == len(posted)
    assert not wanted
    return checked


def check_block(block: dict[str, Any], scripts: set[str]) -> bytes:
    """Header, coinbase and value of a block; what it commits to."""
    header, coinbase = bytes.fromhex(block["header"]), bytes.fromhex(block["coinbase"])
    assert double(header)[::-1].hex() == block["hash"]
    assert root(coinbase, block["branch"]) == header[36:68]
    height, commitment, outputs = taken_apart(coinbase)
    assert height == block["height"]
    assert sum(value for value, script in outputs if script in scripts) == block["value_sat"]
    return commitment


def test_blocks_pay_the_script_and_commit_to_lines_before_them() -> None:
    blocks: dict[str, dict[str, Any]] = {}
    accepted: dict[tuple[Any, ...], int] = defaultdict(int)
    script, scripts, accrued, of_sites = "", set[str](), 0, 0
    for line in lines():
        data = line.data
        if line.kind == "site":
            script = data["payout_script"]
        if line.kind == "books":
            assert [chain["name"] for chain in data["chains"]] == ["bitcoin/regtest"]
            scripts = {wallet["script"] for wallet in data["wallets"]}
        for place, round_, at, shares, _ in data.get("work", ()):
            worker, _, scale = data["workers"][place]
            work = TWO_256 // (int(data["targets"][at], 16) + 1)
            accepted[data["start_utc_s"], round_, worker, scale] += shares * work
        for block in data.get("blocks", ()):
            assert block["hash"] not in blocks
            blocks[block["hash"]] = block
            root_there = check_block(block, scripts if line.kind == "postings" else {script})
            if line.kind == "postings":
                assert block["chain"] == "bitcoin/regtest"
                continue
            of_sites += 1
            assert commits(line, block["commitment"], root_there)
            assert int(block["hash"], 16) <= int(block["target"], 16)
            weights = [int(row[7]) for row in block["attribution"]]
            assert [row[8] for row in block["attribution"]] == split(block["value_sat"], weights)
            for start_s, round_, worker, _, scale, _, work, represented, _ in block["attribution"]:
                assert int(work) * int(scale) == int(represented)
                if line.kind != "end":
                    accepted[start_s, round_, worker, scale] -= int(work)
            mainnet_work = TWO_256 // (int(block["mainnet_target"], 16) + 1)
            assert block["value_sat"] <= sum(weights) * block["reward_sat"] // mainnet_work
        for posting in data.get("postings", ()):
            if posting["event"] == "coinbase_accrued":
                accrued += 1
                value = blocks[posting["source"]["block"]]["value_sat"]
                euros = half_even(value * posting["source"]["price_cent_per_btc"], 10_000)
                assert posting["lines"] == pair("1100", "3100", "BTC", value) + pair("1100", "2800", "EUR", euros)
    assert (len(blocks), of_sites, accrued) == (4, 3, 3)
    assert min(accepted.values()) >= 0


def test_best_headers_were_hashed_on_coinbases_that_commit_to_lines_before_them() -> None:
    seen: set[bytes] = set()
    script = ""
    for line in lines():
        data = line.data
        script = data.get("payout_script", script)
        for best in data.get("best", ()):
            rows = [row for row in data["work"] if data["workers"][row[0]][2] == best["scale"]]
            assert len(best["headers"]) == min(32, sum(row[3] for row in rows))
            loosest = max(int(data["targets"][row[2]], 16) for row in rows)
            for header, job, extranonce in best["headers"]:
                parts, raw = data["jobs"][job], bytes.fromhex(header)
                coinbase = bytes.fromhex(parts["prefix"] + extranonce + parts["suffix"])
                height, commitment, outputs = taken_apart(coinbase)
                assert root(coinbase, parts["branch"]) == raw[36:68]
                assert int.from_bytes(double(raw), "little") <= loosest
                assert {paid for value, paid in outputs if value} == {script}
                assert height in {row[1] for row in rows}
                assert commits(line, parts["commitment"], commitment)
                assert raw not in seen
                seen.add(raw)
    assert len(seen) > 4


def test_the_file_has_a_line_of_every_kind() -> None:
    kinds = {"site", "quarter_hour", "correction", "books", "postings", "key", "end"}
    assert {line.kind for line in lines()} == kinds
    assert {line.stream for line in lines() if line.kind == "key"} == {"backnang", "books"}
