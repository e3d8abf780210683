

# --- a prelude that keeps the time ------------------------------------------------------
#
# Who has read a clock is known from C (clock.cpp). If anybody has who is not known to throw it away, then what the
# program's modules hold is looked through for a time between the template's start and now: names of modules, and
# one level deeper what classes, instances, containers and defaults of functions hold; and the same of the local names
# of functions from which the fork point has been called. What has been made into a text is found if it has the date or
# the time of day in it; what has been computed from it is not.

DAY, BOOT, PROCESSOR = 1, 2, 4  # clocks, as clock.cpp has them

TIME = _own_import('time')
BOOT_STARTED = TIME.monotonic()
LIBRARY = (getattr(io, '__file__', None) or getattr(sys, '_stdlib_dir', None) or '/').rpartition('/')[0] + '/'
MOST_PARTS = 256  # of a container: one with more is data


def _is_library(module):
    path = getattr(module, '__file__', None)
    if not isinstance(path, str):
        return module is not sys.modules.get('__main__')
    return path.startswith(LIBRARY) and '/site-packages/' not in path and '/dist-packages/' not in path


def _is_multiple(value, step):
    """Also of a large power of 2."""
    if type(value) is int:
        return value % step == 0 or value % 1024 == 0
    return abs(value - round(value / step) * step) < 1e-9


class Times:
    """What lies between the template's start and now."""

    def __init__(self, clocks):
        self.numbers = []  # (type, least, most, what a constant may be a multiple of, for readers alone)
        self.judges = {id(float): self._has_number, id(int): self._has_number, id(str): self._has_text}
        self.day = None
        self.texts = ()
        self.dates = ()
        self.marks = ()  # one of them is in each text that has one of the others
        if clocks & DAY:
            now = TIME.time()
            self.day = (int(STARTED / 1e9), now + 1)
            self.numbers += [(kind, self.day[0] * unit, self.day[1] * unit, 0, False)
                             for kind in (int, float) for unit in (1, 10**3, 10**6, 10**9)]
            self._add_texts(range(self.day[0], int(self.day[1]) + 1))
        if clocks & BOOT:
            self._add_spans(BOOT_STARTED, TIME.monotonic(), False)
        if clocks & PROCESSOR:
            self._add_spans(1e-3, TIME.process_time(), True)  # small numbers are many things

    def _add_spans(self, low, high, readers_alone):
        """A constant has few digits, a clock nine."""
        for kind, unit, multiple in (float, 1, 1e-3), (float, 1e3, 1e-3), (int, 1e9, 10**4):
            self.numbers.append((kind, low * unit, high * unit, multiple, readers_alone))

    def _add_texts(self, seconds):
        both = [each(second) for second in (seconds[0], *seconds[-16:]) for each in (TIME.localtime, TIME.gmtime)]
        self.texts = {TIME.strftime(form, each) for each in both for form in ('%H:%M:%S', '%H%M%S')}
        self.marks = {TIME.strftime(form, each) for each in both for form in ('%Y', '%H:')} | {str(seconds[0])[:6]}
        self.texts |= {str(second) for second in seconds[-16:]}
        self.dates = {TIME.strftime(form, each) for each in both for form in ('%Y%m%d', '%d%m%Y', '%m%d%Y')}

    def _has_number(self, value, reader):
        for kind, low, high, multiple, readers_alone in self.numbers:
            if type(value) is kind and low <= value <= high and (reader or not readers_alone):
                return not multiple or not _is_multiple(value, multiple)
        return False

    def _has_text(self, value, reader):
        if not 8 <= len(value) <= 100 or not any(mark in value for mark in self.marks):
            return False
        digits = ''.join(each for each in value if '0' <= each <= '9')
        if any(text in value for text in self.texts if ':' in text or len(text) > 6):
            return True
        has_date = any(text in digits for text in self.dates)
        return has_date and (reader or any(text in digits for text in self.texts))

    def _has_time(self, value, _reader):
        return self._has_local(TIME.mktime(value))

    def _has_datetime(self, value, _reader):
        if value.tzinfo is not None:
            return self._is_today(value.timestamp())
        return self._has_local(value.timestamp())

    def _has_date(self, value, reader):
        return reader and value.strftime('%Y%m%d') in self.dates

    def _has_uuid(self, value, _reader):
        return value.version == 1 and self._is_today((value.time - 0x01b21dd213814000) / 1e7)  # RFC 4122, 4.1.4

    def _has_numpy(self, value, _reader):
        return self._is_today(value.astype('datetime64[us]').astype(int).item() / 1e6)

    def _judge(self, kind):
        """Of the types of moments, which need not be imported: (value, reader) -> whether it is now; None of others."""
        if self.day is None:
            return None
        datetime, uuid = loaded('datetime'), loaded('uuid')
        if kind is TIME.struct_time:
            return self._has_time
        if datetime is not None and issubclass(kind, datetime.date):
            return self._has_datetime if issubclass(kind, datetime.datetime) else self._has_date
        if uuid is not None and kind is uuid.UUID:
            return self._has_uuid
        return self._has_numpy if kind.__name__ == 'datetime64' and kind.__module__ == 'numpy' else None

    def _is_today(self, seconds):
        return self.day[0] <= seconds <= self.day[1]

    def _has_local(self, seconds):
        """What was taken for local time, or for UTC."""
        return self._is_today(seconds) or self._is_today(seconds - TIME.timezone) or \
            self._is_today(seconds - TIME.altzone)

    def has(self, value, reader):
        kind = type(value)
        try:
            judge = self.judges[id(kind)]
        except KeyError:
            judge = self.judges[id(kind)] = self._judge(kind)
        try:
            return judge is not None and judge(value, reader)
        except (ArithmeticError, AttributeError, OSError, TypeError, ValueError):
            return False  # further away than its type can say: not now


FUNCTION = type(_is_library)
# By id(): a metaclass may have made what compares its types.
PLAIN = {id(kind) for kind in (type(None), bool, float, int, str, bytes, type(sys), type(len), type(type.__call__),
                               type(str.join))}


def _defaults(function):
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _parts(value, name):
    """(name, value) one level down in what the module of that name has."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset, dict):
        held = value.values() if kind is dict else value
        return [('', each) for each in held] if len(value) <= MOST_PARTS else []
    if kind is FUNCTION:
        held = value.__defaults__ or value.__kwdefaults__
        return [('()', each) for each in _defaults(value)] if held and value.__module__ == name else ()
    if issubclass(kind, type):  # isinstance() would ask the value, and load a module that is delayed
        if value.__module__ != name:
            return []
        held = list(type.__getattribute__(value, '__dict__').items())
        functions = [each for _name, each in held if type(each) is FUNCTION]
        return [('.' + attribute, each) for attribute, each in held] + \
            [('.' + each.__name__ + '()', default) for each in functions for default in _defaults(each)]
    if kind.__flags__ & HEAP_TYPE:
        held = object.__getattribute__(value, '__dict__')
        return [('.%s' % attribute, each) for attribute, each in list(held.items())] if type(held) is dict else []
    return []


def _kept_in(times, name, names, reader):
    judges = times.judges  # known to be None of most types, and there are 60,000 values in pandas
    for attribute, value in list(names.items()):
        kind = id(type(value))
        if judges.get(kind, judges) is not None and times.has(value, reader):
            return '%s.%s' % (name, attribute)
        if kind in PLAIN or attribute == '__builtins__':
            continue
        try:
            parts = _parts(value, name)
        except Exception:  # what an object of the program's makes of being looked at is its own affair
            continue
        for inner, part in parts:
            if judges.get(id(type(part)), judges) is not None and times.has(part, reader):
                return '%s.%s%s' % (name, attribute, inner)
    return None


def unfit_clock(readers):
    """Where the prelude keeps the time, as the reason for which it is unfit, or None. `readers`: {address of a
    module's names: clocks that it has read}."""
    quiet = {id(loaded(name).__dict__) for name in KNOWN_SAFE['reads a clock'] if loaded(name) is not None}
    quiet.add(id(globals()))
    clocks = 0
    for address, read in readers.items():
        if address not in quiet:
            clocks |= read
    if not clocks:
        return None
    places = _times_kept(Times(clocks), readers)
    refuse_after_import({name: 'keeps the time in ' + place for name, place in places.items() if name != '__main__'})
    return next(('the prelude keeps the time in ' + place for place in places.values()), None)


def _times_kept(times, readers):
    """{name of a module: where it keeps the time}."""
    places = {}
    for name, module in list(sys.modules.items()):
        names = getattr(module, '__dict__', None) if not is_delayed(module) else None
        if type(names) is not dict or _is_library(module):
            continue
        place = _kept_in(times, name, names, name == '__main__' or id(names) in readers)
        if place is not None:
            places[name] = place
    place = _kept_in_functions(times)
    if place is not None:
        places['__main__'] = place
    return places


LOCAL_NAMES = 1  # CO_OPTIMIZED: they are no dict


def _kept_in_functions(times):
    """Functions that run have called the fork point."""
    frame = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_flags & LOCAL_NAMES and code.co_filename != '<quicken>':
            names = frame.f_locals
            place = _kept_in(times, code.co_name + '()', names, True)
            if type(names) is dict and sys.getrefcount(names) == 3:
                # Up to 3.12 a snapshot that the frame has from now on: it would keep what the function lets go.
                for name in code.co_varnames + code.co_cellvars + code.co_freevars:
                    names.pop(name, None)
            if place is not None:
                return place
        frame = frame.f_back
    return None


def set_clocks():
    """In a command: times that the standard library takes at its import."""
    logging = loaded('logging')
    if logging is not None and hasattr(logging, '_startTime'):
        logging._startTime = TIME.time_ns() if isinstance(logging._startTime, int) else TIME.time()
