"""The language of smart playlists: what is on them (`where`), and in which order (`order`).

`parse_rule` and `parse_order` turn text into trees of `daemon.rules.tree`, `format_rule` and
`format_order` write them back in one way. Nothing here knows of SQL; a tree holds field names of
`daemon.rules.fields` and plain values.
"""

from daemon.rules.parsing import RuleError, parse_order, parse_rule
from daemon.rules.writing import format_order, format_rule

__all__ = ["RuleError", "format_order", "format_rule", "parse_order", "parse_rule"]
