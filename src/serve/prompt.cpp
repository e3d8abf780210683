#include "serve/prompt.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "serve/completion.hpp"
#include "serve/history_file.hpp"

namespace quicken::serve {

namespace {

using nlohmann::json;

constexpr double k_look = 0.5;        // seconds between two looks for the foreground
constexpr double k_patience = 3;      // seconds until `restart` and `quit` are done here
constexpr double k_completion = 1;    // seconds that the script has for TAB
constexpr std::size_t k_words = 500;  // that are shown

std::string without_blanks(const std::string& line) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) return "";
    return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string> texts(const json& message, const char* name) {
    std::vector<std::string> result;
    const auto found = message.find(name);
    if (found == message.end() || !found->is_array()) return result;
    for (const json& text : *found) {
        if (text.is_string()) result.push_back(text.get<std::string>());
    }
    return result;
}

}  // namespace

Prompt::Prompt(Loop& loop, Supervisor& supervisor, Voice& voice)
    : loop_(loop),
      supervisor_(supervisor),
      voice_(voice),
      is_terminal_(isatty(STDIN_FILENO) != 0),
      has_terminal_(is_terminal_ && isatty(STDOUT_FILENO) != 0),
      reader_(loop, {[this](const std::string& line) { run(line); }, [this] { ended(); }}) {
    voice_.make_room(
        [this] {
            if (editor_) editor_->hide();
        },
        [this] { update(); });
}

Prompt::~Prompt() {
    voice_.make_room(nullptr, nullptr);
}

void Prompt::serving(const json& message) {
    started_ = message.value("prompts", true);
    text_ = message.value("prompt", text_);
    commands_ = texts(message, "commands");
    for (const char* builtin : {"help", "restart", "quit"}) {
        if (std::find(commands_.begin(), commands_.end(), builtin) == commands_.end())
            commands_.emplace_back(builtin);
    }
    const std::string held = std::exchange(held_, {});
    running_ = question_ = 0;
    patience_.reset();
    load_history(message.value("history", ""));
    if (editor_) editor_->hide();  // the prompt may be another
    if (started_ && !held.empty()) return pass_on(held);
    update();
}

void Prompt::load_history(const std::string& path) {
    if (path == history_) return;
    history_ = path;
    if (editor_) editor_->remember(read_history(history_));
}

// When there is one

bool Prompt::wanted() const {
    return started_ && !over_ && !is_off_ && running_ == 0;
}

/// Who is brought to the foreground is not told so.
void Prompt::update() {
    if (!wanted()) {
        if (editor_) editor_->hide();
        key_.reset();
        reader_.stop();
        return;
    }
    if (is_terminal_ && !Editor::in_foreground()) {
        key_.reset();
        reader_.stop();
        look_ = loop_.after(k_look, [this] { update(); });
        return;
    }
    if (!has_terminal_) return supervisor_.serves() ? reader_.start() : reader_.stop();
    if (!editor_) start_editor();
    editor_->show(text_);
    if (!key_) {
        key_ = loop_.on_io(STDIN_FILENO, EPOLLIN, [this](std::uint32_t events) {
            if ((events & EPOLLHUP) != 0)
                return ended();  // no terminal any more; SIGHUP comes only in its foreground
            if (Editor::in_foreground()) return editor_->read();
            update();
        });
    }
}

void Prompt::start_editor() {
    editor_ = std::make_unique<Editor>(Editor::Events{[this](const std::string& line) { run(line); },
                                                      [this] { complete(); }, [this] { ended(); }});
    editor_->remember(read_history(history_));
}

void Prompt::off() {
    is_off_ = true;
    update();
}

void Prompt::on() {
    is_off_ = false;
    update();
}

void Prompt::resized() {
    if (editor_) editor_->resize();
}

void Prompt::ended() {
    over_ = true;
    update();
    voice_.show("no command loop - use CTRL-C to terminate");
}

// Commands

void Prompt::run(const std::string& typed) {
    const std::string line = without_blanks(typed);
    if (line.empty()) return update();
    if (editor_) {
        editor_->remember(line);
        if (!history_.empty()) add_to_history(history_, line);
    }
    pass_on(line);
}

void Prompt::pass_on(const std::string& line) {
    running_ = ++ids_;
    update();
    const bool can_be_done_here = line == "restart" || line == "quit";
    if (!can_be_done_here && !supervisor_.serves() && supervisor_.pid() != 0) {
        held_ = line;  // it is just being started
        return;
    }
    if (!supervisor_.tell({{"do", "run"}, {"id", running_}, {"line", line}})) return run_here(line);
    if (can_be_done_here) patience_ = loop_.after(k_patience, [this, line] { not_answered(line); });
}

/// The script cannot do it.
void Prompt::run_here(const std::string& line) {
    running_ = 0;
    if (line == "quit") return supervisor_.stop();
    if (line == "restart") {
        supervisor_.reload();
    } else {
        voice_.say("the script does not run; there are only restart and quit");
    }
    update();
}

void Prompt::not_answered(const std::string& line) {
    voice_.say("the script does not answer");
    run_here(line);
    if (line == "quit") supervisor_.stop();  // a second time: by a signal
}

void Prompt::gone() {
    running_ = question_ = 0;
    held_.clear();
    patience_.reset();
    update();
}

void Prompt::said(const json& message) {
    const std::string action = message.value("do", "");
    const unsigned id = message.value("id", 0U);
    if (action == "ran" && id == running_) {
        running_ = 0;
        patience_.reset();
        update();
    } else if (action == "words" && id != 0 && id == question_) {
        question_ = 0;
        patience_.reset();
        if (editor_ && editor_->shown() && editor_->before_cursor() == completed_)
            offer(texts(message, "words"));
    }
}

// TAB

void Prompt::complete() {
    completed_ = editor_->before_cursor();
    if (!has_arguments(completed_, commands_)) return offer(complete_command(completed_, commands_));
    question_ = ++ids_;
    const std::size_t begin = characters(completed_.substr(0, word_begin(completed_)));
    const json question{{"do", "complete"},
                        {"id", question_},
                        {"line", completed_},
                        {"begin", begin},
                        {"end", characters(completed_)}};
    if (!supervisor_.tell(question)) question_ = 0;
    patience_ = loop_.after(k_completion, [this] { question_ = 0; });
}

void Prompt::offer(const std::vector<std::string>& all) {
    const std::string typed = completed_.substr(word_begin(completed_));
    std::vector<std::string> words;
    for (const std::string& word : all) {
        if (word.starts_with(typed) && words.size() < k_words) words.push_back(word);
    }
    for (const std::string& word : complete_command(completed_, commands_)) {
        if (word.starts_with(typed) && std::find(words.begin(), words.end(), word) == words.end())
            words.push_back(word);
    }
    if (words.empty()) return;
    std::sort(words.begin(), words.end());
    const std::string rest = common_beginning(words).substr(typed.size());
    if (words.size() == 1) return editor_->insert(rest + " ");
    if (!rest.empty()) return editor_->insert(rest);
    editor_->print(words);
}

}  // namespace quicken::serve
