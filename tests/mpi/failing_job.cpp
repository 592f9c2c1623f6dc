// A job whose ranks fail on request, for end_of_job.py:
//   failing_job HOW CODE RANKS [TIMEOUT]
// RANKS ("0,2" or "all") fail with exit code CODE. HOW is what the others do:
//   barrier   they wait in a collective, with a timeout of TIMEOUT seconds
//   asleep    they sleep outside of MPI
//   absent    as barrier, but RANKS never enter it
//   stopped   as absent: RANKS stop themselves by a signal
//   at_end    they end, but RANKS stop themselves before
//   apart     as barrier; each of RANKS fails with a different message
//   in_turn   as barrier; RANKS fail one after another, the highest first
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/comm/environment.h"

namespace elbo {
namespace {

void run(const Environment& environment, const std::vector<std::string>& words) {
  const std::string& how = words.at(0);
  const std::string rank = std::to_string(environment.rank());
  const std::vector<std::string> failing = split(words.at(2), ',');
  const bool fails = words.at(2) == "all" || std::find(failing.begin(), failing.end(), rank) != failing.end();
  const std::unique_ptr<Communicator> world =
      environment.make_world(words.size() > 3 ? std::stod(words[3]) : 60);
  world->barrier();
  if (fails && how == "in_turn")
    std::this_thread::sleep_for(std::chrono::milliseconds(300 * (environment.size() - environment.rank())));
  if (fails && how == "stopped") std::raise(SIGSTOP);
  if (how == "at_end") {
    if (fails) std::raise(SIGSTOP);
    return;
  }
  if (fails && how != "absent" && how != "stopped")
    throw Error(static_cast<ExitCode>(std::stoi(words.at(1))),
                "the sky fell" + (how == "apart" ? " on " + rank : ""));
  if (fails || how == "asleep") std::this_thread::sleep_for(std::chrono::minutes(1));
  world->barrier();
}

}  // namespace
}  // namespace elbo

int main(int argc, char** argv) {
  const elbo::Environment environment;
  elbo::log::set_enabled(environment.rank() == 0);
  try {
    elbo::run(environment, {argv + 1, argv + argc});
    return 0;
  } catch (const elbo::Error& error) {
    return environment.end_job(error);
  }
}
