"""Stand-ins for the outside world, each beside a contract suite in tests/contracts/ that the real thing passes too."""
