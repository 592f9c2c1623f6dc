// Commands of the user's that elbo runs when something happened (hooks.*). They run one after another beside
// training, in a shell, get a JSON object on their standard input and print to elbo's standard error. One
// that fails is a warning.
#pragma once
#include <memory>
#include <string>

namespace elbo {

class Hooks {
 public:
  Hooks();
  // Waits for the commands that still run, for a minute; then a warning names the one that is left.
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // Runs `command` with `json` as its input, after those before it; "" does nothing. `option` names it in
  // messages. Thread-safe.
  void run(const std::string& option, const std::string& command, const std::string& json);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
