"""How two names are related, where the relation tells a decision or a migration from a mistake."""

from __future__ import annotations

import re

from codemlm.similarity import similarity

_MIGRATIONS = """
    abstractproperty abstractmethod; abstractproperty property; assertEquals assertEqual;
    assertNotEquals assertNotEqual; assertItemsEqual assertCountEqual; assertRaisesRegexp
    assertRaisesRegex; assertRegexpMatches assertRegex; assert_ assertTrue; failUnless
    assertTrue; failIf assertFalse; iteritems items; itervalues values; iterkeys keys; viewitems
    items; xrange range; has_key __contains__; unicode str; unicode text_type; basestring str;
    long int; basestring string_types; unichr chr; raw_input input; izip zip; imap map; ifilter
    filter; basestring unicode; str text_type; str string_types; int integer_types; bytes
    binary_type; str bytes; unicode bytes; cmp key; func_name __name__; func_code __code__;
    im_func __func__; im_self __self__; im_class __self__; func_defaults __defaults__; maxint
    maxsize; getargspec getfullargspec; getcwdu getcwd; next __next__; __nonzero__ __bool__;
    __unicode__ __str__; __div__ __truediv__; message args; encodestring encodebytes;
    decodestring decodebytes; tostring tobytes; fromstring frombytes; fromstring frombuffer;
    readfp read_file; SafeConfigParser ConfigParser; isAlive is_alive; setDaemon daemon; getName
    name; currentThread current_thread; notifyAll notify_all; isSet is_set; clock perf_counter;
    clock time; time monotonic; time perf_counter; utcnow now; utcnow_ts utcnow;
    utcfromtimestamp fromtimestamp; load safe_load; mktemp mkstemp; popen Popen; check_call run;
    escape quote; quote quote_plus; getchildren list; getiterator iter; letters ascii_letters;
    lowercase ascii_lowercase; uppercase ascii_uppercase; float float_; float float64; int int_;
    bool bool_; object object_; complex complex_; NaN nan; Inf inf; infty inf; float_ float64;
    string_ bytes_; unicode_ str_; product prod; in1d isin; trapz trapezoid; row_stack vstack;
    cumproduct cumprod; sometrue any; alltrue all; as_matrix values; append concat; order
    sort_values; sort sort_values; LINEAR BILINEAR; ANTIALIAS LANCZOS; getLogger get_logger;
    ugettext gettext; ugettext_lazy gettext_lazy; force_text force_str; smart_text smart_str;
    force_unicode force_text; url re_path; coroutine async; async ensure_future; get_event_loop
    get_running_loop; get_event_loop new_event_loop; collections collections_abc; dict
    OrderedDict; StringIO BytesIO; urllib urllib2; urlparse parse; Queue queue; json simplejson;
    json jsonutils; mock unittest; tenant project; tenant_id project_id; tenant_name
    project_name; tenants projects; _ _LE; _ _LW; _ _LI; _LI _LW; _LI _LE; _LW _LE;
    file open; ugettext _
"""
_PAIRS = frozenset(frozenset(pair.split()) for pair in _MIGRATIONS.split(";"))
_CONFUSED = """
    load loads; dump dumps; copy deepcopy; min max; any all; minimum maximum; argmin argmax
    isfile isdir; isfile exists; isdir exists; dirname basename; isinstance issubclass; ceil floor
    getattr hasattr; getattr setattr; stdout stderr; stdin stdout; zeros ones; zeros zeros_like
    ones ones_like; vstack hstack; listdir walk; remove rmdir; search match; match fullmatch
    b64encode b64decode; hexlify unhexlify; nonzero count_nonzero; mkdir makedirs; min sum; max sum
"""
_CONFUSED_PAIRS = frozenset(frozenset(pair.split()) for pair in re.split(r"[;\n]", _CONFUSED))
LOG_LEVELS = frozenset(
    {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log", "trace"}
    | {"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL", "NOTSET", "audit"}
)
_BUILTIN_METHODS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, frozenset, tuple, int, float)
    for name in dir(kind)
    if not name.startswith("_")
)
_EXCEPTION = re.compile(r"(Error|Exception|Warning|Interrupt|Exit|Failure|Failed|NotFound|Fault)$")
_VERSION = re.compile(r"_?(v?\d+(_\d+)*|old|new|legacy|async|sync|ex)$", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MIN_TYPO = 5
_MAX_TYPO_EDITS = 2


def is_migration(shown: str, meant: str) -> bool:
    """Whether the two are names of one thing in two versions of Python or of a library."""
    return frozenset((shown, meant)) in _PAIRS


def is_confused(shown: str, meant: str) -> bool:
    """Whether the two are functions of well-known modules that are taken for each other."""
    return frozenset((shown, meant)) in _CONFUSED_PAIRS


def is_exception(name: str) -> bool:
    """Whether a name reads as an exception's class."""
    return _EXCEPTION.search(name) is not None and name[:1].isupper()


def is_builtin_method(name: str) -> bool:
    """Whether strings, numbers or containers have a method of that name."""
    return name in _BUILTIN_METHODS


def is_restyled(shown: str, meant: str) -> bool:
    """Whether the names differ in case and underscores only."""
    return shown.replace("_", "").lower() == meant.replace("_", "").lower()


def is_other_version(shown: str, meant: str) -> bool:
    """Whether the names differ in a version at their end only, as ``ClientV2`` and ``ClientV3``."""
    return _VERSION.sub("", shown) == _VERSION.sub("", meant)


def words(text: str) -> set[str]:
    """Lower-case words of a name in snake or camel case, or of a string."""
    return {word.lower() for word in _WORD.findall(text)}


def is_misspelling(shown: str, meant: str) -> bool:
    """Whether ``shown`` is likely to be ``meant`` with a slip of the finger in it.

    Plurals, versions and case are left out: those are other names as often as slips.
    """
    longest = max(len(shown), len(meant))
    if min(len(shown), len(meant)) < _MIN_TYPO or is_restyled(shown, meant):
        return False
    if is_other_version(shown, meant) or is_prefix_pair(shown, meant):
        return False
    return (1.0 - similarity(shown, meant)) * longest <= _MAX_TYPO_EDITS + 1e-6 and (
        sorted(shown) != sorted(meant) or shown[0] == meant[0]
    )


def is_prefix_pair(shown: str, meant: str) -> bool:
    """Whether one name is the other with letters more at an end, as plurals are."""
    short, long = sorted((shown, meant), key=len)
    return long.startswith(short) or long.endswith(short)
