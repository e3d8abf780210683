"""The commands of the prompt: the script's own, help, restart and quit.

Who reads the lines is not known here: the supervisor's prompt or the loop in _prompt.py. They are run one at a time
by either.
"""

import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from quick_server._errors import report_error
from quick_server._log import server_msg

Words = Tuple[str, ...]
Command = Callable[[List[str]], Any]
Complete = Callable[[List[str], str], Optional[List[str]]]


class _Entry(NamedTuple):
    function: Command
    argc: Optional[int]
    complete: Optional[Complete]


class Commands:
    done: bool
    restart: Callable[[], None]

    def _set_up_commands(self) -> None:
        self._commands = {}  # type: Dict[Words, _Entry]
        self.add_cmd_method('help', self._help, complete=self._complete_help)
        self.add_cmd_method('restart', self._restart, argc=0)
        self.add_cmd_method('quit', self._quit, argc=0)

    def cmd(self, argc: Optional[int] = None, complete: Optional[Complete] = None, no_replace: bool = False,
            ) -> Callable[[Command], Command]:
        """A decorator: the function, named a_b, is the command "a b" (a_b with no_replace), called with the list of
        its arguments; with `argc` there must be as many. complete(arguments so far, text) returns what the word that
        begins with `text` can be."""
        if callable(argc):  # the decorator without its brackets would do nothing
            raise TypeError('@server.cmd() is called: argc is a number or None, not %r' % (argc,))

        def decorate(function: Command) -> Command:
            name = function.__name__
            self.add_cmd_method(name if no_replace else name.replace('_', ' '), function, argc, complete)
            return function
        return decorate

    def add_cmd_method(self, name: str, method: Command, argc: Optional[int] = None,
                       complete: Optional[Complete] = None) -> None:
        """The command `name`, one or more words; one of that name before is replaced."""
        words = tuple(name.split())
        if not words or words[0].startswith('#'):
            raise ValueError('%r is no name of a command' % name)
        self._commands[words] = _Entry(method, argc, complete)

    def command_names(self) -> List[str]:
        return sorted(' '.join(words) for words in list(self._commands))

    def run_command(self, line: str) -> None:
        """Runs a line as it was typed. Raises nothing but SystemExit, and on the main thread KeyboardInterrupt."""
        words = line.split()
        if not words or words[0].startswith('#'):
            return
        name, entry = self._find(words)
        if entry is None:
            server_msg("unknown command: '%s' ('help' lists what there is)" % line.strip())
            return
        arguments = words[len(name):]
        if entry.argc is not None and len(arguments) != entry.argc:
            server_msg("'%s' expects %d argument%s, not %d" % (
                ' '.join(name), entry.argc, '' if entry.argc == 1 else 's', len(arguments)))
            return
        try:
            entry.function(arguments)
        except SystemExit:
            raise
        except BaseException as error:  # the prompt's thread goes on whatever it is
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            report_error('command "%s"' % line.strip(), error)

    def _find(self, words: List[str]) -> Tuple[Words, Optional[_Entry]]:
        for count in range(len(words), 0, -1):
            entry = self._commands.get(tuple(words[:count]))
            if entry is not None:
                return tuple(words[:count]), entry
        return (), None

    def complete_command(self, line: str, begin: int, end: int) -> List[str]:
        """What the word of `line` from `begin` to `end` can become. Raises nothing."""
        text, before = line[begin:end], line[:begin].split()
        found = {words[len(before)] for words in list(self._commands)
                 if len(words) > len(before) and list(words[:len(before)]) == before}
        name, entry = self._find(before)
        if entry is not None and entry.complete is not None:
            try:
                found.update(entry.complete(before[len(name):], text) or ())
            except Exception as error:
                report_error('completion of "%s"' % line, error)
        return sorted(word for word in found if word.startswith(text))

    def _complete_help(self, arguments: List[str], text: str) -> List[str]:
        before = len(arguments)
        return [words[before] for words in list(self._commands)
                if len(words) > before and list(words[:before]) == arguments]

    def _help(self, arguments: List[str]) -> None:
        """Lists the commands, or says what one of them does."""
        if not arguments:
            server_msg('available commands:\n' + '\n'.join('  ' + name for name in self.command_names()))
            return
        name, entry = self._find(arguments)
        if entry is None or len(name) != len(arguments):
            server_msg("unknown command: '%s'" % ' '.join(arguments))
            return
        text = (entry.function.__doc__ or 'no help for this command').strip()
        server_msg('%s: %s' % (' '.join(name), text))

    def _restart(self, arguments: List[str]) -> None:
        """Starts the script anew."""
        self.restart()

    def _quit(self, arguments: List[str]) -> None:
        """Stops the server."""
        self.done = True
