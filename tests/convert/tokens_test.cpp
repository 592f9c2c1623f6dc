#include "elbo/convert/tokens.h"

#include "conversion.h"
#include "elbo/convert/byte_pairs.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TokensTest : public ConversionTest {
 protected:
  std::vector<std::string> names(const std::string& dataset) const {
    return hdf5::read_texts(hdf5::open_dataset(hdf5::open_file(out()), dataset));
  }
};

TEST_F(TokensTest, LinesAreCutIntoCharactersWordsAndAtoms) {
  EXPECT_THAT(characters_of("né 1"), ElementsAre("n", "é", " ", "1"));
  EXPECT_THAT(words_of("It's  3%, naïve_1!"), ElementsAre("It's", "3", "%", ",", "naïve_1", "!"));
  EXPECT_THAT(smiles_of("C[C@@H](Br)Cl%12=c1"),
              ElementsAre("C", "[C@@H]", "(", "Br", ")", "Cl", "%12", "=", "c", "1"));
}

TEST_F(TokensTest, MergesAreThoseOfThePaper) {
  // Sennrich et al. 2016, section 3.2, with the end-of-word mark on the last letter.
  const std::vector<Merge> merges =
      learn_merges({{"low", 5}, {"lower", 2}, {"newest", 6}, {"widest", 3}}, 17);
  EXPECT_THAT(merges, ElementsAre(Merge{"e", "s"}, Merge{"es", "t</w>"}, Merge{"l", "o"}, Merge{"e", "w"},
                                  Merge{"ew", "est</w>"}, Merge{"n", "ewest</w>"}));
  BytePairs pairs(merges);
  EXPECT_THAT(pairs.pieces_of("lowest"), ElementsAre("lo", "w", "est</w>"));
  EXPECT_THAT(pairs.pieces_of("newest"), ElementsAre("newest</w>"));
}

TEST_F(TokensTest, RowsBeginEndAndArePadded) {
  convert("text", {write("train.txt", "a b a\na\n\nc b a d\n"), write("test.txt", "z a\n")},
          {{"length", "5"}, {"longer", "drop"}});
  EXPECT_EQ(kind(), "tokens");
  // By count, then by bytes, after the four special ones: a is 4, b is 5.
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 4, 5, 4, 2, 1, 4, 2, 0, 0));
  EXPECT_THAT(numbers(read("/train/length")), ElementsAre(5, 3));
  EXPECT_THAT(numbers(read("/test/x")), ElementsAre(1, 3, 4, 2, 0));
  std::filesystem::remove(out());
  convert("text", {path("train.txt")}, {{"length", "4"}, {"longer", "cut"}, {"vocabulary", "5"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 4, 3, 2, 1, 4, 2, 0, 1, 3, 3, 2));
}

TEST_F(TokensTest, BytePairsStoreTheirMerges) {
  convert("text", {write("a.txt", "low low lowest\n")}, {{"tokens", "byte_pairs"}, {"vocabulary", "20"}});
  EXPECT_TRUE(has("/merges"));
  EXPECT_EQ(read("/train/x").size(0), 1);
}

TEST_F(TokensTest, MoleculesAreTheFirstColumn) {
  convert("smiles", {write("train.csv.gz", "SMILES,split\nCCl,train\n[NH4+],train\n", true),
                     write("valid.smi", "ClC 7\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 4, 5, 2, 1, 6, 2, 0));
  EXPECT_THAT(numbers(read("/validation/x")), ElementsAre(1, 5, 4, 2));
}

TEST_F(TokensTest, MoleculesAreTheColumnThatAHeaderNames) {
  convert("smiles", {write("train.csv", "id,\"SMILES\",weight\n7,CCl,1\n8,C,2\n"),
                     write("valid.smi", "name smiles\na ClC\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 4, 5, 2, 1, 4, 2, 0));
  EXPECT_THAT(numbers(read("/validation/x")), ElementsAre(1, 5, 4, 2));
}

TEST_F(TokensTest, TheSeparatorOfTheHeaderAndQuotesDivideATableOfMolecules) {
  convert("smiles",
          {write("train.csv", "\xef\xbb\xbfname,smiles,logP\nvitamin C,CCl,0.1\n\"C, N; \"\"x\"\"\",C,2\n"),
           write("valid.csv", "Molecule ChEMBL ID;Name;Smiles\nCHEMBL1;A B;ClC\nCHEMBL2;;C\n"),
           write("test.csv", "\"Molecule ChEMBL ID\";\"Smiles\"\n\"CHEMBL3\";\"ClCC\"\n"),
           write("test_2.tsv", "\nsmiles\tlogP, measured\nC\t1, 2\n")});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(1, 4, 5, 2, 0, 1, 4, 2, 0, 0));
  EXPECT_THAT(names("/train/name"), ElementsAre("vitamin C", "C, N; \"x\""));
  EXPECT_THAT(numbers(read("/validation/x")), ElementsAre(1, 5, 4, 2, 0, 1, 4, 2, 0, 0));
  EXPECT_THAT(names("/validation/name"), ElementsAre("CHEMBL1", "CHEMBL2"));
  EXPECT_THAT(numbers(read("/test/x")), ElementsAre(1, 5, 4, 4, 2, 1, 4, 2, 0, 0));
  EXPECT_THAT(names("/test/name"), ElementsAre("CHEMBL3", ""));
}

TEST_F(TokensTest, MoleculesKeepTheirNames) {
  convert("smiles", {write("train.smi", "CCl mol0\nC\tname with smiles, a word\nCC\n"),
                     write("valid.smi", "name smiles\na ClC\n"), write("test.smi", "SMILES Name\nC  b c\n")});
  EXPECT_THAT(names("/train/name"), ElementsAre("mol0", "name with smiles, a word", ""));
  EXPECT_THAT(names("/validation/name"), ElementsAre("a"));
  EXPECT_THAT(names("/test/name"), ElementsAre("b c"));
  std::filesystem::remove(out());
  convert("smiles", {write("a.smi", "CCl\nC,7\n")});
  EXPECT_FALSE(has("/train/name"));
}

TEST_F(TokensTest, ASeparatorInsideAnUnquotedNameIsRefused) {
  EXPECT_THAT(refusal_of("smiles", {write("a.csv", "name,smiles\nx,C\na, b,C\n")}),
              HasSubstr("a.csv, line 3: has 3 columns; expected 2 as in the header: quote"));
  EXPECT_THAT(refusal_of("smiles", {write("b.smi", "name smiles\nvitamin C CCO\n")}),
              HasSubstr("b.smi, line 2: has 3 columns; expected 2"));
}

TEST_F(TokensTest, LinesThatAreNotMoleculesAreRefusedOrSkipped) {
  const std::string lines = write("a.csv", "id,smiles\n1,CC\n2,\n3,C[N\n4\n");
  EXPECT_THAT(refusal_of("smiles", {lines}),
              HasSubstr("a.csv, line 3: column 2 is empty; expected a molecule"));
  EXPECT_THAT(refusal_of("smiles", {write("b.csv", ",CC\n")}), HasSubstr("b.csv, line 1: column 1 is empty"));
  convert("smiles", {lines}, {{"bad", "skip"}});
  EXPECT_EQ(read("/train/x").size(0), 1);
}

TEST_F(TokensTest, ErrorsNameTheirCause) {
  const std::string text = write("a.txt", "fine\n\xff\n");
  EXPECT_THAT(refusal_of("text", {text}), HasSubstr("a.txt, line 2: is not UTF-8"));
  EXPECT_THAT(refusal_of("text", {write("b.txt", "\n\n")}), HasSubstr("b.txt: has no lines"));
  EXPECT_THAT(refusal_of("text", {write("test.txt", "a\n")}), HasSubstr("no training lines"));
  EXPECT_THAT(refusal_of("text", {write("c.txt", "abc\n")}, {{"length", "2"}}),
              HasSubstr("expected at least 3"));
  EXPECT_THAT(
      refusal_of("text", {write("d.txt", "abcdef\n")}, {{"tokens", "byte_pairs"}, {"vocabulary", "8"}}),
      HasSubstr("has 6 different characters"));
  EXPECT_THAT(refusal_of("smiles", {write("d.smi", "CC\nC[N\n")}),
              HasSubstr("d.smi, line 2: 'C[N' is not a SMILES string"));
  EXPECT_THAT(refusal_of("smiles", {write("e.smi", "CJ\n")}), HasSubstr("'J' (character 2)"));
  EXPECT_THAT(refusal_of("smiles", {write("f.smi", std::string("C\0\n", 3))}),
              HasSubstr("(byte 2 of the line is 0x00)"));
  EXPECT_THAT(refusal_of("smiles", {write("g.smi", "C[\xff]\n")}), HasSubstr("is not UTF-8"));
}

}  // namespace
}  // namespace elbo
