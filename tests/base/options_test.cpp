#include "elbo/base/options.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Settings {
  int64_t batch = 8;
  double lr = 0.1;
  bool exact = true;
  std::string name = "adam", every = "epoch", path;
  std::vector<int64_t> hidden{400, 200};
  OptionTable table() {
    OptionTable table;
    table.add("train.batch", batch, "samples a step", Range::at_least(1));
    table.add("train.exact", exact, "same bits");
    table.add("optimizer.lr", lr, "learning rate", Range::above(0));
    table.add_choice("optimizer.name", name, {"adam", "sgd"}, "the optimiser");
    table.add_number_or("evaluate.every", every, {"epoch", "never"}, "how often", Range::at_least(1));
    table.add("data.path", path, "a file");
    table.add("network.hidden", hidden, "widths", Range::at_least(1));
    return table;
  }
};

std::string usage_message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "no error";
}

std::string usage_message(const std::string& key, const std::string& value) {
  Settings settings;
  OptionTable table = settings.table();
  return usage_message([&] { table.set({key, value}, "--"); });
}

TEST(OptionTable, SetAssignsTheBoundVariable) {
  Settings settings;
  OptionTable table = settings.table();
  for (const Setting& setting : {Setting{"train.batch", "32"},
                                 {"train.exact", "False"},
                                 {"optimizer.lr", "1e-3"},
                                 {"optimizer.name", "sgd"},
                                 {"evaluate.every", "50"},
                                 {"data.path", "a b.h5"},
                                 {"network.hidden", "10, 20,30"}})
    table.set(setting, "--");
  EXPECT_EQ(settings.batch, 32);
  EXPECT_FALSE(settings.exact);
  EXPECT_EQ(settings.lr, 1e-3);
  EXPECT_EQ(settings.name, "sgd");
  EXPECT_EQ(settings.every, "50");
  EXPECT_EQ(settings.path, "a b.h5");
  EXPECT_EQ(settings.hidden, (std::vector<int64_t>{10, 20, 30}));
  EXPECT_TRUE(table.is_set("train.batch"));
}

TEST(OptionTable, AnUnknownKeyIsReportedWithTheNearestOne) {
  EXPECT_THAT(usage_message("trian.batch", "3"),
              AllOf(HasSubstr("trian.batch"), HasSubstr("did you mean train.batch?")));
  EXPECT_THAT(usage_message("optimizer.learning", "3"), HasSubstr("no such option"));
}

TEST(OptionTable, AnInvalidValueIsReportedWithWhatWasExpected) {
  EXPECT_THAT(usage_message("train.batch", "0"), AllOf(HasSubstr("train.batch=0"), HasSubstr("at least 1")));
  EXPECT_THAT(usage_message("train.batch", "1.5"), HasSubstr("whole number"));
  EXPECT_THAT(usage_message("train.batch", "99999999999999999999"),
              HasSubstr("a whole number of at least 1, at most 9223372036854775807"));
  EXPECT_THAT(usage_message("optimizer.lr", "1e308"), HasSubstr("a number above 0, at most 1e300"));
  EXPECT_THAT(usage_message("train.batch", ""), HasSubstr("whole number"));
  EXPECT_THAT(usage_message("optimizer.lr", "0"), HasSubstr("above 0"));
  EXPECT_THAT(usage_message("optimizer.lr", "nan"), HasSubstr("number"));
  EXPECT_THAT(usage_message("train.exact", "maybe"), HasSubstr("true or false"));
  EXPECT_THAT(usage_message("optimizer.name", "adma"), HasSubstr("adam, sgd"));
  EXPECT_THAT(usage_message("evaluate.every", "often"), HasSubstr("epoch or never"));
  EXPECT_THAT(usage_message("network.hidden", "10,x"), HasSubstr("separated by commas"));
}

TEST(OptionTable, TheIniFileRestoresTheSameValues) {
  Settings settings;
  settings.lr = 0.1 + 0.2;  // needs 17 digits
  settings.hidden = {};
  settings.path = "folder with spaces/data.h5";
  const std::string ini = settings.table().ini();
  Settings again;
  OptionTable table = again.table();
  for (const Setting& setting : parse_ini(ini, "run.ini")) table.set(setting, "run.ini");
  EXPECT_EQ(again.lr, settings.lr);
  EXPECT_EQ(again.hidden, settings.hidden);
  EXPECT_EQ(again.path, settings.path);
  EXPECT_EQ(table.ini(), ini);
}

TEST(OptionTable, ItsHelpIsWrappedAndAligned) {
  Settings settings;
  const std::string help =
      settings.table().help(60, [](const std::string& key) { return key == "train.batch"; });
  EXPECT_THAT(help, HasSubstr("[train]\n"
                              "* --train.batch=8       samples a step (a whole number of at\n"
                              "                        least 1)\n"
                              "  --train.exact=true    same bits (true or false)\n"));
  EXPECT_THAT(help, HasSubstr("\n  --network.hidden=400,200\n                        widths"));
  for (const std::string& line : split(help, '\n')) EXPECT_LE(line.size(), 60U) << line;
}

TEST(ParseIni, KeepsOrderAndSections) {
  const auto settings = parse_ini("[a]\nx = 1  # why\n\n# a remark\n[b]\ny= two words\n", "f.ini");
  EXPECT_EQ(settings, (std::vector<Setting>{{"a.x", "1"}, {"b.y", "two words"}}));
}

TEST(ParseIni, TakesWhatOtherProgramsWrite) {
  const auto settings = parse_ini("\xEF\xBB\xBF[a]\r\nx = 1 ; why\r\n; a remark\r\ny = a;b\r\n", "f.ini");
  EXPECT_EQ(settings, (std::vector<Setting>{{"a.x", "1"}, {"a.y", "a;b"}}));
}

TEST(ParseIni, ASyntaxErrorNamesTheFile) {
  EXPECT_THAT(usage_message([] { parse_ini("[a]\nx = 1\nnonsense\n", "f.ini"); }), HasSubstr("f.ini"));
  EXPECT_THAT(usage_message([] { parse_ini("[a]\nx = 1\n[b]\nx = 2\n[a]\nx = 3\n", "f.ini"); }),
              HasSubstr("sets a.x twice"));
  EXPECT_THAT(usage_message([] { parse_ini("\x89HDF\r\n", "f.h5"); }), HasSubstr("is an HDF5 file"));
}

CommandLine read(const std::vector<std::string>& words) {
  bool force = false;
  int64_t n = 1;
  std::string out;
  OptionTable table;
  table.add("force", force, "replaces the file");
  table.add("n", n, "rows");
  table.add("out", out, "a file");
  return parse_command_line(words, [&](const std::string& key) { return table.kind(key); });
}

TEST(CommandLine, ParsesPositionalArgumentsFlagsAndSettings) {
  const CommandLine line = read({"run", "--n=3", "--force", "--out=a=b", "--help"});
  EXPECT_EQ(line.positional, std::vector<std::string>{"run"});
  EXPECT_EQ(line.settings, (std::vector<Setting>{{"n", "3"}, {"force", "true"}, {"out", "a=b"}}));
  EXPECT_TRUE(line.help);
  EXPECT_THAT(usage_message([] { read({"-n"}); }), HasSubstr("--name=value"));
}

TEST(CommandLine, AValueMayBeTheNextWord) {
  const CommandLine line = read({"--n", "-3", "run", "--force", "data.h5", "--out", " a "});
  EXPECT_EQ(line.positional, (std::vector<std::string>{"run", "data.h5"}));
  EXPECT_EQ(line.settings, (std::vector<Setting>{{"n", "-3"}, {"force", "true"}, {"out", "a"}}));
}

TEST(CommandLine, AFlagTakesAValueOnlyAfterAnEqualsSign) {
  EXPECT_EQ(read({"--force=false"}).settings, (std::vector<Setting>{{"force", "false"}}));
  EXPECT_THAT(usage_message([] { read({"--force", "false"}); }), HasSubstr("--force=false"));
}

TEST(CommandLine, AnOptionWithoutItsValueIsAnError) {
  EXPECT_THAT(usage_message([] { read({"run", "--out"}); }), HasSubstr("--out=VALUE"));
  EXPECT_THAT(usage_message([] { read({"--out", "--n=3"}); }), HasSubstr("--out=VALUE"));
}

TEST(CommandLine, AnUnknownOptionIsLeftToTheTable) {
  EXPECT_EQ(read({"--wrong", "3"}).settings, (std::vector<Setting>{{"wrong", "3"}}));
  EXPECT_EQ(read({"--wrong"}).settings, (std::vector<Setting>{{"wrong", "true"}}));
}

}  // namespace
}  // namespace elbo
