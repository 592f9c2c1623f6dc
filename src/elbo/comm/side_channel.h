// What the other ranks do, when they do not answer MPI: the records of the ranks of a host are in memory that
// these share, and a thread of each rank answers questions of other hosts about them over TCP. It needs no
// progress of MPI and no working main thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "elbo/base/flight_recorder.h"
#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

// The place of a rank among those of its host, which share memory. Hosts may have the same name.
struct HostGroup {
  int first_rank = 0;  // the lowest of the host
  int local_rank = 0, local_size = 1;
};

class SideChannel {
 public:
  // Moves the record of this rank to the shared memory and starts the thread. Only processes that know a
  // secret of this job are answered. Collective.
  SideChannel(Communicator& world, const RankName& name, const HostGroup& on_host);
  ~SideChannel();
  SideChannel(const SideChannel&) = delete;
  SideChannel& operator=(const SideChannel&) = delete;

  // Says which ranks did not arrive where this one waits, and what they do; "" if that cannot be said. Takes
  // up to two seconds. Writes the records of all ranks to `folder`, unless it is empty; a failure is a
  // warning.
  std::string explain(const std::filesystem::path& folder) const;

 private:
  // How a rank can be asked.
  struct Peer {
    int rank = 0;
    std::string host;
    int group = 0;  // the lowest of the ranks that share their records
    int port = 0;
    std::vector<std::string> addresses;
  };
  struct Answer {
    RankState state;
    std::string ring;
  };
  void share_records(Communicator& world, const HostGroup& on_host);
  void exchange_peers(Communicator& world, int group);
  void serve() const;
  std::string describe_records() const;
  std::vector<Answer> ask(const Peer& peer) const;
  std::vector<Answer> ask_group(const std::vector<Peer>& group) const;
  std::vector<Answer> gather() const;

  RankName name_;
  std::shared_ptr<void> memory_;              // of the host, or null
  std::vector<const FlightRecord*> records_;  // of the host; of this rank if it cannot be shared
  std::string secret_;
  int listener_ = -1, port_ = 0;
  std::vector<Peer> peers_;
  std::thread server_;
};

}  // namespace elbo
