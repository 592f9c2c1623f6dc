#include "elbo/comm/side_channel.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <future>
#include <map>
#include <random>
#include <sstream>
#include <string_view>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/comm/host_memory.h"

namespace elbo {
namespace {

constexpr int answer_milliseconds = 500;  // for a rank of another host to connect, and again to answer
constexpr size_t ranks_asked = 3;         // of a host, one after another
constexpr size_t most_answer_bytes = 64 << 20;

class Socket {
 public:
  explicit Socket(int number) : number_(number) {}
  ~Socket() {
    if (number_ >= 0) ::close(number_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return number_; }

 private:
  int number_;
};

bool is_ready(int socket, short events, int milliseconds) {
  pollfd entry{.fd = socket, .events = events, .revents = 0};
  return ::poll(&entry, 1, milliseconds) == 1;
}

void send_all(int socket, std::string_view text) {
  while (!text.empty() && is_ready(socket, POLLOUT, answer_milliseconds)) {
    const ssize_t count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

// Up to `most` bytes, as far as they come in time.
std::string receive(int socket, size_t most) {
  std::string text;
  std::array<char, 1 << 14> piece{};
  while (text.size() < most && is_ready(socket, POLLIN, answer_milliseconds)) {
    const ssize_t count = ::recv(socket, piece.data(), std::min(piece.size(), most - text.size()), 0);
    if (count <= 0) break;
    text.append(piece.data(), static_cast<size_t>(count));
  }
  return text;
}

// IPv4 addresses of this host, those of other hosts' networks first.
std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {"127.0.0.1"};
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const bool used = entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET &&
                      (entry->ifa_flags & unsigned{IFF_UP}) != 0 &&
                      (entry->ifa_flags & unsigned{IFF_LOOPBACK}) == 0;
    std::array<char, INET_ADDRSTRLEN> text{};
    if (used && ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr,
                            text.data(), text.size()) != nullptr)
      addresses.emplace_back(text.data());
  }
  ::freeifaddrs(list);
  addresses.emplace_back("127.0.0.1");
  return addresses;
}

std::string random_secret() {
  std::random_device source;
  std::string secret;
  for (int i = 0; i < 4; ++i) secret += fmt::format("{:08x}", source());
  return secret;
}

int listen_anywhere(int& port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  auto* general = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || ::bind(listener, general, size) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, general, &size) != 0)
    return listener;
  port = ntohs(address.sin_port);
  return listener;
}

// Connects within answer_milliseconds.
bool connect_to(int socket, const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  int error = 0;
  socklen_t size = sizeof error;
  return is_ready(socket, POLLOUT, answer_milliseconds) &&
         ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

// The sentences of those who did not arrive, the dead ones first.
std::string sentences(std::vector<RankState> late) {
  constexpr size_t named = 4;
  std::ranges::stable_sort(late, std::ranges::greater{}, &RankState::dead);
  std::string text;
  for (size_t i = 0; i < std::min(late.size(), named); ++i) text += (i == 0 ? "" : "; ") + late[i].sentence();
  if (late.size() > named) text += fmt::format("; and {} other ranks", late.size() - named);
  return text;
}

}  // namespace

SideChannel::SideChannel(Communicator& world, const RankName& name, const HostGroup& on_host) : name_(name) {
  share_records(world, on_host);
  secret_ = broadcast_text(world, world.rank() == 0 ? random_secret() : "", 0);
  listener_ = listen_anywhere(port_);
  exchange_peers(world, memory_ ? on_host.first_rank : name_.rank);
  server_ = std::thread([this] { serve(); });
}

SideChannel::~SideChannel() {
  ::shutdown(listener_, SHUT_RDWR);
  server_.join();
  ::close(listener_);
}

void SideChannel::share_records(Communicator& world, const HostGroup& on_host) {
  FlightRecorder& recorder = FlightRecorder::instance();
  recorder.record().rank = name_.rank;
  const int size = on_host.local_size;
  memory_ = share_host_memory(world, on_host.local_rank, size * static_cast<int64_t>(sizeof(FlightRecord)),
                              [size](void* memory) {
                                for (int i = 0; i < size; ++i)
                                  new (static_cast<FlightRecord*>(memory) + i) FlightRecord;
                              });
  if (!memory_) {
    records_ = {&recorder.record()};
    return;
  }
  auto* all = static_cast<FlightRecord*>(memory_.get());
  recorder.move_to({memory_, all + on_host.local_rank});
  for (int i = 0; i < size; ++i) records_.push_back(all + i);
}

void SideChannel::exchange_peers(Communicator& world, int group) {
  const std::string mine =
      fmt::format("{}\t{}\t{}\t{}", name_.host, group, port_, join(own_addresses(), ","));
  const std::vector<std::string> all = all_gather_text(world, mine);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const std::vector<std::string> fields = split(all[rank], '\t');
    if (fields.size() != 4) fail("rank {} sent no address", rank);
    Peer peer{.rank = static_cast<int>(rank), .host = fields[0], .addresses = split(fields[3], ',')};
    const auto read = [](const std::string& field, int& number) {
      std::from_chars(field.data(), field.data() + field.size(), number);
    };
    read(fields[1], peer.group);
    read(fields[2], peer.port);
    peers_.push_back(std::move(peer));
  }
}

void SideChannel::serve() const {
  for (;;) {
    const Socket caller(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (caller.get() < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;  // the listener was shut down, or there was none
    }
    if (receive(caller.get(), secret_.size()) == secret_) send_all(caller.get(), describe_records());
  }
}

// For each rank a line, followed by those of its ring, which begin with a blank.
std::string SideChannel::describe_records() const {
  std::string text;
  for (const FlightRecord* record : records_) {
    text += to_line(state_of(*record, name_.host)) + "\n";
    std::istringstream ring(ring_text(*record));
    for (std::string line; std::getline(ring, line);) text += " " + line + "\n";
  }
  return text;
}

std::vector<SideChannel::Answer> SideChannel::ask(const Peer& peer) const {
  for (const std::string& address : peer.addresses) {
    const Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.get() < 0 || !connect_to(socket.get(), address, peer.port)) continue;
    send_all(socket.get(), secret_);
    std::vector<Answer> answers;
    std::istringstream lines(receive(socket.get(), most_answer_bytes));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(' ') && !answers.empty()) {
        answers.back().ring += line.substr(1) + "\n";
      } else {
        answers.push_back({state_from_line(line), ""});
      }
    }
    const auto is_peer = [&](const Answer& answer) { return answer.state.rank == peer.rank; };
    if (std::ranges::any_of(answers, is_peer)) return answers;
  }
  return {};
}

// Any rank of the group can answer for all, unless it is stopped or gone itself.
std::vector<SideChannel::Answer> SideChannel::ask_group(const std::vector<Peer>& group) const {
  for (size_t i = 0; i < std::min(group.size(), ranks_asked); ++i) {
    try {
      std::vector<Answer> answers = ask(group[i]);
      if (!answers.empty()) return answers;
    } catch (const Error& error) {
      log::warning("{}", error.what());
    }
  }
  std::vector<Answer> unknown;
  unknown.reserve(group.size());
  for (const Peer& peer : group) {
    RankState state;
    state.rank = peer.rank;
    state.host = peer.host;
    state.does = "does not answer: its host or the network to it is down, or it hangs";
    unknown.push_back({std::move(state), ""});
  }
  return unknown;
}

std::vector<SideChannel::Answer> SideChannel::gather() const {
  std::map<int, std::vector<Peer>> others;
  const int own = peers_[static_cast<size_t>(name_.rank)].group;
  for (const Peer& peer : peers_)
    if (peer.group != own) others[peer.group].push_back(peer);
  std::vector<std::future<std::vector<Answer>>> asked;
  asked.reserve(others.size());
  for (const auto& entry : others)
    asked.push_back(std::async(std::launch::async, [this, &entry] { return ask_group(entry.second); }));
  std::vector<Answer> answers;
  answers.reserve(peers_.size());
  for (const FlightRecord* record : records_)
    answers.push_back({state_of(*record, name_.host), ring_text(*record)});
  for (auto& group : asked)
    for (Answer& answer : group.get()) answers.push_back(std::move(answer));
  std::ranges::sort(answers, {}, [](const Answer& answer) { return answer.state.rank; });
  return answers;
}

std::string SideChannel::explain(const std::filesystem::path& folder) const {
  const std::vector<Answer> answers = gather();
  std::vector<RankState> late, behind;
  int64_t own_calls = 0;
  for (const Answer& answer : answers)
    if (answer.state.rank == name_.rank) own_calls = answer.state.calls;
  for (const auto& [state, ring] : answers) {
    if (state.rank == name_.rank) continue;
    if (state.late()) late.push_back(state);
    if (state.calls < own_calls) behind.push_back(state);
  }
  if (!folder.empty()) {
    try {
      std::filesystem::create_directories(folder);
      for (const auto& [state, ring] : answers)
        write_file(folder / fmt::format("rank_{:05}.txt", state.rank), state.sentence() + "\n" + ring);
    } catch (const std::exception& error) {
      log::warning("{}: the records of the ranks cannot be written: {}", folder.string(), error.what());
    }
  }
  return sentences(late.empty() ? behind : late);
}

}  // namespace elbo
