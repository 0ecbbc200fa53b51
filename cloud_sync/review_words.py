"""What the review pages say, in words."""

OUTCOME_WORDS = {
    "agree": "Machine and inspector agree",
    "machine_leak": "Machine says leak, inspector ok",
    "human_leak": "Inspector says leak, machine ok",
    "unsure": "The machine was unsure",
    "not_tested": "The machine could not test this unit",
    "undecided": "No decision by an inspector",
    "machine_only": "The machine decided alone",
}
SPLIT_WORDS = {
    "train": "Goes to the training set: the machine was wrong about something familiar.",
    "test": "Goes to the test set: the machine was wrong about something unfamiliar.",
    "pool": "Goes to the pool: labelled, but no mistake of the machine.",
    None: "Becomes no example.",
}
WHY_WORDS = {
    "disagreement": "Machine and inspector disagreed, or the challenger said something else than the champion.",
    "unsure": "The machine was unsure.",
    "not_tested": "The machine could not test this unit.",
    "audit": "A random audit: machine and inspector agreed, and somebody had to check.",
    "challenge": "A challenge: a part whose truth is known was shown to the station.",
    "none": "Somebody opened it.",
}
PURPOSE_WORDS = {
    "first": "",
    "second": "You gave a second opinion.",
    "adjudication": "Two experts had disagreed, and you settled it.",
    "gold": "The answer was known before: this look measures the experts.",
}
STATE_WORDS = {
    "single": "One expert has judged so far.",
    "agreed": "The experts agree.",
    "conflict": "The experts disagree: a third one will settle it. Until then this case is no example.",
    "adjudicated": "The experts disagreed, and a third one has settled it.",
}
NO_VIDEO = "There is no video to judge by, so only “cannot tell” is possible."
STALE = (
    "You have judged this case since this page was opened. Nothing was lost and nothing was added: look at your "
    "judgement first, and judge again if you still want to."
)


def unreadable(fault: str) -> str:
    """What to tell an expert of a form that is none; `fault` names the field."""
    if "$.marks" in fault:
        return "The marks on the picture could not be read: set them again, or leave them out."
    if "$.note" in fault:
        return "The note is too long: 2000 characters are possible."
    return "Choose leak, ok or cannot tell."
