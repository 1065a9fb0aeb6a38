"""Real servers for the tests, on loopback, with their data in one short temporary directory for each run."""
