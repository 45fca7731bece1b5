/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DECODE_BASE64_H
#define VPCFLOWD_DECODE_BASE64_H

#include "base/attributes.h"
#include "base/buf.h"

/*
 * Decodes base64 (RFC 4648 section 4, padding required, no line breaks) and appends the octets to
 * out. False when text is not that, or out cannot hold it; out->len is then as before.
 */
MUST_CHECK bool base64_decode(struct slice text, struct buf *out);

#endif
