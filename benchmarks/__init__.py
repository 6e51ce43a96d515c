"""Chat servers side by side: a load generator, peers that do the same work, one table."""
