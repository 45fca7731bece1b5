/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What malloc is told about large buffers. By itself it gives what is free at the heap's end back at
 * once, and the largest of what was freed so far decides which buffers are mapped each by itself. The
 * numbers here are above what payloads in flight and their documents take by default, so that they
 * all lie in the heap and it does not shrink while payloads come; how large it grows is up to
 * --max-in-flight and --max-inflated as before. Elsewhere than with glibc this does nothing.
 */
#include "base/memory.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>

enum {
	KEPT = 128 * 1024 * 1024,
	MAPPED_FROM = 32 * 1024 * 1024, /* the most that glibc takes */
	GROWTH = 1024 * 1024,		/* more than was asked for */
};

void memory_keep(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, KEPT);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	(void)mallopt(M_TOP_PAD, GROWTH);
}

void memory_give_back(void)
{
	(void)malloc_trim(GROWTH);
}
#else
void memory_keep(void)
{
}

void memory_give_back(void)
{
}
#endif
