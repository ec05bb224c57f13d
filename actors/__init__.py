"""The only rooms that know Ray: the pool, the actor in it, and what the machine has to offer."""
