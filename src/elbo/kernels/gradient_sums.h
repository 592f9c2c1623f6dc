// Sums of gradients to which a layer's derivative adds directly, without a separate tensor.
#pragma once
#include <cstdint>
#include <map>
#include <optional>

namespace elbo {

// The sums of a thread for the parameters in one range of memory. A layer that multiplies by a parameter
// counts that use in its forward pass. If there is no other use, its derivative may take the parameter's
// sums, and add to them.
class GradientSums {
 public:
  // From now on the parameters from `parameters` on have their sums from `sums` on, in the same order, for
  // one forward and one backward pass. adds: the sums have numbers, else the gradients replace what is there.
  void begin(const float* parameters, int64_t floats, float* sums, bool adds);

  // While it exists, the calling thread has these sums.
  class Use {
   public:
    explicit Use(GradientSums& sums);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

  static void count_use(const float* parameter);
  static void exclude(const float* parameter);  // it has uses that are not counted
  struct Place {
    float* sums;
    bool adds;
  };
  // Where to add the whole gradient of a parameter; none where the thread has no sums of it, or where it is
  // used more than once.
  static std::optional<Place> take(const float* parameter);

  // Whether the parameter's sums were taken since begin().
  bool taken(const float* parameter) const;

 private:
  struct Parameter {
    int uses = 0;
    bool taken = false;
  };

  const float* parameters_ = nullptr;
  int64_t floats_ = 0;
  float* sums_ = nullptr;
  bool adds_ = false;
  std::map<const float*, Parameter> used_;
};

}  // namespace elbo
