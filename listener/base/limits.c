/* SPDX-License-Identifier: Apache-2.0 */
/* The defaults, out of the table in limits.h. */
#include "base/limits.h"

struct limits limits_standard(void)
{
	return (struct limits){
#define X(member, option, unit, standard, least, greatest, why) .member = (standard),
		LIMITS(X)
#undef X
	};
}
