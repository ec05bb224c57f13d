"""Text to shots: parsers, and a deterministic director. Pure: no clock, no randomness, no I/O."""
