"""The Bitcoin node of a fleet file: the embedded one, or a bitcoind that the operator has."""

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import BitcoinNode
from photosynth.fleet import Fleet
from photosynth.operations.state import StateFolder


async def open_bitcoin_node(fleet: Fleet, state: StateFolder, demonstration: DemonstrationTarget | None) -> BitcoinNode:
    """Open it. Raises NodeUnavailableError with what to do."""
    choice = fleet.bitcoin.node
    if choice.embedded:
        from photosynth.bitcoin_node import open_node

        script = fleet.bitcoin.script()
        return await open_node(state.chain, fleet.bitcoin.network, payout_scripts=[script], demonstration=demonstration)
    from photosynth.networks.bitcoin import BitcoindNode, CredentialsFile, UserWithPasswordFile

    assert choice.bitcoind is not None
    cookie, user, password_file = choice.credentials()
    if cookie is not None:
        return BitcoindNode(choice.bitcoind, CredentialsFile(cookie), demonstration, state_file=state.node_state)
    assert user is not None
    assert password_file is not None
    auth = UserWithPasswordFile(user, password_file)
    return BitcoindNode(choice.bitcoind, auth, demonstration, state_file=state.node_state)
