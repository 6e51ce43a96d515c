"""What the chat serves over plain HTTP."""
