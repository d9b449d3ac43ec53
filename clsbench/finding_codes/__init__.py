"""Stable codes of what the data check finds and of what is refused: what each means, why it is bad and what to do.

``docs/codes.md`` is made from them. Where something is refused, the error is given its code as a text,
``code="CB-L001"``; a test holds the two together.
"""
