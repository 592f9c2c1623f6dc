#include "comm/cuda_library.h"
