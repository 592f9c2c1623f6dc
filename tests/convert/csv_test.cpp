#include <cmath>

#include "conversion.h"
#include "elbo/convert/csv_values.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CsvTest : public ConversionTest {};

TEST_F(CsvTest, LeadingZerosThatAreLostAreSaid) {
  testing::internal::CaptureStderr();
  convert("csv", {write("zip.csv", "zip,a\n10115,0\n01067,0.5\n")});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("lose their leading zeros; --categorical keeps codes: column zip, such as '01067'"));
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(10115, 0, 1067, 0.5));
}

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

TEST_F(CsvTest, NumbersAreReadInTheNotationOfTheirColumn) {
  EXPECT_EQ(value_of("-1,234.5", Notation::point), -1234.5);
  EXPECT_EQ(value_of(" 1.234,5 ", Notation::comma), 1234.5);
  EXPECT_EQ(value_of("1\u202f234,5", Notation::comma), 1234.5);
  EXPECT_EQ(value_of("1'234.5e-1", Notation::point), 123.45);
  EXPECT_EQ(value_of("\u22124", Notation::point), -4);
  for (const char* text :
       {"", "-", ".", "1,23", "12,34,567", "0,123.4", "1 2", "1.2.3", "1e", "1..2", "n.d."})
    EXPECT_FALSE(value_of(text, Notation::point)) << text;
  for (const char* text : {"4.87", "1,2,3", "1.23,4"}) EXPECT_FALSE(value_of(text, Notation::comma)) << text;
}

TEST_F(CsvTest, DatesAreDaysAndTimesHours) {
  for (const char* text : {"2020-12-31", "2020/12/31", "31.12.2020", "31.12.20", "31 Dec 2020", "31-Dec-20",
                           "December 31, 2020", "2020-Dec-31"}) {
    EXPECT_EQ(value_of(text, Notation::day_first), 18627) << text;
    EXPECT_EQ(value_of(text, Notation::month_first), 18627) << text;
  }
  EXPECT_EQ(value_of("31/12/2020", Notation::day_first), 18627);
  EXPECT_EQ(value_of("12/31/2020", Notation::month_first), 18627);
  EXPECT_EQ(value_of("1970-02", Notation::day_first), 31);
  EXPECT_EQ(value_of("1969-12-31T12:00:00Z", Notation::day_first), -0.5);
  EXPECT_EQ(value_of("1/2/1970 6:00 PM", Notation::month_first), 1.75);
  EXPECT_EQ(value_of("1970-01-02 01:00:00.0+01:00", Notation::day_first), 1);
  EXPECT_EQ(value_of("23:45:00", Notation::clock), 23.75);
  for (const char* text :
       {"31/31/2020", "2020-02-30", "2020-13-01", "1.2", "5 mg", "12:00", "2020-01-01 25:00", "1/2"})
    EXPECT_FALSE(value_of(text, Notation::day_first)) << text;
}

TEST_F(CsvTest, DecimalCommasAndSeparatorsAreRecognised) {
  const std::string file = write("a.csv", "\xef\xbb\xbfx;y;z\r\n4,87;1.234;7\r\n5,5;12;8\r\n");
  convert("csv", {file});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(static_cast<float>(4.87), 1234, 7, 5.5, 12, 8));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("csv", {file}, {{"decimal", "."}}), HasSubstr("column 'x': '4,87'"));
  convert("csv", {write("b.csv", "x,y\n\"1,234.5\",\"1,234\"\n2,5\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1234.5, 1234, 2, 5));
  std::filesystem::remove(out());
  const std::string unclear = write("c.csv", "x;y\n1,234;1\n5,678;2\n");
  EXPECT_THAT(refusal_of("csv", {unclear}), HasSubstr("use --decimal=,"));
  convert("csv", {unclear}, {{"decimal", ","}});
  EXPECT_THAT(numbers(read("/train/x")),
              ElementsAre(static_cast<float>(1.234), 1, static_cast<float>(5.678), 2));
  std::filesystem::remove(out());
  convert("csv", {write("d.csv", "1,5|2\n3,5|4\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1.5, 2, 3.5, 4));
}

TEST_F(CsvTest, WordsForMissingValuesAmongNumbers) {
  const std::string file = write("a.csv", "a,b\n1,2\nn.d.,3\n5,-999\n");
  EXPECT_THAT(refusal_of("csv", {file}), HasSubstr("line 3: column 'a' has no value but 'n.d.'"));
  convert("csv", {file}, {{"missing", "drop"}, {"missing_values", "-999"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 2));
  std::filesystem::remove(out());
  convert("csv", {file}, {{"missing", "keep"}, {"standardize", "true"}});
  EXPECT_THAT(numbers(read("/standardization/mean")), ElementsAre(3, testing::DoubleNear(-994 / 3.0, 1e-9)));
  EXPECT_TRUE(std::isnan(numbers(read("/train/x"))[2]));
  std::filesystem::remove(out());
  convert("csv", {write("texts.csv", "a,b\n1,n.d.\n2,yes\n")});  // among texts it is one of them
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 0, 2, 1));
}

TEST_F(CsvTest, NumbersAmongTextsAreNotRanked) {
  const std::string file = write("a.csv", "a,b\n1,2\n<0.5,3\n5,4\n");
  EXPECT_THAT(refusal_of("csv", {file}),
              testing::AllOf(HasSubstr("column 'a': '<0.5' in "), HasSubstr("line 3")));
  convert("csv", {file}, {{"drop", "a"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(2, 3, 4));
  std::filesystem::remove(out());
  convert("csv", {file}, {{"categorical", "a"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(0, 2, 2, 3, 1, 4));  // "1", "5", "<0.5"
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("csv", {write("b.csv", "a,a\n1,2\n3,4\n")}), HasSubstr("--header=yes"));
  std::string doses = "dose\n", names = "who\n", mixed = "x\n";
  for (int i = 0; i < 60; ++i) {
    doses += fmt::format("{} mg\n", i);
    names += fmt::format("p{}\n", i);
    mixed += i % 3 == 0 ? fmt::format("{}\n", i) : "trace\n";
  }
  EXPECT_THAT(refusal_of("csv", {write("doses.csv", doses)}), HasSubstr("'0 mg' in "));
  EXPECT_THAT(refusal_of("csv", {write("names.csv", names)}), HasSubstr("60 of its 60 values differ"));
  convert("csv", {write("mixed.csv", mixed)});  // 20 numbers and many texts: categories, with a warning
  std::filesystem::remove(out());
}

TEST_F(CsvTest, DatesBecomeDays) {
  const std::string file = write("a.csv", "day,x\n31/01/2020,1\n01/02/2020,2\n");
  convert("csv", {file});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(18292, 1, 18293, 2));
  std::filesystem::remove(out());
  const std::string unclear = write("b.csv", "day,x\n01/02/2020,1\n03/02/2020,2\n");
  EXPECT_THAT(refusal_of("csv", {unclear}), HasSubstr("--dates=month_first"));
  convert("csv", {unclear}, {{"dates", "month_first"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(18263, 1, 18323, 2));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("csv", {write("c.csv", "day,x\n2020-01-01,1\nlater,2\n")}),
              HasSubstr("is among dates"));
}

TEST_F(CsvTest, LabelsThatAreWholeNumbersAreClasses) {
  convert("csv", {write("a.csv", "x,y\n1,0.0\n2,2.0\n3,1.0\n")}, {{"label", "y"}});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0, 2, 1));
  EXPECT_EQ(integer_attribute("/train/label", "classes"), 3);
  std::filesystem::remove(out());
  convert("csv", {write("b.csv", "x;y\n1;0,5\n2;1,5\n")}, {{"label", "y"}});
  EXPECT_EQ(read("/train/label").scalar_type(), torch::kFloat32);
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0.5, 1.5));
}

TEST_F(CsvTest, ColumnsWithoutANameAreIndexesOrEmpty) {
  convert("csv", {write("a.csv", ",x,y\n0,5,6\n1,7,8\n")});  // as pandas and R write
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(5, 6, 7, 8));
  std::filesystem::remove(out());
  convert("csv", {write("b.csv", "x,y,\n5,6,\n7,8,\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(5, 6, 7, 8));
}

TEST_F(CsvTest, OtherEncodings) {
  convert("csv", {write("a.csv",
                        "x,stra\xdf"
                        "e\n1,M\xfcller\n2,\x80\n")});
  const hdf5::Handle file = hdf5::open_file(out());
  EXPECT_THAT(hdf5::read_texts(hdf5::open_dataset(file, "/features")), ElementsAre("x", "straße"));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("csv", {write("b.csv", std::string("\xff\xfex\0,\0y\0", 8))}), HasSubstr("UTF-16"));
  EXPECT_THAT(refusal_of("csv", {write("c.csv", "x,y\r1,2\r3,4")}), HasSubstr("carriage return"));
}

TEST_F(CsvTest, NamesThatRepeatAreNumbered) {
  const std::string table = write("a.csv", "a,a,b,a.1\n1,2,3,4\n");
  EXPECT_THAT(refusal_of("csv", {table}), HasSubstr("not taken for a header because it repeats 'a'"));
  testing::internal::CaptureStderr();
  convert("csv", {table}, {{"header", "yes"}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the second 'a' is"));
  const hdf5::Handle file = hdf5::open_file(out());
  EXPECT_THAT(hdf5::read_texts(hdf5::open_dataset(file, "/features")), ElementsAre("a", "a.2", "b", "a.1"));
}

TEST_F(CsvTest, ErrorsNameTheirCause) {
  const auto refusal = [&](const std::string& text, const std::vector<Setting>& settings = {}) {
    return refusal_of("csv", {write("a.csv", text)}, settings);
  };
  EXPECT_THAT(refusal("a,b\n1,2\n3\n"), HasSubstr("a.csv, line 3: has 1 fields; expected 2 as in line 1"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n"), HasSubstr("line 2: a quoted field is not closed"));
  EXPECT_THAT(refusal("a,b\n1,\"2\"3\n"), HasSubstr("'3' follows a closing quote"));
  EXPECT_THAT(refusal("a\n120 340\n1 2\n"), HasSubstr("use --separator=' '"));
  EXPECT_THAT(refusal("a\n1e40\n"), HasSubstr("float32 holds 3.4e38"));
  EXPECT_THAT(refusal("a,b\n1,inf\n"), HasSubstr("line 2: column 'b' holds inf"));
  EXPECT_THAT(refusal(std::string("a,b\n1,2\n1,\0\n", 12)), HasSubstr("a.csv, line 3: is not text"));
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
