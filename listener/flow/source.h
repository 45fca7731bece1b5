/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_FLOW_SOURCE_H
#define VPCFLOWD_FLOW_SOURCE_H

#include <stdint.h>

#include "base/attributes.h"
#include "flow/address.h"
#include "flow/format.h"

struct flow;

enum { ADDRESS_TEXT = 46, EXPORTER_ROOM = 48 };

/* What stands for AWS's side in the output: who exported a flow, and where it was observed. */
struct source {
	char exporter[EXPORTER_ROOM]; /* as configured, NUL-terminated; copied by sixteen octets */
	size_t exporter_len;
	struct address address; /* the same in octets */
	uint32_t domain;	/* IPFIX observation domain, never 0 */
};

/* Fills in the exporter. False when text is no address; the source is then as before. */
MUST_CHECK bool source_set_exporter(struct source *s, struct slice text);

/*
 * One entry of "sources" in the configuration: patterns, each NULL for "any", and what they give.
 * group and account are matched against the CloudWatch message; account, vpc and interface against
 * the record, which knows its account better than the message does.
 */
struct source_rule {
	char *group;
	char *account;
	char *vpc;
	char *interface;
	struct format *format; /* NULL: the standard one */
	bool has_exporter;
	bool has_domain;
	struct source source;
};

/* The rules in order, and what holds where none gives an answer. Owns all of it. */
struct sources {
	struct source standard;
	struct format *format;
	struct source_rule *rules;
	size_t count;
};

void sources_deinit(struct sources *s);

/*
 * Where a document came from; empty slices where it does not say. The number is another one for each
 * document of a worker, from 1, so that who has seen it knows the rest.
 */
struct origin {
	struct slice group;
	struct slice account;
	uint64_t number;
};

/*
 * The format of a document's records: that of the first rule that has one and matches. Borrowed
 * from s.
 */
const struct format *sources_format(const struct sources *s, const struct origin *origin);
/*
 * Exporter and domain of a record, each from the first rule that has it and matches. Either
 * borrowed from s, or put together in *room.
 */
const struct source *sources_by_rules(const struct sources *s, const struct origin *origin,
				      const struct flow *flow, struct source *room);

static inline const struct source *sources_of(const struct sources *s, const struct origin *origin,
					      const struct flow *flow, struct source *room)
{
	return s->count == 0 ? &s->standard : sources_by_rules(s, origin, flow, room);
}

/* Whether text fits a pattern in which * stands for any run of characters. */
bool glob_match(const char *pattern, struct slice text);
/* The same where the text's letter case does not count; the pattern is in lower case. */
bool glob_match_any_case(const char *pattern, struct slice text);

#endif
