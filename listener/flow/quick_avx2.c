/* SPDX-License-Identifier: Apache-2.0 */
/* quick.c, compiled for AVX2 and BMI (CMakeLists.txt), and the choice between the two. */
#if defined(__x86_64__) && defined(__AVX2__)
#define QUICK_PARSE quick_parse_avx2
#include "flow/quick.c" /* NOLINT(bugprone-suspicious-include) */

quick_parser quick_choose(void)
{
	bool here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
		    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
	return here ? quick_parse_avx2 : quick_parse_anywhere;
}
#else
#include "flow/quick.h"

quick_parser quick_choose(void)
{
	return quick_parse_anywhere;
}
#endif
