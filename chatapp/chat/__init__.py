"""What happens when somebody joins, speaks, reads or leaves."""
