"""Documents for the tests of the HTML page: of given cases, and with a name that would do harm as markup."""

from collections import Counter

from documents import make_document

EVIL = '<img src=x onerror="hacked=1">\'"</script><script>hacked=1</script>&amp;\x1b[31m\u202e'


def holding(*cases, **changes):
    """A document of these cases."""
    counts = Counter(one["verdict"] for one in cases)
    failed = any(one["failed"] for one in cases)
    return make_document(0, claims=[], **changes) | {
        "cases": list(cases),
        "counts": dict(counts),
        "failed": failed,
    }
