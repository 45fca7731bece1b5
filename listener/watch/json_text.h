/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_JSON_TEXT_H
#define VPCFLOWD_WATCH_JSON_TEXT_H

#include "base/slice.h"
#include "watch/text.h"

/*
 * Adds a text as a JSON string with its quotes (RFC 8259 section 7). What is no UTF-8 becomes U+FFFD,
 * one for each octet; < and > are escaped, so that no HTML can be made of it.
 */
void json_text_add(struct text *t, struct slice text);

#endif
