"""Another verifier, written from docs/reference/evidence.md alone with nothing of the package: the page says enough."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GOLDEN = Path(__file__).parent / "golden_evidence.jsonl"
TWO_256 = 1 << 256


def bodies() -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Every line's hash and body, after its seal was checked."""
    previous, key = bytes(32), None
    for raw in GOLDEN.read_bytes().splitlines():
        text = raw[len(b'{"body":') : raw.rindex(b',"hash":"')]
        line, body = json.loads(raw), json.loads(text)
        assert json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() == text
        digest = hashlib.sha256(previous + text).digest()
        assert digest.hex() == line["hash"]
        key = key or Ed25519PublicKey.from_public_bytes(bytes.fromhex(body["public_key"]))
        key.verify(bytes.fromhex(line["signature"]), b"photosynth evidence, version 1\n" + digest)
        assert body["type"] != "end" or body["head"] == previous.hex()
        previous = digest
        yield digest, body


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


def wanted_postings(header: dict[str, Any], record: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """The lines of a quarter hour's postings by name, as its meters and prices ask for them."""
    roles = {meter["id"]: meter["role"] for meter in header["meters"]}
    used: dict[str, int] = defaultdict(int)
    for meter in record["meters"]:
        used[roles[meter["id"]]] += meter["register_end_j"] - meter["register_start_j"]
    own, bought, sold, factory, mining = (used[role] for role in ("own_generation", "import", "export", "factory", "mining"))
    residual, stayed = own + bought - factory - mining - sold, max(0, own - sold)
    own_factory = min(factory, stayed)
    own_mining = min(mining, stayed - own_factory)
    grid = mining - own_mining
    assert residual == record["residual_j"]
    assert record["allocation"] == {
        "own_factory_j": own_factory,
        "own_mining_j": own_mining,
        "grid_mining_j": grid,
        "grid_factory_j": factory - own_factory,
    }
    uses = [("E30", factory), ("E40", mining), ("E50", sold), ("E90", max(0, residual))]
    sources = [("E10", own), ("E20", bought), ("E90", max(0, -residual))]
    made = {"energy": [[a, "debit", "J", v] for a, v in uses if v] + [[a, "credit", "J", v] for a, v in sources if v]}
    prices = record["prices"]
    room = max(0, header["export_limit_w"] * record["duration_s"] - sold)
    net = max(0, prices["spot"] + prices["export_premium"] - prices["export_fee"])
    made["own_energy"] = pair("7100", "7200", "EUR", half_even(min(own_mining, room) * net, 360_000))
    for name, price in [["spot", prices["spot"]], *prices["import"]]:
        value = half_even(bought * price, 360_000)
        borne = abs(value) * min(grid, bought) // max(1, bought) * (-1 if value < 0 else 1)
        made[f"grid_energy.{name}"] = pair("5100", "2100", "EUR", borne) + pair("5110", "2100", "EUR", value - borne)
    spot, premium, fee = (half_even(sold * prices[name], 360_000) for name in ("spot", "export_premium", "export_fee"))
    made["export"] = pair("1200", "4200", "EUR", spot) + pair("1210", "4210", "EUR", premium) + pair("5200", "1200", "EUR", fee)
    return {name: lines for name, lines in made.items() if lines}


def test_energy_and_its_postings_follow_from_meters_and_prices() -> None:
    header: dict[str, Any] = {}
    ends: dict[str, int] = {}
    records = 0
    for _, body in bodies():
        if body["type"] == "header":
            header = body
        if body["type"] == "record":
            records += 1
            assert all(ends.get(meter["id"], meter["register_start_j"]) == meter["register_start_j"] for meter in body["meters"])
            ends = {meter["id"]: meter["register_end_j"] for meter in body["meters"]}
            start = f"interval:{header['site']}:{body['start_utc_s'] * 1000}:"
            found = {p["key"].removeprefix(start): p["lines"] for p in body["postings"] if p["key"].startswith(start)}
            assert list(found.items()) == list(wanted_postings(header, body).items())
    assert records == 2


def test_blocks_pay_the_script_and_commit_to_lines_before_them() -> None:
    heads: set[bytes] = set()
    blocks: dict[str, dict[str, Any]] = {}
    accepted: dict[tuple[Any, ...], int] = defaultdict(int)
    script, accrued = "", 0
    for digest, body in bodies():
        script = body.get("payout_script", script)
        for place, round_, at, shares, _ in body.get("work", ()):
            worker, _, scale = body["workers"][place]
            work = TWO_256 // (int(body["targets"][at], 16) + 1)
            accepted[body["start_utc_s"], round_, worker, scale] += shares * work
        for block in body.get("blocks", ()):
            header, coinbase = bytes.fromhex(block["header"]), bytes.fromhex(block["coinbase"])
            assert double(header)[::-1].hex() == block["hash"]
            assert int.from_bytes(double(header), "little") <= int(block["target"], 16)
            assert root(coinbase, block["branch"]) == header[36:68]
            height, commitment, outputs = taken_apart(coinbase)
            assert height == block["height"]
            assert outputs == [(block["value_sat"], script)]
            assert commitment in heads
            weights = [int(row[7]) for row in block["attribution"]]
            assert [row[8] for row in block["attribution"]] == split(block["value_sat"], weights)
            for start_s, round_, worker, _, scale, _, work, represented, _ in block["attribution"]:
                assert int(work) * int(scale) == int(represented)
                accepted[start_s, round_, worker, scale] -= int(work)
            mainnet_work = TWO_256 // (int(block["mainnet_target"], 16) + 1)
            assert block["value_sat"] <= sum(weights) * block["reward_sat"] // mainnet_work
            blocks[block["hash"]] = block
        for posting in body.get("postings", ()):
            if posting["event"] == "coinbase_accrued":
                accrued += 1
                value = blocks[posting["source"]["block"]]["value_sat"]
                euros = half_even(value * posting["source"]["price_cent_per_btc"], 10_000)
                assert posting["lines"] == pair("1100", "3100", "BTC", value) + pair("1100", "2800", "EUR", euros)
        heads.add(digest)
    assert len(blocks) == accrued == 2
    assert min(accepted.values()) >= 0


def test_best_headers_were_hashed_on_coinbases_that_commit_to_lines_before_them() -> None:
    heads: set[bytes] = set()
    seen: set[bytes] = set()
    script = ""
    for digest, body in bodies():
        script = body.get("payout_script", script)
        for best in body.get("best", ()):
            rows = [row for row in body["work"] if body["workers"][row[0]][2] == best["scale"]]
            assert len(best["headers"]) == min(32, sum(row[3] for row in rows))
            loosest = max(int(body["targets"][row[2]], 16) for row in rows)
            for header, job, extranonce in best["headers"]:
                parts, raw = body["jobs"][job], bytes.fromhex(header)
                coinbase = bytes.fromhex(parts["prefix"] + extranonce + parts["suffix"])
                height, commitment, outputs = taken_apart(coinbase)
                assert root(coinbase, parts["branch"]) == raw[36:68]
                assert int.from_bytes(double(raw), "little") <= loosest
                assert {paid for value, paid in outputs if value} == {script}
                assert height in {row[1] for row in rows}
                assert commitment in heads
                assert raw not in seen
                seen.add(raw)
        heads.add(digest)
    assert len(seen) > 4
