"""Between workers: finding each other, passing connections on, telling of what was committed."""
