// Keeps LibTorch from printing warnings that say nothing to users.
#pragma once
#include <c10/util/Exception.h>

namespace elbo {

// While it exists, LibTorch's warnings in this thread are dropped.
class SilentWarnings {
 private:
  class Handler : public c10::WarningHandler {
   public:
    void process(const c10::Warning&) override {}
  };
  Handler handler_;
  c10::WarningUtils::WarningHandlerGuard guard_{&handler_};
};

}  // namespace elbo
