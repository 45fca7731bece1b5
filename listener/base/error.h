/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_ERROR_H
#define VPCFLOWD_BASE_ERROR_H

/*
 * The text of a negative errno or another of libuv's codes; lives for ever. libuv itself does not
 * know every errno, as EDQUOT, and loses memory over those.
 */
const char *error_text(int error);

#endif
