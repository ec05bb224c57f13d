"""The ways of continuing a shot, each a pure function that builds the rows of the continuity matrix."""
