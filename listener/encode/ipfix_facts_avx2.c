/* SPDX-License-Identifier: Apache-2.0 */
/* ipfix_facts.c, compiled for AVX2 (CMakeLists.txt). */
#if defined(__x86_64__) && defined(__AVX2__)
#define RECORD_FACTS record_facts_avx2
#include "encode/ipfix_facts.c" /* NOLINT(bugprone-suspicious-include) */
#endif
