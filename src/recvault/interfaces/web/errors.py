"""What a page says when something did not work: a heading and what to do, in the reader's language.

The services' own sentences are translated where the catalogue has them; else the general one for the kind of error stands
alone, so that no page mixes languages.
"""

from __future__ import annotations

from recvault.domain import errors
from recvault.interfaces.web import words
from recvault.interfaces.web.languages import DEFAULT, Wording, translations
from recvault.interfaces.web.words import N_
from recvault.services.grounds import AccessRefused

# The first class that matches counts, so the special stand before the general.
GENERAL: tuple[tuple[type[Exception], str, str], ...] = (
    (
        errors.Destroyed,
        N_("Destroyed"),
        N_("This communication was stored here and has been destroyed. It will not come back."),
    ),
    (
        errors.Forbidden,
        N_("Not allowed"),
        N_("None of your roles covers this. Ask for the role if your work needs it."),
    ),
    (
        errors.LimitReached,
        N_("Enough for now"),
        N_("You have searched or opened as much as is allowed in one hour. Go on when the next hour begins."),
    ),
    (errors.ObjectNotFound, N_("The recording is missing"), N_("The store does not have it. Tell the administrator.")),
    (errors.NotFound, N_("Not found"), N_("There is no such thing here. Go back and choose again.")),
    (errors.Conflict, N_("Already changed"), N_("Somebody was quicker. Go back and look at how it stands now.")),
    (
        errors.InvalidInput,
        N_("Not understood"),
        N_("Something in the form is not as it should be. Go back and mend it."),
    ),
    (
        errors.Unavailable,
        N_("Not available now"),
        N_("A part of the archive does not answer. Try again in a moment; if it lasts, tell the administrator."),
    ),
    (
        errors.Tampered,
        N_("The recording does not verify"),
        N_("What is stored is not what was stored. Nothing of it is shown. Tell the administrator at once."),
    ),
    (
        errors.RecvaultError,
        N_("Internal fault"),
        N_("The archive could not do this. Tell the administrator, with the number below."),
    ),
)


def explained(error: Exception, wording: Wording) -> tuple[str, str]:
    """Heading and text for an error."""
    heading, general = next(
        ((heading, text) for kind, heading, text in GENERAL if isinstance(error, kind)),
        (N_("Not understood"), N_("Something in the form is not as it should be. Go back and mend it.")),
    )
    return wording.text(heading), sentence(error, wording) or wording.text(general)


def sentence(error: Exception, wording: Wording) -> str | None:
    """The error's own sentence in the reader's language, None where there is none."""
    if isinstance(error, AccessRefused):
        return wording.word(words.REFUSALS, error.reason)
    text = str(error)
    return tidy(wording.text(text)) if known(text) else None


def known(text: str) -> bool:
    """Whether a sentence was written for people here: then the catalogue has it, and a test holds every language to it."""
    return translations(DEFAULT).gettext(text) != text


def tidy(text: str) -> str:
    """A sentence as people write one: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


# Sentences that the page itself raises.
OWN = (
    N_(
        "this page opens only on the archive's own machine as it is configured; use it there or through an SSH tunnel, "
        "or set server.public_url, server.trusted_proxies and second factors"
    ),
    N_("this is not the archive's own address; open it by the https address that your administrator gave you"),
    N_("give the token a name of 1 to 60 characters that tells what uses it"),
    N_("an API token has one or more of the roles that its owner has now"),
    N_("a date is written as 22.11.2026"),
    N_("choose what you need it for"),
    N_("customers are hidden from trainers; search by time, agent or queue"),
    N_("the form was not sent as the page sends it; open the page again"),
    N_("choose a reason or give a case reference"),
    N_("there is no customer of this number; search for the customer first"),
    N_("choose a person"),
    N_("choose a role"),
    N_("name the teams or queues, or choose everything and name none"),
    N_("that purpose is not one of yours; choose another"),
    N_("there is no destroyed communication with this id"),
)
