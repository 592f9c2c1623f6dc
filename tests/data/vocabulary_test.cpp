#include "elbo/data/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "data_test.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

using testing::ElementsAre;

Vocabulary vocabulary(const std::string& kind, const std::vector<std::string>& tokens) {
  Vocabulary all{{"<pad>", "<bos>", "<eos>", "<unk>"}, kind};
  all.tokens.insert(all.tokens.end(), tokens.begin(), tokens.end());
  return all;
}

TEST(Vocabulary, DecodesTheTokensBetweenBosAndEos) {
  const torch::Tensor rows =
      torch::tensor({{1, 4, 5, 2, 0}, {1, 3, 2, 4, 4}, {1, 2, 0, 0, 0}, {4, 4, 4, 5, 5}});
  EXPECT_THAT(vocabulary("words", {"a", "b"}).texts(rows.to(torch::kFloat32)),
              ElementsAre("a b", "<unk>", "", "a a a b b"));
}

TEST(Vocabulary, JoinsTokensAccordingToTheirKind) {
  const torch::Tensor rows = torch::tensor({{1, 4, 5, 6, 4, 2}});
  EXPECT_THAT(vocabulary("smiles", {"C", "Cl", "("}).texts(rows), ElementsAre("CCl(C"));
  EXPECT_THAT(vocabulary("characters", {"a", " ", "b"}).texts(rows), ElementsAre("a ba"));
  EXPECT_THAT(vocabulary("byte_pairs", {"lo", "w</w>", "er</w>"}).texts(rows), ElementsAre("low er lo"));
  const torch::Tensor unknown = torch::tensor({{1, 4, 5, 3, 4, 2}});
  EXPECT_THAT(vocabulary("byte_pairs", {"lo", "w</w>"}).texts(unknown), ElementsAre("low <unk> lo"));
  EXPECT_THAT(vocabulary("", {"x", "y", "z"}).texts(rows), ElementsAre("x y z x"));
}

class Texts : public DataTest {};

TEST_F(Texts, OfFixedAndOfVariableLengthAreRead) {
  const hdf5::Handle file = hdf5::create_file(path("texts.h5"));
  const std::vector<std::string> texts{"<pad>", "é", ""};
  EXPECT_EQ(hdf5::read_texts(hdf5::write_texts(file, "/any", texts)), texts);

  const hdf5::Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), 3);
  const hsize_t count = 2;
  const hdf5::Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const hdf5::Handle fixed(
      H5Dcreate2(file.get(), "/fixed", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
      H5Dclose);
  H5Dwrite(fixed.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, "a\0\0bcd");
  EXPECT_THAT(hdf5::read_texts(fixed), ElementsAre("a", "bcd"));

  EXPECT_THROW(hdf5::read_texts(hdf5::write_tensor(file, "/numbers", torch::arange(3))), Error);
}

}  // namespace
}  // namespace elbo
