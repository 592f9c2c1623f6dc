#include "elbo/run/run_lines.h"

#include <gtest/gtest.h>

#include <string>

namespace elbo {
namespace {

TEST(RunLinesTest, TakesWhatElboWrites) {
  for (const char* line :
       {R"({"step":1,"split":"train","loss":null,"terms":{"kl":2.5,"reconstruction":null},"skipped":true})",
        R"({"step":20,"split":"validation","loss":3,"kl_per_dim":[0.1,null],"code_uses":[3,0]})",
        R"({"event":"started","step":0,"time":"2026-01-01T00:00:00Z","changes":["optimizer.lr=1"]})",
        R"({"step":7,"split":"train","device_memory":{"peak":3}})"})
    EXPECT_TRUE(parse_run_line(line)) << line;
}

TEST(RunLinesTest, LeavesOutWhatElboDoesNotWrite) {
  for (const std::string& line :
       {std::string(), std::string("5"), std::string("[1]"), std::string("{"), std::string(R"({"step":1})"),
        std::string(R"({"split":"train"})"), std::string(R"({"step":-1,"split":"train"})"),
        std::string(R"({"step":1e300,"event":"ended"})"), std::string(R"({"step":"1","event":"ended"})"),
        std::string(R"({"step":1,"event":5})"), std::string(R"({"step":1,"split":[]})"),
        std::string(R"({"step":1,"split":"train","loss":"low"})"),
        std::string(R"({"step":1,"split":"train","terms":[1]})"),
        std::string(R"({"step":1,"split":"train","terms":{"kl":"much"}})"),
        std::string(R"({"step":1,"split":"test","kl_per_dim":5})"),
        R"({"step":1,"event":"ended","why":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}"})
    EXPECT_FALSE(parse_run_line(line)) << line.substr(0, 80);
}

}  // namespace
}  // namespace elbo
