// What NVRTC lacks of the compiler's built-in functions and of <stdint.h>.
#pragma once

using int8_t = signed char;
using uint8_t = unsigned char;
using int32_t = int;
using uint32_t = unsigned int;
using int64_t = long long;
using uint64_t = unsigned long long;

#define __builtin_memcpy memcpy
#define __builtin_fabs fabs
#define __builtin_fabsf fabsf
#define __builtin_sqrt __dsqrt_rn
#define __builtin_sqrtf __fsqrt_rn
#define __builtin_fmaf __fmaf_rn
#define __builtin_inf() __builtin_bit_cast(double, 0x7ff0000000000000ULL)
#define __builtin_nan(text) __builtin_bit_cast(double, 0x7ff8000000000000ULL)
