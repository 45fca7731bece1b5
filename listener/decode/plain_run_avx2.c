/* SPDX-License-Identifier: Apache-2.0 */
/* plain_run.c, compiled for AVX2 (CMakeLists.txt). */
#if defined(__x86_64__) && defined(__AVX2__)
#define PLAIN_RUN plain_run_avx2
#include "decode/plain_run.c" /* NOLINT(bugprone-suspicious-include) */
#endif
