"""The job: events in, commands out. Pure: no clock, no randomness, no I/O."""
