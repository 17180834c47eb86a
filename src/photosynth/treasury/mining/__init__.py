"""The mining part of the books: the energy of a site's quarter hours, whose work a block was, and what its coinbase paid."""
