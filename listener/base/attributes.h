/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_ATTRIBUTES_H
#define VPCFLOWD_BASE_ATTRIBUTES_H

#include <stddef.h>

/* What C11 cannot say and both gcc and clang can. */
#define MUST_CHECK		 __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* The structure that a pointer to one of its members belongs to. */
#define CONTAINER_OF(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
