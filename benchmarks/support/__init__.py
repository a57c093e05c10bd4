"""Goals, servers, generated items, peers and orders of measuring that the benchmarks share."""
