// Commands for the script, from standard input: lines with a prompt on a terminal, plain ones from a pipe.
//
// While a command runs standard input is the script's: nothing is read here until it says that it is done, or
// has ended. `restart` and `quit` are the script's commands too, but what they want is done also where it
// does not run, or does not answer.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/loop.hpp"
#include "serve/editor.hpp"
#include "serve/line_reader.hpp"
#include "serve/supervisor.hpp"
#include "serve/voice.hpp"

namespace quicken::serve {

class Prompt {
 public:
    Prompt(Loop& loop, Supervisor& supervisor, Voice& voice);
    ~Prompt();

    /// A process serves.
    void serving(const nlohmann::json& message);
    /// words, ran
    void said(const nlohmann::json& message);
    /// The process has ended.
    void gone();

    /// Gives the terminal back, and takes it again if it is ours.
    void off();
    void on();
    void resized();

 private:
    bool wanted() const;
    void update();
    void start_editor();
    void run(const std::string& line);
    void pass_on(const std::string& line);
    void run_here(const std::string& line);
    void not_answered(const std::string& line);
    void ended();
    void complete();
    void offer(const std::vector<std::string>& words);
    void load_history(const std::string& path);

    Loop& loop_;
    Supervisor& supervisor_;
    Voice& voice_;
    const bool is_terminal_;   // standard input
    const bool has_terminal_;  // and standard output: lines are edited
    LineReader reader_;
    std::unique_ptr<Editor> editor_;
    Source key_;
    Source look_;  // again for the foreground
    Source patience_;
    std::string text_ = "> ";
    std::string history_;
    std::vector<std::string> commands_;
    std::string held_;       // a command for a process that does not serve yet
    std::string completed_;  // what was in front of the cursor when the script was asked
    unsigned question_ = 0;  // its id
    unsigned ids_ = 0;
    unsigned running_ = 0;  // the id of the command that runs
    bool started_ = false;  // the script has served and wants commands
    bool over_ = false;     // standard input has ended
    bool is_off_ = false;
};

}  // namespace quicken::serve
