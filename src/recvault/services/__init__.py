"""One journey a file, read top to bottom. Services see ports and pure rules, never an adapter."""
