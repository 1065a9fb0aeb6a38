"""What the doctor says of how people sign in: whether second factors are asked for, and whether breached passwords are known.

A list that cannot be read is a fault: nobody could set a password then.
"""

from __future__ import annotations

from recvault.bootstrap.sign_in import breached_passwords
from recvault.config import Config


def sign_in_state(config: Config) -> tuple[str, str]:
    """What was found and, when something should be better, the mend; else that is empty. ConfigurationError for a list that
    cannot be used."""
    breached = breached_passwords(config)
    known = "breached passwords are not looked up" if breached is None else f"breached passwords: {breached.check()}"
    if config.access.second_factor == "off":
        return (
            f"a password alone lets people in; {known}",
            'where a desk is used, set access.second_factor = "required"',
        )
    return f"second factors are asked for; {known}", ""
