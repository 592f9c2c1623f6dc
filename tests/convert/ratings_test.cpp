#include "conversion.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RatingsTest : public ConversionTest {};

const std::string typed =
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "u\ta\t5\t30\n"
    "v\ta\t4\t1\n"
    "u\tb\t1\t20\n"
    "u\tc\t3\t10\n"
    "v\tb\t2\t2\n"
    "w\tb\t5\t1\n";

TEST_F(RatingsTest, UsersAreSparseRows) {
  convert("ratings", {write("a.inter", typed)}, {{"values", "rating"}});
  EXPECT_EQ(kind(), "interactions");
  // Items are numbered by first occurrence, sorted by user and time: c, b, a.
  EXPECT_THAT(numbers(read("/train/offsets")), ElementsAre(0, 3, 5, 6));
  EXPECT_THAT(numbers(read("/train/indices")), ElementsAre(0, 1, 2, 1, 2, 1));
  EXPECT_THAT(numbers(read("/train/values")), ElementsAre(3, 1, 5, 2, 4, 5));
  EXPECT_EQ(integer_attribute("/train", "features"), 3);
}

TEST_F(RatingsTest, TheLastOfEachUserAreHeldOut) {
  convert("ratings", {write("a.inter", typed)}, {{"leave_out", "1"}});
  EXPECT_THAT(numbers(read("/train/offsets")), ElementsAre(0, 2, 3));  // w has no other
  EXPECT_THAT(numbers(read("/train/indices")), ElementsAre(0, 1, 2));
  EXPECT_THAT(numbers(read("/train/values")), ElementsAre(1, 1, 1));
  EXPECT_THAT(numbers(read("/train/held_out/indices")), ElementsAre(2, 1));
  EXPECT_THAT(numbers(read("/train/held_out/offsets")), ElementsAre(0, 1, 2));
}

TEST_F(RatingsTest, WeakRatingsAndRareUsersAreLeftOut) {
  convert("ratings", {write("a.inter", typed)}, {{"minimum_rating", "3"}, {"minimum_user", "2"}});
  EXPECT_THAT(numbers(read("/train/offsets")), ElementsAre(0, 2));
  EXPECT_EQ(integer_attribute("/train", "features"), 2);
}

TEST_F(RatingsTest, ALaterWeakRatingReplacesAStrongOne) {
  const std::string again = typed + "u\ta\t1\t99\nw\tb\t3.3\t0\nw\tc\t3.3\t2\n";
  convert("ratings", {write("a.inter", again)}, {{"minimum_rating", "3.3"}});
  EXPECT_THAT(numbers(read("/train/offsets")), ElementsAre(0, 1, 3));  // u has no strong rating left
  const hdf5::Handle file = hdf5::open_file(out());
  EXPECT_THAT(hdf5::read_texts(hdf5::open_dataset(file, "/train/name")), ElementsAre("v", "w"));
}

TEST_F(RatingsTest, FilesWithoutAHeaderAreReadByPosition) {
  convert("ratings", {write("ratings.dat", "1::7::5::100\n1::7::2::90\n2::8::3::5\n")},
          {{"values", "rating"}});
  EXPECT_THAT(numbers(read("/train/values")), ElementsAre(5, 3));  // the later rating of a pair counts
  std::filesystem::remove(out());
  convert("ratings", {write("a.csv", "x,y\nn,m\n")}, {{"header", "no"}});
  EXPECT_THAT(numbers(read("/train/indices")), ElementsAre(0, 1));
}

TEST_F(RatingsTest, NumbersMayHaveCommasAndTimesMayBeDates) {
  convert("ratings",
          {write("a.csv", "user;item;rating;date\nu;a;4,5;2020-01-03 10:00:00\nu;b;3;2020-01-03 09:59:59\n")},
          {{"values", "rating"}, {"leave_out", "1"}});
  EXPECT_THAT(numbers(read("/train/values")), ElementsAre(3));
  EXPECT_THAT(numbers(read("/train/held_out/indices")), ElementsAre(1));  // a, a second later than b
  std::filesystem::remove(out());
  // Without a header, the decimal comma is not taken for the separator.
  convert("ratings", {write("b.csv", "1;7;4,5;31.12.2020\n1;8;2,5;30.12.2020\n")}, {{"values", "rating"}});
  EXPECT_THAT(numbers(read("/train/values")), ElementsAre(2.5, 4.5));
}

TEST_F(RatingsTest, ErrorsNameTheirCause) {
  const auto refusal = [&](const std::string& text, const std::vector<Setting>& settings = {}) {
    return refusal_of("ratings", {write("a.csv", text)}, settings);
  };
  EXPECT_THAT(refusal("a\n"), HasSubstr("its first line has one field"));
  EXPECT_THAT(refusal("who,what\n1,2\n"), HasSubstr("set --user to one of"));
  EXPECT_THAT(refusal("user,item,rating\n1,2,good\n"), HasSubstr("line 2: the rating is 'good'"));
  EXPECT_THAT(refusal("user;item;rating\n1;2;4,5\n1;3;4.5\n"), HasSubstr("others have a decimal comma"));
  EXPECT_THAT(refusal("user,item,rating\n1,2,\"1,234\"\n"), HasSubstr("with commas between thousands"));
  EXPECT_THAT(refusal("user,item,time\n1,2,soon\n"),
              HasSubstr("line 2: the time is 'soon'; expected a number"));
  EXPECT_THAT(refusal("user,item,time\n1,2,7\n1,3,2020-01-01\n"), HasSubstr("as in the lines before"));
  EXPECT_THAT(refusal("user,item,time\n1,2,03/04/2020\n"), HasSubstr("with the day first and another with"));
  EXPECT_THAT(refusal("user,item\n1,2\n", {{"values", "rating"}}),
              HasSubstr("has no column with a usual name for ratings"));
  EXPECT_THAT(refusal("user,item\n1,\n"), HasSubstr("line 2: has no item"));
  EXPECT_THAT(refusal("user,item\n1,2\n", {{"minimum_user", "2"}}), HasSubstr("no interaction is left"));
}

}  // namespace
}  // namespace elbo
