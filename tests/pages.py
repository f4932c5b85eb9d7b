"""Make documents for the tests of the HTML page, and a name that is harmful as markup."""

from collections import Counter

from documents import make_document

EVIL = '<img src=x onerror="hacked=1">\'"</script><script>hacked=1</script>&amp;\x1b[31m\u202e'


def holding(*cases, **changes):
    """Make a document of these cases."""
    counts = Counter(case["verdict"] for case in cases)
    failed = any(case["failed"] for case in cases)
    return make_document(0, claims=[], **changes) | {
        "cases": list(cases),
        "counts": dict(counts),
        "failed": failed,
    }
