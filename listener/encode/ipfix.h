/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_ENCODE_IPFIX_H
#define VPCFLOWD_ENCODE_IPFIX_H

#include "encode/encoder.h"

/*
 * Flows to IPFIX Messages (RFC 7011), a lane for each observation domain. The functions are those of
 * encoder.h without the text formats.
 */
struct ipfix;

/* settings and columns must outlive it. NULL without memory. */
struct ipfix *ipfix_new(const struct encoder_settings *settings, const struct format *columns);
void ipfix_free(struct ipfix **x);

unsigned ipfix_domain(struct ipfix *x, const struct flow *flow);
MUST_CHECK bool ipfix_add(struct ipfix *x, const struct flow *flow, struct batch *b);
void ipfix_not_sent(struct ipfix *x, unsigned lane, const struct tally *tally);
void ipfix_new_session(struct ipfix *x);
void ipfix_repeat(struct ipfix *x);
void ipfix_last_call(struct ipfix *x);
MUST_CHECK enum step ipfix_ahead(struct ipfix *x, unsigned lane, uint64_t now_ms, struct batch *b);
void ipfix_stamp(struct ipfix *x, struct batch *b);
/* Texts of AWS's that were left out, since their record would not have fitted a message. */
uint64_t ipfix_texts_cut(const struct ipfix *x);

#endif
