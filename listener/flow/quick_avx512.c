/* SPDX-License-Identifier: Apache-2.0 */
/* quick.c, compiled for AVX-512 with what Intel has since 2019 and AMD since 2022 (CMakeLists.txt). */
#if defined(__x86_64__) && defined(__AVX512VBMI2__)
#define QUICK_PARSE quick_parse_avx512
#include "flow/quick.c" /* NOLINT(bugprone-suspicious-include) */
#endif
