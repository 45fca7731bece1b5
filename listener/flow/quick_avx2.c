/* SPDX-License-Identifier: Apache-2.0 */
/* quick.c, compiled for AVX2 and BMI (CMakeLists.txt). */
#if defined(__x86_64__) && defined(__AVX2__)
#define QUICK_PARSE quick_parse_avx2
#include "flow/quick.c" /* NOLINT(bugprone-suspicious-include) */
#endif
