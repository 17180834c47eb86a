"""How a bitcoind is run: the flags that mining and the books need, and why.

Source: ``bitcoind -help`` of Bitcoin Knots 29.4; the same flags exist in Bitcoin Core 29.
"""

from photosynth.networks.bitcoin.network import P2P_PORTS, RPC_PORTS
from photosynth.networks.grammar import Access, Command, Flag, Place, Port, Recipe, Volume

GIGABYTE = 10**9

BITCOIND = Recipe(
    name="bitcoind",
    version=1,
    software="Bitcoin Core or Bitcoin Knots, 29 or later",
    tested=("Bitcoin Knots 29.4.3 on regtest, against the real software",),
    program="bitcoind",
    flags=(
        Flag("-chain", "{chain}", "main, test, testnet4, signet or regtest"),
        Flag("-datadir", "{data}", "blocks and coins lie on the volume"),
        Flag("-server", "", "templates, blocks and health are asked for over JSON-RPC"),
        Flag("-rpcbind", "127.0.0.1:{rpc_port}", "JSON-RPC never listens where others can reach it"),
        Flag("-rpcallowip", "127.0.0.1", "and answers nobody else"),
        Flag("-rpcthreads", "16", "a long poll holds one of them until the next block"),
        Flag("-rpcworkqueue", "64", "calls that wait for a thread"),
        Flag("-bind", "{p2p_bind}:{p2p_port}", "peers; on regtest of this machine alone"),
        Flag("-blockmaxweight", "3996000", "Knots fills only 1,200,000 by default: fees would be left lying"),
        Flag("-prune", "0", "the books read any block again after a reorganisation"),
        Flag("-dbcache", "{cache_mib}", "MiB of coins in memory; 450 runs, 4000 syncs several times faster"),
        Flag("-disablewallet", "", "no key that can sign away funds is kept beside the node"),
        Flag("-printtoconsole", "1", "the runtime keeps the log"),
        Flag("-nodebuglogfile", "", "and no second one grows on the volume"),
    ),
    ports=(
        Port("rpc", 8332, public=False, purpose="JSON-RPC: 18332 test, 48332 testnet4, 38332 signet, 18443 regtest"),
        Port("p2p", 8333, public=True, purpose="peers: 18333 test, 48333 testnet4, 38333 signet, 18444 regtest"),
    ),
    volumes=(Volume("data", "/data", 900 * GIGABYTE, precious=False, purpose="blocks and coins; can be downloaded again"),),
    health=(
        "getblockchaininfo: blocks equals headers, initialblockdownload is false (regtest: no matter)",
        "getnetworkinfo: at least one outgoing peer, no warnings",
        "the tip's header is younger than two hours (main)",
    ),
    stop_timeout_s=600,
    upgrade_notes=(
        "Stop it and wait: writing the coins can take minutes; a killed node checks its blocks again at the next start.",
        "A newer version may upgrade the data folder, and an older one then refuses it: copy the folder first.",
        "Core 28 made `warnings` a list; the probe reads both. The coins' `coinbase` mark in scantxoutset needs 25 or later.",
    ),
)

DEFAULT_CACHE_MIB = 450
FOLDERS = {"main": "", "test": "testnet3", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
"""Where in its data folder bitcoind keeps a chain, its cookie among it (Bitcoin Core, ``chainparamsbase.cpp``)."""


def command(place: Place) -> Command:
    """How a bitcoind is started as a child process by this recipe, and how it is spoken to."""
    chain = place.chain
    rpc_port = place.ports.get("rpc", RPC_PORTS[chain])
    arguments = BITCOIND.command(
        chain=chain,
        data=str(place.data),
        rpc_port=rpc_port,
        p2p_bind="127.0.0.1" if chain == "regtest" else "0.0.0.0",  # noqa: S104 - peers are to reach it, and RPC is bound to loopback
        p2p_port=place.ports.get("p2p", P2P_PORTS[chain]),
        cache_mib=DEFAULT_CACHE_MIB,
    )
    access = Access(
        place.name, chain, {"rpc": f"http://127.0.0.1:{rpc_port}"}, cookie_file=place.data / FOLDERS[chain] / ".cookie"
    )
    return Command((str(place.program), *arguments[1:], *place.flags), BITCOIND.stop_timeout_s, access)
