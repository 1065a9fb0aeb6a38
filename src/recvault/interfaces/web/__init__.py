"""The plain page: search, play, hold, certificates, for people at this machine. Rendered on the server, no framework."""
