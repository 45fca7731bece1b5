/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live page: page.html with page.css and page.js in it, one document that asks for nothing but
 * /api. embed.cmake makes it and the policy with the digests of both when this is built.
 */
#include "watch/page.h"

#include "page_embedded.h"

const char page_policy[] = PAGE_POLICY;

static const unsigned char page[] = { PAGE_OCTETS };

unsigned page_make(struct buf *body, const struct published *p)
{
	(void)p;
	return buf_add(body, page, sizeof(page)) ? 200 : 0;
}
