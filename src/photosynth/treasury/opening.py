"""Opening balances: what a wallet held before the books looked for it, out of the node's coins, in a posting of its own."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.node import Coin, Tip, hash_text
from photosynth.quantities.value import coins_value_ueur
from photosynth.storage.tables import WALLETS
from photosynth.treasury import accounts as a
from photosynth.treasury.chain import COINBASE_MATURITY, ChainView, Moment, add_coin, opening_prefix
from photosynth.treasury.facts import WalletFact
from photosynth.treasury.journal import Posting, Source, post, times_posted, transfer
from photosynth.treasury.mining.attribution import share_out
from photosynth.treasury.parties import of_wallet


def unopened(tx: Connection, wallets: Sequence[WalletFact]) -> list[WalletFact]:
    """Those of these wallets for which the books do not look yet."""
    looked = sa.select(WALLETS.c.id).where(WALLETS.c.from_height.is_not(None))
    known = set(tx.execute(looked).scalars())
    return [wallet for wallet in wallets if wallet.id not in known]


def open_wallet(
    tx: Connection, view: ChainView, wallet: WalletFact, from_height: int, *, coins: Sequence[Coin], tip: Tip, now: Moment
) -> None:
    """Look for a wallet from a height on; what it held below that, of the coins that the node had at ``tip``, is posted.

    Coins that were spent between that height and the tip were not asked of the node: the books begin without them. All that is
    held is available in the books, also what a young coinbase made; the posting's source says how much that is.
    """
    tx.execute(WALLETS.update().where(WALLETS.c.id == wallet.id).values(from_height=from_height))
    held = [coin for coin in coins if coin.height < from_height]
    value_sat = sum(coin.value_sat for coin in held)
    value_ueur = 0 if now.coin is None else coins_value_ueur(value_sat, now.coin.price_cent_per_btc)
    carried = share_out(value_ueur, [coin.value_sat for coin in held])
    for coin, carrying in zip(held, carried, strict=True):
        outpoint = (coin.txid, coin.index)
        add_coin(
            tx,
            view.chain,
            wallet.id,
            outpoint,
            value_sat=coin.value_sat,
            carrying_ueur=carrying,
            height=coin.height,
            coinbase=coin.coinbase,
        )
    lines = transfer(a.COINS_AVAILABLE, a.OPENING_BALANCE, "BTC", value_sat)
    lines += transfer(a.COINS_AVAILABLE, a.OPENING_BALANCE, "EUR", value_ueur)
    if not lines:
        return
    young = sum(coin.value_sat for coin in held if coin.coinbase and coin.height > tip.height - COINBASE_MATURITY)
    source: Source = {
        "wallet": wallet.id,
        "below_height": from_height,
        "coins": len(held),
        "immature_sat": young,
        "read_at_height": tip.height,
        "read_at_block": hash_text(tip.hash),
        "price_cent_per_btc": None if now.coin is None else now.coin.price_cent_per_btc,
        "price_source": None if now.coin is None else now.coin.source,
    }
    prefix = opening_prefix(view.chain, wallet.id)
    text = f"What {wallet.id} held before block {from_height}"
    of_whom = of_wallet(lines, wallet.id, wallet.party)
    key = f"{prefix}{times_posted(tx, prefix) + 1}"
    post(tx, Posting(key, now.site_ms, now.wall_ms, "opening_balance", text, of_whom, source))
