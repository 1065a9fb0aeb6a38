"""The HTTP API: uploads of sources, search, opening and playback, the register, holds, certificates."""
