// The help text of `quicken` itself, which the client leaves to quickenctl.
#pragma once

namespace quicken::ctl {

inline constexpr char k_quicken_help[] = R"(Usage: quicken SCRIPT [ARG...]
       quicken run [--learn] [--python INTERPRETER] [OPTION...] PROGRAM [--] [ARG...]
       quicken "/PATH/TO/PYTHON [OPTION...]" SCRIPT [ARG...]
       quicken python [--preload NAME,...] [--python INTERPRETER] PYTHON-ARG...
       quicken serve [OPTION...] SCRIPT [ARG...]
       quicken COMMAND [OPTION...]

Runs a Python program as `python3 SCRIPT` does, only sooner: the first run warms
a server, every later run is a fork of it. Also as #!/usr/bin/env quicken, and as
#!PREFIX/bin/quicken /PATH/TO/PYTHON [OPTION...].

As `quicken python` all scripts share one server, which has modules imported
(quickenctl preload); what follows is as after python3. A link to quicken whose
name is python3 does the same.

As `quicken serve` a script that imports quick_server answers requests, and is
started anew when it is edited, without losing one (quicken serve --help).

Programs:
  --file SCRIPT             a script; without --file all that follows is its own
  -m MODULE                 a module, as python -m runs it
  --entry MODULE:FUNCTION   an entry point, as an installed console script has it

Options:
  --python INTERPRETER      this Python; default: that of the script's #! line,
                            $VIRTUAL_ENV/bin/python, python3 on PATH
  --python-option=OPTION    give that Python this option too; one a word
  --fork-point start        run in advance up to a call of quicken.start()
  --learn                   from now on import early what most runs import late
  -h, --help                this text
  --version                 the version

Commands (see quickenctl --help):
  status, explain, verify, stop, restart, is-active, learn, preload, list, wrap, unwrap,
  reload

Environment:
  QUICKEN_VERBOSE=1         say on stderr why a program is run plainly
  QUICKEN_ACTIVATION=WAY    how a server is started: auto, systemd, self, none

Examples:
  quicken report.py --since monday
  quicken run -m json.tool < data.json
  quicken run --python ./venv/bin/python --entry black:patched_main -- --check .
  quicken status --file report.py
  quicken explain report.py
  quicken stop --file report.py
)";

}  // namespace quicken::ctl
