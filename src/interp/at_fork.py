

# --- functions for forks --------------------------------------------------------
#
# A plain run does not fork where we do, so what the prelude registers with os.register_at_fork is kept and
# registered in the command, for the forks of its own. Modules of the standard library put right by it what
# a fork upsets in them, ours too: locks, the main thread, random's state.

PUT_RIGHT = ('asyncio.events', 'concurrent.futures.thread', 'logging', 'random', 'threading')

kept = []


def before_register(_module, *args, **functions):
    known = functions.keys() <= {'before', 'after_in_child', 'after_in_parent'}
    ours = sys._getframe(1).f_globals.get('__name__') in PUT_RIGHT
    # What is not valid the original refuses in its own words.
    if ours or args or not functions or not known or not all(map(callable, functions.values())):
        return None
    kept.append(functions)
    return (None,)


def register_kept():
    """In a spare, when its own fork is done."""
    for functions in kept:
        ORIGINALS['register_at_fork'](**functions)
