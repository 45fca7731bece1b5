/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the quick ways this machine can run: asked at run time, of the processor. */
#include "flow/quick.h"

unsigned quick_parsers(quick_parser parsers[QUICK_PARSERS])
{
	unsigned n = 0;
	parsers[n++] = quick_parse_anywhere;
#ifdef __x86_64__
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
	    !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt"))
		return n;
	parsers[n++] = quick_parse_avx2;
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
		parsers[n++] = quick_parse_avx512;
#endif
	return n;
}

quick_parser quick_choose(void)
{
	quick_parser parsers[QUICK_PARSERS] = { NULL };
	return parsers[quick_parsers(parsers) - 1];
}
