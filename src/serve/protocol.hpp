// What the supervisor of `quicken serve` and a script's process say to each
// other: JSON objects, one a packet, on a SOCK_SEQPACKET pair, with descriptors
// (SCM_RIGHTS). The script's end has the number that QUICKEN_SERVE_FD says; both sides
// ignore members and messages that they do not know. A packet has at most 64 KiB; longer
// lists come in several messages.
//
// From the script:
//  {"do":"listen","address":"","port":8080}   answered {"do":"listening","port":8080,"fd":true} + the
//  listening
//        socket, or {"do":"listening","errno":98,"error":"Address already in use"}. The n-th such request of
//        one process for the same address and port is given the n-th socket for it, so that a successor gets
//        those of its predecessor. Port 0: any. Under socket activation the sockets of systemd come first:
//        whatever address the script asks for first gets the first.
//  {"do":"serving","prompt":"> ","history":"/dir/.cmd_history","commands":["add user"],"prompts":true,
//   "script":"/dir/x.py","shutdown_latency":0.1,"drain_timeout":30}
//        serve_forever() has been reached: from now on its predecessor drains. prompts false: no command
//        loop. drain_timeout (optional, seconds): how long it may take to drain later; it is killed 5 s after
//        that.
//  {"do":"watch","files":[…]}                 files whose change is a reason to start anew (its modules); may
//  come often, adds. "since": ns since the epoch, of CLOCK_REALTIME_COARSE; those that have changed
//  later were edited after they had been loaded
//  {"do":"words","id":7,"words":[…]}          answer to complete
//  {"do":"ran","id":8}                        the command is done: the prompt may come back
//  {"do":"activity","answering":0,"connections":2,"seconds_idle":3.5,"requests":10,"workers":0}   answer to
//  activity?
//  {"do":"busy"}                              while it drains: jobs of its workers go on, which clients still
//        ask for; it says so often, and each time the drain's limit begins anew. `stop` ends them.
//  {"do":"restart"}                           start anew, as if an edit had been seen
//  {"do":"leaving","restart":true}            serve_forever() has been left by itself (done, quit): the
//  process ends soon;
//        restart: with the exit code that means that
// From the supervisor:
//  {"do":"complete","id":7,"line":"add us","begin":4,"end":6}   TAB at the prompt
//  {"do":"run","id":8,"line":"add user joe"}                    a line was entered
//  {"do":"activity?"}
//  {"do":"drain"} + socket                    a successor serves: hand over connections on it, end when
//  drained. Without a socket, as where no descriptor was left: close them
//  {"do":"adopt"} + socket                    connections of the predecessor come on it
//  {"do":"stop"}                              end when what is being answered is; who drains: at once;
//  one with shutdown hooks ends by them
//  {"do":"idle"}                              nobody has asked for long: stop accepting; leave if really
//  nothing is open, else
//        {"do":"busy"} and go on
// The supervisor's end: the script finishes what it answers and ends (drain without a successor).
//
// Environment of the script: QUICKEN_SERVE_FD, QUICK_SERVER_RESTART=42 (setup_restart() has nothing to do),
// QUICK_SERVER_SUBSEQ=1 from the second start on; PYTHONPATH begins with PREFIX/libexec/quicken/python, and
// QUICKEN_SERVE_PYTHONPATH is what it was before, if it was set; QUICKEN_SERVE_SETTINGS, if there is --set, a
// JSON object: {"max_body":1000000,"idle_timeout":5.5}, by the names of src/http/settings.hpp. With --www DIR
// what is started is `quicken-www --www DIR -a ADDRESS -p PORT`, in the same environment.
#pragma once

namespace quicken::serve {

inline constexpr char k_control_variable[] = "QUICKEN_SERVE_FD";
inline constexpr char k_restart_variable[] = "QUICK_SERVER_RESTART";
inline constexpr char k_subsequent_variable[] = "QUICK_SERVER_SUBSEQ";
inline constexpr char k_settings_variable[] = "QUICKEN_SERVE_SETTINGS";
inline constexpr char k_python_path_variable[] = "QUICKEN_SERVE_PYTHONPATH";
inline constexpr int k_restart_status = 42;
inline constexpr unsigned k_packet = 64 << 10;  // bytes

}  // namespace quicken::serve
