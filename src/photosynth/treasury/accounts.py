"""The chart of accounts. Numbers are fixed: reports, exports and evidence refer to them."""

from typing import Literal

Side = Literal["debit", "credit"]

COINS_IMMATURE = "1100"
COINS_AVAILABLE = "1110"
INCOME_ACCRUED = "1150"
INCOME_CLAIMED = "1160"
EXPORT_RECEIVABLE = "1200"
PREMIUM_RECEIVABLE = "1210"
ENERGY_SUPPLIER = "2100"
DEFERRED_REWARD = "2800"
OPENING_BALANCE = "3000"
COIN_CONTRA = "3100"
MINING_REVENUE = "4100"
INCOME_OF_NODES = "4150"
EXPORT_REVENUE = "4200"
PREMIUM_REVENUE = "4210"
GRID_ENERGY_MINING = "5100"
GRID_ENERGY_FACTORY = "5110"
MARKETING_FEE = "5200"
OWN_ENERGY_CHARGED = "7100"
OWN_ENERGY_CREDITED = "7200"
SUSPENSE = "9000"
E_OWN = "E10"
E_IMPORT = "E20"
E_FACTORY = "E30"
E_MINING = "E40"
E_EXPORT = "E50"
E_RESIDUAL = "E90"

ACCOUNTS: dict[str, str] = {
    COINS_IMMATURE: "Coins, immature",
    COINS_AVAILABLE: "Coins, available",
    INCOME_ACCRUED: "Income of nodes, accrued",
    INCOME_CLAIMED: "Income of nodes, claimed",
    EXPORT_RECEIVABLE: "Receivable for exported energy",
    PREMIUM_RECEIVABLE: "Receivable for market premium",
    ENERGY_SUPPLIER: "Energy supplier",
    DEFERRED_REWARD: "Deferred mining reward",
    OPENING_BALANCE: "Opening balances",
    COIN_CONTRA: "Coins mined, contra in satoshis",
    MINING_REVENUE: "Mining revenue",
    INCOME_OF_NODES: "Revenue of nodes",
    EXPORT_REVENUE: "Revenue from exported energy",
    PREMIUM_REVENUE: "Market premium",
    GRID_ENERGY_MINING: "Grid energy for mining",
    GRID_ENERGY_FACTORY: "Grid energy for the factory",
    MARKETING_FEE: "Direct marketing fee",
    OWN_ENERGY_CHARGED: "Own energy charged to mining (management book)",
    OWN_ENERGY_CREDITED: "Own energy credited (management book)",
    SUSPENSE: "Suspense: to be cleared up",
    E_OWN: "Own generation",
    E_IMPORT: "Import from the grid",
    E_FACTORY: "Factory",
    E_MINING: "Mining",
    E_EXPORT: "Export to the grid",
    E_RESIDUAL: "Residual of the meters",
}


FOR_INCOME = frozenset(
    account
    for account in ACCOUNTS
    if not account.startswith("E") and account not in (COINS_IMMATURE, COIN_CONTRA, DEFERRED_REWARD)
)
"""What a network's rules may post to: all but what only blocks and quarter hours move, as the evidence of them holds."""


def account_name(account: str) -> str:
    """The name of an account; its number where it is none of the chart."""
    return ACCOUNTS.get(account, account)
