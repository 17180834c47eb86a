"""The Bitcoin node of a fleet file: the embedded one, or a bitcoind that the operator has."""

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import BitcoinNode
from photosynth.fleet import MiningSite
from photosynth.operations.state import StateFolder


async def open_bitcoin_node(mining: MiningSite, state: StateFolder, demonstration: DemonstrationTarget | None) -> BitcoinNode:
    """Open it. Raises NodeUnavailableError with what to do."""
    node = mining.node
    if node.run == "embedded":
        from photosynth.bitcoin_node import open_node

        script = mining.wallet.output_script()
        return await open_node(state.chain, node.chain, payout_scripts=[script], demonstration=demonstration)
    from photosynth.networks.bitcoin.node import BitcoindNode
    from photosynth.networks.bitcoin.rpc import CredentialsFile, UserWithPasswordFile

    how, url = node.credentials, node.endpoints["rpc"]
    assert how is not None, "a node that somebody else runs is declared with its credentials"
    if how.cookie_file is not None:
        return BitcoindNode(url, CredentialsFile(how.cookie_file), demonstration, state_file=state.node_state)
    assert how.user is not None
    assert how.password_file is not None
    return BitcoindNode(url, UserWithPasswordFile(how.user, how.password_file), demonstration, state_file=state.node_state)
