#include <cmath>

#include "conversion.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CsvTest : public ConversionTest {};

TEST_F(CsvTest, QuotedFieldsAndBothLineEndsAreRead) {
  convert("csv", {write("a.csv", "\"first, of two\",\"say \"\"b\"\"\"\r\n1,2\n\n\"3\",\" 4\"\r\n5,+6e1")});
  EXPECT_EQ(kind(), "tabular");
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2, 3, 4, 5, 60));
}

TEST_F(CsvTest, WithoutAHeaderColumnsHaveNumbers) {
  convert("csv", {write("a.csv", "1;2;3\n4;5;6\n")}, {{"separator", ";"}, {"columns", "3,1"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(3, 1, 6, 4));
}

TEST_F(CsvTest, TextsBecomeCodesOrOneHotFeaturesAndLabelsClasses) {
  const std::string file =
      write("a.tsv", "size\tcolour\tkind\n1\tred\tcat\n2\tblue\tdog\n3\tred\tcat\n", true);
  convert("tsv", {file}, {{"label", "kind"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 1, 2, 0, 3, 1));
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0, 1, 0));
  EXPECT_EQ(integer_attribute("/train/label", "classes"), 2);
  std::filesystem::remove(out());
  convert("tsv", {file}, {{"label", "kind"}, {"categories", "one_hot"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 0, 1, 2, 1, 0, 3, 0, 1));
}

TEST_F(CsvTest, MissingValuesAreRefusedDroppedOrFilledIn) {
  const std::string file = write("a.csv", "a,b\n1,2\n,3\n5,4\n");
  EXPECT_THAT(refusal_of("csv", {file}), HasSubstr("a.csv, line 3: column 'a' has no value"));
  convert("csv", {file}, {{"missing", "drop"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2, 5, 4));
  std::filesystem::remove(out());
  convert("csv", {file}, {{"missing", "mean"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2, 3, 3, 5, 4));
}

TEST_F(CsvTest, StandardizationIsThatOfTheTrainingRows) {
  convert("csv", {write("train.csv", "a,b\n1,7\n3,7\n"), write("test.csv", "a,b\n4,8\n")},
          {{"standardize", "true"}});
  EXPECT_THAT(numbers(read("/standardization/mean")), ElementsAre(2, 7));
  EXPECT_THAT(numbers(read("/standardization/scale")), ElementsAre(1, 1));  // a constant keeps its unit
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(-1, 0, 1, 0));
  EXPECT_THAT(numbers(read("/test/x")), ElementsAre(2, 1));
}

TEST_F(CsvTest, WindowsOfChangesBecomeSequences) {
  const std::string file = write("prices.csv", "price\n1\n2\n4\n4\n2\n1\n");
  convert("csv", {file}, {{"transform", "log_returns"}, {"window", "2"}});
  const double step = static_cast<float>(std::log(2.0));
  EXPECT_EQ(kind(), "sequence");
  EXPECT_EQ(read("/train/x").sizes(),
            (std::vector<int64_t>{2, 2, 1}));  // the fifth return does not fill a window
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(step, step, 0, -step));
  std::filesystem::remove(out());
  convert("csv", {file}, {{"transform", "differences"}, {"window", "2"}, {"stride", "1"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2, 2, 0, 0, -2, -2, -1));
  std::filesystem::remove(out());
  convert("csv", {file}, {{"window", "2"}, {"stride", "3"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2, 4, 2));
}

TEST_F(CsvTest, ErrorsNameTheirCause) {
  const auto refusal = [&](const std::string& text, const std::vector<Setting>& settings = {}) {
    return refusal_of("csv", {write("a.csv", text)}, settings);
  };
  EXPECT_THAT(refusal("a,b\n1,2\n3\n"), HasSubstr("a.csv, line 3: has 1 fields; expected 2 as in line 1"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n"), HasSubstr("line 2: a quoted field is not closed"));
  EXPECT_THAT(refusal("a,b\n1,\"2\"3\n"), HasSubstr("'3' follows a closing quote"));
  EXPECT_THAT(refusal("a,b\n1,inf\n"), HasSubstr("line 2: column 'b' holds inf"));
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("a,b\n"), HasSubstr("column 'a' has no values"));
  EXPECT_THAT(refusal("price,b\n1,2\n", {{"label", "prise"}}), HasSubstr("did you mean price?"));
  EXPECT_THAT(refusal("a\n1\n-1\n", {{"transform", "log_returns"}}),
              HasSubstr("line 3: column 'a' holds -1"));
  EXPECT_THAT(refusal("a\n1\n2\n", {{"window", "2"}, {"stride", "1"}, {"test_fraction", "0.1"}}),
              HasSubstr("overlap"));
  EXPECT_THAT(refusal("a\n1\n2\n", {{"window", "3"}}), HasSubstr("would have no rows"));
}

}  // namespace
}  // namespace elbo
