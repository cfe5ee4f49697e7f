"""The 125 pages of MiniWoB++ that BrowserGym registers: offered to agents, or not and why not.

A page is offered where the actions of our browser tool can solve it with what its observation says.
"""

from __future__ import annotations

from instar.types import Record

__all__ = ["CAVEATS", "NAMES", "UNSUPPORTED", "Known", "catalogue"]

_OFFERED = """
book-flight book-flight-nodelay buy-ticket choose-date choose-date-easy choose-date-medium
choose-date-nodelay choose-list click-button click-button-sequence click-checkboxes
click-checkboxes-large click-checkboxes-soft click-checkboxes-transfer click-collapsible
click-collapsible-2 click-collapsible-2-nodelay click-collapsible-nodelay click-dialog
click-dialog-2 click-link click-menu click-option click-scroll-list click-tab click-tab-2
click-tab-2-easy click-tab-2-hard click-tab-2-medium click-test click-test-2 click-test-transfer
click-widget copy-paste copy-paste-2 email-inbox-delete email-inbox-important enter-date
enter-password enter-text enter-text-2 enter-text-dynamic enter-time find-greatest find-word
focus-text focus-text-2 form-sequence form-sequence-2 form-sequence-3 generate-number guess-number
login-user login-user-popup multi-layouts multi-orderings odd-or-even read-table read-table-2
scroll-text scroll-text-2 search-engine simple-algebra simple-arithmetic terminal text-editor
text-transform unicode-test use-autocomplete use-autocomplete-nodelay use-colorwheel use-slider
use-slider-2 use-spinner
"""
_LEFT_OUT = {
    "needs dragging": """
        daily-calendar drag-box drag-circle drag-cube drag-items drag-items-grid drag-shapes
        drag-shapes-2 drag-single-shape drag-sort-numbers resize-textarea""",
    "needs drawing": "draw-circle draw-line",
    "needs pointing at a place": """
        bisect-angle circle-center find-midpoint grid-coordinate hot-cold right-angle""",
    "needs looking at a picture": """
        ascending-numbers click-color click-menu-2 click-shades click-shape count-shape count-sides
        identify-shape number-checkboxes tic-tac-toe use-colorwheel-2 visual-addition""",
    "needs selecting a part of a text": "highlight-text highlight-text-2",
    "needs scrolling in a box that is disabled": "sign-agreement",
    "needs acting at a moment": "stock-market",
    "has parts to click that the observation does not tell apart": """
        click-pie click-pie-nodelay email-inbox email-inbox-forward email-inbox-forward-nl
        email-inbox-forward-nl-turk email-inbox-nl-turk email-inbox-noscroll email-inbox-reply
        email-inbox-star-reply navigate-tree order-food phone-book social-media social-media-all
        social-media-some""",
}

NAMES = tuple(_OFFERED.split())
"""Pages that are offered."""

UNSUPPORTED = {name: why for why, names in _LEFT_OUT.items() for name in names.split()}
"""What the others need that the tool cannot do."""

CAVEATS = {
    "click-widget": "a text field and a text area look alike in the observation",
    "email-inbox-delete": "trash and star have no names; only their order tells them apart",
    "email-inbox-important": "trash and star have no names; only their order tells them apart",
    "multi-layouts": "in one of its five layouts the observation takes the button for text",
    "text-editor": "buttons and colours have no names; only their order tells them apart",
}
"""What is not told by the observation of some that are offered."""


class Known(Record):
    """A page that exists.

    Attributes:
        name: Its name.
        offered: Whether agents get it.
        note: Why not, or what its observation does not tell.
    """

    name: str
    offered: bool
    note: str = ""


def catalogue() -> list[Known]:
    """All pages by name."""
    offered = [Known(name=n, offered=True, note=CAVEATS.get(n, "")) for n in NAMES]
    others = [Known(name=n, offered=False, note=why) for n, why in UNSUPPORTED.items()]
    return sorted((*offered, *others), key=lambda page: page.name)
