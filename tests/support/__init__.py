"""What tests stand on: sites, backends, ledgers and agents, as a centre has them."""
